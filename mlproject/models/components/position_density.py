"""Kernel density of local descriptors, one for each position of the grid.

The paper's kernel density (3.5.1), not on one vector an image but on one a cell. At each cell the kernels
stand on the descriptors that the good images have there and up to `reach` cells away. Of a Gaussian density
whose bandwidth is small, the nearest kernel's term alone counts: −log density is then that kernel's squared
distance, but for constants.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from mlproject.models.components import threads
from mlproject.models.components.local_descriptors import sample

CELLS = 64  # whose kernels are unpacked together
TOGETHER = 256  # cells × images whose products with the kernels are taken together: a core's cache holds them


@dataclass(frozen=True)
class PositionDensity:
    """Kernels at every cell of a grid of rows × columns.

    Attributes:
        projection: (c, d) float32, from descriptors to whitened values.
        offset: (rows · columns, d) float32, middle of the range of each cell's whitened values.
        step: (rows · columns, d) float32, of the whole numbers in `kernels`.
        kernels: (rows · columns, d, n) int8: the n good images' whitened values are offset + step × these;
            of more than `density_fit.MOST_STORED` images, those alone that count at each place.
        mean: (rows, columns) float32, of the distances of good images that were left out, and
        spread: (rows, columns) float32, how far they deviate from it: what `standardise` divides by.
        peak: () float32, mean over left-out good images of their map's height: 1 in a map.
        reach: cells that a kernel may lie off.
        smoothing: Gaussian sigma of the maps, cells.
        border: outermost cells that do not count in `heights`.
        kept: (rows · columns, k) int16, the images whose kernels count at each place; None: all.
    """

    projection: torch.Tensor
    offset: torch.Tensor
    step: torch.Tensor
    kernels: torch.Tensor
    mean: torch.Tensor
    spread: torch.Tensor
    peak: torch.Tensor
    reach: float
    smoothing: float
    border: int
    kept: torch.Tensor | None = None

    def changed(self, **values: Any) -> "PositionDensity":
        """Return a copy with other values, on the same kernels."""
        other = replace(self, **values)
        other.__dict__.update(centre=self.centre, bank=self.bank, around=self.around)
        return other

    @cached_property
    def centre(self) -> torch.Tensor:
        """(d,) float32, of all whitened values: of long vectors that differ little d² is lost to rounding."""
        return self.offset.mean(dim=0)

    @cached_property
    def bank(self) -> torch.Tensor:
        """(rows · columns, d + 1, k) float32 of the good images that count.

        A vector's whitened values less `centre`, times −2, and its squared length: their product with a
        value and a 1 is the squared distance, but for the value's own squared length.
        """
        cells, length = self.offset.shape
        k = self.kernels.shape[2] if self.kept is None else self.kept.shape[1]
        bank = torch.empty(cells, length + 1, k)
        for first in range(0, cells, CELLS):
            some = slice(first, first + CELLS)
            offset = (self.offset[some] - self.centre)[..., None]
            bank[some] = _with_squares(torch.addcmul(offset, self.counting(some), self.step[some, :, None]))
        return bank

    def counting(self, some: slice) -> torch.Tensor:
        """Return (cells, d, k) int8 of some cells, those of `kernels` that count."""
        kernels = self.kernels[some]
        if self.kept is None:
            return kernels
        return kernels.gather(2, self.kept[some].long()[:, None].expand(-1, kernels.shape[1], -1))

    def stored(self, n: int) -> torch.Tensor | None:
        """Return (n, rows · columns, d) int8, as `kernels`, of n good images; None: not all are stored."""
        return self.kernels.permute(2, 0, 1) if self.kernels.shape[2] == n else None

    @cached_property
    def around(self) -> torch.Tensor:
        """(rows · columns, offsets) int64, cells within reach of each; beyond the border, the nearest."""
        rows, columns = self.mean.shape
        cell = torch.arange(rows * columns)[:, None]
        down, right = torch.tensor(disc(self.reach)).T
        row, column = cell // columns + down, cell % columns + right
        return row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)

    def standardise(self, distances: torch.Tensor) -> torch.Tensor:
        """Return distances (k, rows, columns) as maps; good images' peaks are about 1 high."""
        raw = (distances - self.mean) / self.spread
        rows, columns = raw.shape[-2:]
        return sample(raw, rows, columns, self.smoothing) / self.peak

    def heights(self, maps: torch.Tensor) -> torch.Tensor:
        """Return (k,), how high the peak of each map (k, rows, columns) is above the map's median.

        The median is what the whole image differs by, in focus or grain, which is no defect.
        """
        usual = maps.flatten(1).median(dim=1).values
        margin = self.border if min(maps.shape[-2:]) > 4 * self.border else 0
        inner = maps[:, margin : maps.shape[1] - margin, margin : maps.shape[2] - margin].flatten(1)
        return inner.amax(dim=1) - usual

    def distances(self, values: torch.Tensor) -> torch.Tensor:
        """Return (m, rows, columns), from whitened values (m, rows, columns, d) to the nearest kernel."""
        return self.distances_from_others(values, None, None)

    def distances_from_others(
        self, values: torch.Tensor, own: torch.Tensor | None, stand_ins: torch.Tensor | None
    ) -> torch.Tensor:
        """Return as `distances` does, but each of the m images has a kernel at each cell that does not count.

        Args:
            values: (m, rows, columns, d).
            own: (m, rows · columns) int64, that kernel's number, -1 where there is none; None: all count.
            stand_ins: (m, rows · columns, d), whitened values of the kernel in its place; None: no such.
        """
        rows, columns = self.mean.shape
        around, bank = self.around, self.bank  # made here once, not by each thread

        def by_cell() -> tuple[torch.Tensor, torch.Tensor]:
            queries, squares = self._queries(values)
            return queries.transpose(0, 1).contiguous(), squares

        queries, squares = threads.on_one_thread(by_cell)  # (cells, m, d + 1) and (m, cells)
        if stand_ins is not None:
            stand_ins = _with_squares(stand_ins.permute(1, 2, 0) - self.centre[:, None])

        def at_kernels(some: slice) -> torch.Tensor:
            """Return (cells, offsets, m), at some cells' kernels, for each image's value around them.

            All images in one product: its rows are added up alike however many there are, but for one alone,
            which there never is: an image has a row for each cell within reach.
            """
            shape = (around.shape[1], queries.shape[1])
            near = queries.index_select(0, around[some].flatten()).unflatten(0, (-1, shape[0])).flatten(1, 2)
            found = torch.bmm(near, bank[some]).unflatten(1, shape)
            if own is None:
                return found.amin(dim=3)
            numbers = own.T[some, None, :, None].expand(-1, shape[0], -1, -1)
            none = numbers < 0
            found.scatter_add_(3, numbers.clamp_min(0), torch.where(none, 0.0, torch.inf))
            nearest = found.amin(dim=3)
            if stand_ins is None:
                return nearest
            others = torch.bmm(near, stand_ins[some]).unflatten(1, shape).diagonal(dim1=2, dim2=3)
            return torch.minimum(nearest, others.masked_fill(none[..., 0], torch.inf))

        if torch.compiler.is_exporting():  # a graph has all cells at once
            found = at_kernels(slice(None))
        else:
            found = queries.new_empty(len(queries), around.shape[1], queries.shape[1])
            together = max(1, TOGETHER // queries.shape[1])

            @torch.inference_mode()
            def fill(first: int) -> None:
                some = slice(first, first + together)
                found[some] = at_kernels(some)

            threads.map_items(fill, range(0, len(queries), together))

        def at_places() -> torch.Tensor:
            nearest = self._at_places(found.permute(2, 0, 1)) + squares
            return nearest.clamp_min(0).sqrt().unflatten(1, (rows, columns))

        return threads.on_one_thread(at_places)

    def _queries(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (m, cells, d + 1), values less `centre` and a 1, and their squared lengths (m, cells).

        The product of a query and `bank`, and its squared length, add up to squared distances.
        """
        centred = (values - self.centre).flatten(1, 2)
        return F.pad(centred, (0, 1), value=1.0), centred.square().sum(dim=2)

    def _at_places(self, found: torch.Tensor) -> torch.Tensor:
        """Return (m, cells), the least at each place of (m, cells, offsets) at each cell's kernels."""
        by_offset = found.unflatten(1, tuple(self.mean.shape)).permute(3, 0, 1, 2)
        return _nearest(by_offset, disc(self.reach), int(self.reach)).flatten(1)


def _with_squares(vectors: torch.Tensor) -> torch.Tensor:
    """Return (cells, d + 1, k) of vectors (cells, d, k), as `PositionDensity.bank` has them."""
    return torch.cat([-2 * vectors, vectors.square().sum(dim=1, keepdim=True)], dim=1)


def disc(radius: float) -> list[tuple[int, int]]:
    """Return the offsets, rows down and columns right, within a radius."""
    steps = range(-int(radius), int(radius) + 1)
    return [(down, right) for down in steps for right in steps if down**2 + right**2 <= radius**2]


def _nearest(by_offset: torch.Tensor, offsets: list[tuple[int, int]], reach: int) -> torch.Tensor:
    """Return (m, rows, columns), the least at each place of (offsets, m, rows, columns) at each kernel."""
    rows, columns = by_offset.shape[-2:]
    padded = F.pad(by_offset, (reach,) * 4, value=torch.inf)
    at_place = [
        squares[:, reach - down :, reach - right :][:, :rows, :columns]
        for squares, (down, right) in zip(padded, offsets, strict=True)
    ]
    return torch.stack(at_place).amin(dim=0)
