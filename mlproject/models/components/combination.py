"""Combination of several partial scores into one, whose ROC is that of the decision rule."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np


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
    def fit(cls, parts: dict[str, np.ndarray], weights: Mapping[str, float] | None = None) -> Self:
        """Learn centres (means) and scales (standard deviations / weights) from good images.

        Args:
            parts: name → (n,) values on good images.
            weights: name → weight, positive; 1 for a part that is not named.
        """
        weights = weights or {}
        if len(parts) == 1:
            (name,) = parts
            return cls({name: 0.0}, {name: 1.0})
        centres = {name: float(np.mean(values)) for name, values in parts.items()}
        spread = {name: float(np.std(values)) for name, values in parts.items()}
        scales = {name: value if value > 0 else 1.0 for name, value in spread.items()}
        return cls(centres, {name: scale / weights.get(name, 1.0) for name, scale in scales.items()})

    def apply(self, parts: dict[str, np.ndarray]) -> np.ndarray:
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
