"""Kernel density of local descriptors whose kernels all positions share: for textures, alike everywhere.

What may lie at one place of a texture may lie at any other, so each place is compared with what good images
have anywhere: PatchCore's memory (Roth et al. 2022), of hand-made descriptors.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch

from mlproject.models.components import threads
from mlproject.models.components.position_density import PositionDensity
from mlproject.models.components.thinning import farthest_of_many, stand_ins_of_many

KERNELS = 2000
CANDIDATES = 16_000  # vectors, of all images and places, of which the kernels are chosen
CELLS = 480  # of an image, that one thread compares with all kernels
TOGETHER = 96  # of them, in one product: a core's cache holds it


class PooledDensity(PositionDensity):
    """The same kernels at every cell; mean and spread are still each cell's own.

    Attributes:
        offset, step: (1, d) float32.
        kernels: (1, d, k) int8, of k vectors of any good image and place.
        kept: None.
    """

    @cached_property
    def centre(self) -> torch.Tensor:
        return (self.offset + self.step * self.kernels.float().mean(dim=2))[0]

    def distances(self, values: torch.Tensor, without: torch.Tensor | None = None) -> torch.Tensor:
        """Return (m, rows, columns), from whitened values to the nearest kernel.

        Args:
            values: (m, rows, columns, d) of m images.
            without: (m, k) bool, kernels that are left out for each image.
        """
        shape, bank = values.shape[1:3], self.bank[0]
        queries, squares = threads.on_one_thread(lambda: self._queries(values))
        if torch.compiler.is_exporting():  # a graph has all cells and any number of images at once
            found = (queries @ bank).amin(dim=2)
        else:
            kernels = [bank] * len(queries) if without is None else [_far(bank, one) for one in without]

            @torch.inference_mode()
            def at_cells(first: np.ndarray) -> torch.Tensor:
                """Return (m, CELLS at most)."""
                some = queries[:, int(first[0]) : int(first[0]) + CELLS]
                nearest = some.new_empty(some.shape[:2])
                for image, those, row in zip(some, kernels, nearest, strict=True):
                    for start in range(0, len(image), TOGETHER):
                        row[start : start + TOGETHER] = (image[start : start + TOGETHER] @ those).amin(dim=1)
                return nearest

            found = torch.cat(threads.one_by_one(at_cells, np.arange(0, queries.shape[1], CELLS)), dim=1)
        return threads.on_one_thread(lambda: (found + squares).clamp_min(0).sqrt().unflatten(1, shape))


def _far(bank: torch.Tensor, some: torch.Tensor) -> torch.Tensor:
    """Return `PositionDensity.bank` of one cell (d + 1, k), some of whose kernels are infinitely far off."""
    return torch.cat([bank[:-1], bank[-1:].masked_fill(some, torch.inf)])


def chosen_of_all(
    whitened: Callable[[int], torch.Tensor], n: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """Return `PooledDensity`'s offset, step and kernels, whose image each is, and each image's stand-ins.

    The images are (k,) numbers; the stand-ins, (some, d) values, are what would be kernels without the image.

    Args:
        whitened: returns (1, rows, columns, d) values of an image by its number.
        n: images.
    """
    random = torch.Generator().manual_seed(0)
    found = []
    for image in range(n):
        values = whitened(image).flatten(0, 2)
        found.append(values[torch.randperm(len(values), generator=random)[: -(-CANDIDATES // n)]])
    values = torch.stack(found, dim=1).flatten(0, 1)  # of equal vectors the first are taken: of all images
    chosen = farthest_of_many(values, KERNELS)
    owners = chosen % n
    low, high = values.aminmax(dim=0)
    offset, step = (low + high) / 2, ((high - low) / 254).clamp_min(1e-8)
    kernels = ((values[chosen] - offset) / step).round().to(torch.int8)
    instead = [values[some] for some in stand_ins_of_many(values, chosen, torch.arange(len(values)) % n)]
    return offset[None], step[None], kernels.T.contiguous()[None], owners, instead
