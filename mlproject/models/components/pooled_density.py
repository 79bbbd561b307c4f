"""Kernel density of local descriptors whose kernels all positions share: for textures, alike everywhere.

What may lie at one place of a texture may lie at any other, so each place is compared with what good images
have anywhere: PatchCore's memory (Roth et al. 2022), of hand-made descriptors.
"""

from functools import cached_property

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
        kernels: (1, d, n · rows · columns) int8, of the n good images one after another; of more than
            `density_fit.MOST_STORED` images, the k alone that count.
        kept: (1, k) int32, which of them count, of any good image and place; None: all.
    """

    @cached_property
    def centre(self) -> torch.Tensor:
        return (self.offset + self.step * self.counting(slice(None)).float().mean(dim=2))[0]

    def stored(self, n: int) -> torch.Tensor | None:
        if self.kept is None:  # above MOST_STORED images, and in models of earlier releases
            return None
        return self.kernels[0].T.unflatten(0, (n, -1))

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
            def at_cells(first: int) -> torch.Tensor:
                """Return (m, CELLS at most)."""
                some = queries[:, first : first + CELLS]
                nearest = some.new_empty(some.shape[:2])
                for image, those, row in zip(some, kernels, nearest, strict=True):
                    for start in range(0, len(image), TOGETHER):
                        row[start : start + TOGETHER] = (image[start : start + TOGETHER] @ those).amin(dim=1)
                return nearest

            found = torch.cat(threads.map_items(at_cells, range(0, queries.shape[1], CELLS)), dim=1)
        return threads.on_one_thread(lambda: (found + squares).clamp_min(0).sqrt().unflatten(1, shape))


def _far(bank: torch.Tensor, some: torch.Tensor) -> torch.Tensor:
    """Return `PositionDensity.bank` of one cell (d + 1, k), some of whose kernels are infinitely far off."""
    return torch.cat([bank[:-1], bank[-1:].masked_fill(some, torch.inf)])


def chosen_of_all(
    quantised: torch.Tensor, offset: torch.Tensor, step: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return (k,) the numbers of the vectors that are kernels, and each image's stand-ins.

    Vectors are numbered image · cells + cell. The stand-ins, (some, d) values, are what would be kernels
    without the image.

    Args:
        quantised: (n, cells, d) int8 of n images, whose values are offset + step × these.
        offset, step: (1, d).
    """
    n, cells = quantised.shape[:2]
    found = []
    for image, own in enumerate(quantised):
        # by its own values: images that come or go leave the others' candidates; coarsely, so that rounding,
        # which another processor does differently, hardly ever matters. Several images may have the same draw
        random = torch.Generator().manual_seed(int(own.sum()) // cells)
        found.append(image * cells + torch.randperm(cells, generator=random)[: -(-CANDIDATES // n)])
    numbers = torch.stack(found, dim=1).flatten()  # of equal vectors the first are taken: of all images
    values = torch.addcmul(offset, quantised.flatten(0, 1)[numbers], step)
    chosen = farthest_of_many(values, KERNELS)
    return numbers[chosen], [values[some] for some in stand_ins_of_many(values, chosen, numbers // cells)]
