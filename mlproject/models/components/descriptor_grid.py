"""A grid of local descriptors: how far apart its cells are, and what each of them sees."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from mlproject.models.components.local_descriptors import ring, with_surroundings


@dataclass(frozen=True)
class Grid:
    """One grid of descriptors.

    Attributes:
        cell: step, pixels.
        pooling: Gaussian sigma of what one descriptor sums up, pixels.
        rings: radii of the rings of eight neighbours that belong to a cell, cells.
        length: of the whitened values.
        reach: how far a good image's descriptor may be displaced, cells.
    """

    cell: int
    pooling: float
    rings: tuple[int, ...]
    length: int
    reach: float

    def widen(self, descriptors: torch.Tensor) -> torch.Tensor:
        """Return them with their surroundings."""
        offsets = tuple(offset for radius in self.rings for offset in ring(radius))
        return with_surroundings(descriptors, offsets, weight=0.7)

    def array(self) -> np.ndarray:
        """Return what `from_array` needs, (4 + rings,) float64."""
        return np.array([self.cell, self.pooling, self.length, self.reach, *self.rings], dtype=np.float64)

    @classmethod
    def from_array(cls, found: np.ndarray) -> Self:
        """Take the array of `array` back."""
        cell, pooling, length, reach, *rings = found.tolist()
        return cls(int(cell), pooling, tuple(map(int, rings)), int(length), reach)
