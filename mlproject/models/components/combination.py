"""Combination of several partial scores into one, whose ROC is that of the decision rule."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

ROUNDING = 1e-14  # of the mean: a deviation up to here is none
FEWEST = 3  # images that centres and scales are learnt from, each in turn left out


@dataclass(frozen=True)
class Combination:
    """One score from several parts: score = max_k (part_k − centre_k) / scale_k.

    >>> good = {"error": np.array([1.0, 3.0]), "density": np.array([10.0, 30.0])}
    >>> combination = Combination.fit(good)
    >>> combination.apply({"error": np.array([2.0, 5.0]), "density": np.array([20.0, 20.0])})
    array([0., 3.])

    With a threshold t this is the paper's OR of one threshold a part (section 3.5.1), each at
    centre_k + t · scale_k; so the ROC of the score is that of the rule in use.
    A single part is its own score: centre 0, scale 1. A part of weight w has its scale divided by w: its
    distance from the usual counts w times as much as that of a part of weight 1.
    """

    centres: dict[str, float]
    scales: dict[str, float]

    @classmethod
    def fit(cls, parts: Mapping[str, np.ndarray], weights: Mapping[str, float] | None = None) -> Self:
        """Learn centres (means) and scales (standard deviations / weights) from good images.

        Args:
            parts: name → (n,) values on good images.
            weights: name → weight, positive; 1 for a part that is not named.
        """
        weights = weights or {}
        if len(parts) == 1:
            (name,) = parts
            return cls({name: 0.0}, {name: 1.0})
        usual = {name: centre_and_scale(values) for name, values in parts.items()}
        return cls(
            {name: centre for name, (centre, _) in usual.items()},
            {name: scale / weights.get(name, 1.0) for name, (_, scale) in usual.items()},
        )

    @classmethod
    def left_out_scores(
        cls, parts: Mapping[str, np.ndarray], weights: Mapping[str, float] | None = None
    ) -> np.ndarray:
        """Return (n,) the score of each image by centres and scales that the n − 1 others give.

        A threshold from these is not exceeded more often than asked. Scored by centres and scales that they
        set themselves, 20 images lie too close to the usual: a threshold for 5 % false alarms gives 6 to 7 %
        (benchmarks/left_out_scales.py).

        Args:
            parts: name → (n,) values on good images, n ≥ `FEWEST`.
            weights: as `fit` has them.
        """
        columns = {name: np.asarray(values, dtype=np.float64) for name, values in parts.items()}
        n = len(next(iter(columns.values())))
        scores = []
        for row in range(n):
            others = cls.fit({name: np.delete(values, row) for name, values in columns.items()}, weights)
            scores.append(others.apply({name: values[row] for name, values in columns.items()}))
        return np.array(scores)

    def apply(self, parts: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return (n,) float64 scores."""
        columns = [
            (np.asarray(parts[name], dtype=np.float64) - self.centres[name]) / self.scales[name]
            for name in self.centres
        ]
        return np.max(columns, axis=0)

    def part_thresholds(self, threshold: float) -> dict[str, float]:
        """Return the threshold of each part that together make the rule score > threshold."""
        return {name: self.centres[name] + threshold * self.scales[name] for name in self.centres}

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Take the values of `as_dict` back."""
        return cls(values["centres"], values["scales"])


def centre_and_scale(values: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of (n,) values; 1 in the place of a deviation of 0.

    Of equal values it is not quite 0 where their mean is rounded: 6e-17 of twenty times .3.
    """
    centre, scale = float(np.mean(values)), float(np.std(values))
    return centre, scale if scale > ROUNDING * abs(centre) else 1.0
