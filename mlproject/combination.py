"""How several partial scores become one, whose ROC is that of the rule in use."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np


@dataclass(frozen=True)
class Combination:
    """One score from several parts: score = max_k (part_k − centre_k) / scale_k.

    With a threshold t this is the paper's OR of one threshold a part (section 3.5.1), each at
    centre_k + t · scale_k; so the ROC of the score is that of the rule in use.
    A single part is its own score: centre 0, scale 1.
    """

    centres: dict[str, float]
    scales: dict[str, float]

    @classmethod
    def fit(cls, parts: dict[str, np.ndarray]) -> Self:
        """Learn centres (means) and scales (standard deviations) from good images."""
        if len(parts) == 1:
            (name,) = parts
            return cls({name: 0.0}, {name: 1.0})
        centres = {name: float(np.mean(values)) for name, values in parts.items()}
        spread = {name: float(np.std(values)) for name, values in parts.items()}
        return cls(centres, {name: value if value > 0 else 1.0 for name, value in spread.items()})

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
