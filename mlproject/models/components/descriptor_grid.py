"""A grid of local descriptors: how far apart its cells are, and what each of them sees."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

# of all grids, in models of releases that did not save them
FIRST_SCALES, FIRST_RINGS, FIRST_FAINT = (1.0, 2.0, 4.0), (2, 4), 1e-8


@dataclass(frozen=True)
class Grid:
    """One grid of descriptors.

    Attributes:
        cell: step, pixels.
        pooling: Gaussian sigma of what one descriptor sums up, pixels.
        rings: radii of the rings of eight neighbours that belong to a cell, cells.
        length: of the whitened values.
        reach: how far a good image's descriptor may be displaced, cells.
        scales: Gaussian sigmas at which gradients are taken, pixels; gradients are sampled in steps of whole
            pixels, of a scale at most. Empty where nothing but a network describes.
        texture: whether gradients count by their logarithms, and how luminance and gradients vary counts too.
        faint: pooled gradient, a share of the mean luminance a pixel, below which it hardly counts: a sloping
            light, or the steps between 8-bit values, would look like a defect on a surface without any.
    """

    cell: int
    pooling: float
    rings: tuple[int, ...]
    length: int
    reach: float
    scales: tuple[float, ...] = ()
    texture: bool = False
    faint: float = 0.0003

    def widen(self, descriptors: torch.Tensor) -> torch.Tensor:
        """Return them with their surroundings."""
        offsets = tuple(offset for radius in self.rings for offset in ring(radius))
        return with_surroundings(descriptors, offsets, weight=0.7)

    def enlarge(self, maps: torch.Tensor) -> torch.Tensor:
        """Return (n, rows · cell, columns · cell) of (n, rows, columns), bilinear between cells' centres."""
        rows, columns = (length * self.cell for length in maps.shape[-2:])
        return F.interpolate(maps[:, None], (rows, columns), mode="bilinear", align_corners=False)[:, 0]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what `from_arrays` needs: ``grid`` (4 + rings,), ``scales``, ``texture`` and ``faint``."""
        grid = np.array([self.cell, self.pooling, self.length, self.reach, *self.rings], dtype=np.float64)
        scales = np.array(self.scales, dtype=np.float64)
        texture, faint = np.array(self.texture), np.array(self.faint)
        return {"grid": grid, "scales": scales, "texture": texture, "faint": faint}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take the arrays of `arrays` back; earlier releases saved ``grid`` alone, or not all."""
        cell, pooling, length, reach, *rings = arrays["grid"].tolist()
        scales = tuple(arrays["scales"].tolist()) if "scales" in arrays else FIRST_SCALES
        texture = bool(arrays.get("texture", False))
        faint = arrays["faint"].item() if "faint" in arrays else FIRST_FAINT
        return cls(int(cell), pooling, tuple(map(int, rings)), int(length), reach, scales, texture, faint)


def arrays_of(grids: Sequence[Grid]) -> dict[str, np.ndarray]:
    """Return what `grids_of` needs: the arrays of each grid, their names ending in its number."""
    numbered = enumerate(grids)
    return {f"{name}_{n}": array for n, grid in numbered for name, array in grid.arrays().items()}


def grids_of(arrays: Mapping[str, np.ndarray]) -> tuple[Grid, ...]:
    """Take the arrays of `arrays_of` back, which others may be among."""
    found: list[Grid] = []
    while f"grid_{len(found)}" in arrays:
        end = f"_{len(found)}"
        own = {name.removesuffix(end): arrays[name] for name in arrays if name.endswith(end)}
        found.append(Grid.from_arrays(own))
    return tuple(found)


def as_first(grid: Grid) -> Grid:
    """Return a grid as it was in the releases that saved none."""
    return replace(grid, rings=grid.rings and FIRST_RINGS, scales=FIRST_SCALES, faint=FIRST_FAINT)


def with_surroundings(
    descriptors: torch.Tensor, offsets: tuple[tuple[int, int], ...], weight: float
) -> torch.Tensor:
    """Return (n, rows, columns, c · (1 + k)): each cell's descriptor, then weight × those at k offsets.

    Args:
        descriptors: (n, rows, columns, c).
        offsets: rows down and columns to the right, in cells; beyond the border its last cell is repeated.
        weight: how much a neighbour counts against the cell itself.
    """
    if not offsets:
        return descriptors
    reach = max(max(abs(down), abs(right)) for down, right in offsets)
    rows, columns = descriptors.shape[1:3]
    padded = F.pad(descriptors.permute(0, 3, 1, 2), (reach,) * 4, mode="replicate").permute(0, 2, 3, 1)
    weighted = weight * padded
    neighbours = [
        weighted[:, reach + down : reach + down + rows, reach + right : reach + right + columns]
        for down, right in offsets
    ]
    return torch.cat([descriptors, *neighbours], dim=-1)


def ring(radius: int) -> tuple[tuple[int, int], ...]:
    """Return the offsets of eight neighbours on a ring of that radius, cells."""
    near = round(radius / math.sqrt(2))
    straight = ((radius, 0), (-radius, 0), (0, radius), (0, -radius))
    return (*straight, (near, near), (near, -near), (-near, near), (-near, -near))
