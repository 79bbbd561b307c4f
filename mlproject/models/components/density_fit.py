"""Densities of local descriptors: fitted to good images, extended by more, and as the arrays that are saved.

Kernels stand at each place, or all places of a texture share them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from mlproject.models.components import left_out, threads
from mlproject.models.components.pooled_density import PooledDensity, chosen_of_all
from mlproject.models.components.position_density import PositionDensity
from mlproject.models.components.thinning import farthest
from mlproject.models.components.whitening import most_changed, scatter, second_moment, whitening

# at each place: of more good images those that differ most are kept; a multiple of 16, the float32 numbers
# that AVX-512 multiplies at once: with 100 the products take longer
KERNELS = 96
IMAGES = 8  # whose surroundings are put together at once
MOST_STORED = 250  # good images whose descriptors are all stored: of more, those alone that count
TOGETHER = 8  # left-out images that are measured at once: kernels are then read once for all of them
MANY_CELLS = 512
PAIRS = 2**22  # of images at a few cells, whose distances are in memory at once
# share by which the range of a texture's values is widened: further images hardly ever lie beyond it. Where
# they do, kept values are rounded again, and rounding decides which of nearly equal vectors become kernels
SPARE = 1.0
OTHER_LAMPS = 10.0  # weight of what other lamps change, against what varies between good images


def fit(
    descriptors: Sequence[torch.Tensor],
    widen: Callable[[torch.Tensor], torch.Tensor],
    relit: Sequence[torch.Tensor],
    altered: Sequence[torch.Tensor] = (),
    *,
    length: int,
    shrinkage: float,
    reach: float,
    smoothing: float,
    border: int,
    pooled: bool,
) -> tuple[PositionDensity, torch.Tensor]:
    """Return the density of good images' descriptors, and the score (n,) of each image by the others.

    The score of an image is the height of its map by kernels, mean, spread and peak of the n − 1 others
    (leave-one-out). The levelling of the lamp and the whitening are not left out: all n images share them.

    Args:
        descriptors: (1, rows, columns, c) of each of n good images, at least 3.
        widen: puts the surroundings into (k, rows, columns, c): (k, rows, columns, C).
        relit: (k, rows, columns, c) each, how some images' descriptors change under other lamps.
        altered: (k, rows, columns, c) each, how some images' descriptors change by each of k alterations: the
            whitened values are then those that change most. Without them, those by which places differ.
        length: d, of the whitened values; C at most.
        shrinkage: share of the mean eigenvalue that is added to each; more where cells are few.
        reach, smoothing, border: as `PositionDensity` has them.
        pooled: all places share their kernels; reach counts for nothing.
    """
    n, (rows, columns) = len(descriptors), descriptors[0].shape[1:3]

    def widened() -> Iterator[torch.Tensor]:
        for start in range(0, n, IMAGES):
            yield widen(torch.cat(list(descriptors[start : start + IMAGES])))

    # every other row and column of a large grid has cells enough for a covariance
    every = 2 if rows * columns >= MANY_CELLS else 1
    within, total, count = scatter(chunk[:, ::every, ::every] for chunk in widened())
    # few cells in many dimensions: their covariance would call new images unusual
    ridge = max(shrinkage, 2 * len(within) / count) * within.diagonal().mean()
    within = within + ridge * torch.eye(len(within), dtype=torch.float64)
    within = within + OTHER_LAMPS * second_moment(widen(change)[:, ::every, ::every] for change in relit)
    if altered:
        moments = (
            second_moment(widen(change[number : number + 1])[:, ::every, ::every] for change in altered)
            for number in range(len(altered[0]))
        )
        projection = most_changed(within, moments, length)
    else:
        projection = whitening(within, total, length)
    spaced = {"reach": reach, "smoothing": smoothing, "border": border}

    def values() -> Iterator[torch.Tensor]:
        """Yield (k, cells, d); of a texture (k · cells, 1, d): all places share what they are rounded to."""
        for chunk in widened():
            found = chunk @ projection
            yield found.flatten(0, 2)[:, None] if pooled else found.flatten(1, 2)

    offset, step, quantised = _quantised(values, SPARE if pooled else 0.0)
    quantised = quantised.view(n, rows * columns, -1)
    fitted = _pooled_density if pooled else _position_density
    return fitted(projection, offset, step, quantised, (rows, columns), **spaced)


def extended(
    density: PositionDensity,
    quantised: torch.Tensor,
    added: Sequence[torch.Tensor],
    widen: Callable[[torch.Tensor], torch.Tensor],
) -> tuple[PositionDensity, torch.Tensor]:
    """Return the density of some of its images and of more, by the same whitening, and scores as `fit`.

    Where the new values lie out of the range that is quantised, it is widened, and the kept ones are rounded
    again: each time by up to half a step.

    Args:
        quantised: (n, rows · columns, d) int8, of its images those that stay: see `PositionDensity.stored`.
        added: (1, rows, columns, c) of each further image.
        widen: as `fit` has it.
    """
    offset, step = density.offset, density.step
    quantised = quantised.contiguous()  # as `fit` has it: sums are then the same to the last digit
    if added:
        values = torch.cat([(widen(one) @ density.projection).flatten(1, 2) for one in added])
        lowest, highest = values.flatten(0, 1).unflatten(0, (-1, len(offset))).aminmax(dim=0)
        low = torch.minimum(offset - 127 * step, lowest)
        high = torch.maximum(offset + 127 * step, highest)
        wider = (low < offset - 127 * step) | (high > offset + 127 * step)
        offset, step = (
            torch.where(wider, new, old)
            for new, old in (((low + high) / 2, offset), ((high - low) / 254, step))
        )
        if wider.any():
            quantised = torch.stack(
                [
                    _quantise(torch.addcmul(density.offset, image, density.step), offset, step)
                    for image in quantised
                ]
            )
        quantised = torch.cat([quantised, _quantise(values, offset, step)])
    spaced = {name: getattr(density, name) for name in ("reach", "smoothing", "border")}
    shape = (density.mean.shape[0], density.mean.shape[1])
    fitted = _pooled_density if isinstance(density, PooledDensity) else _position_density
    return fitted(density.projection, offset, step, quantised, shape, **spaced)


def _position_density(
    projection: torch.Tensor,
    offset: torch.Tensor,
    step: torch.Tensor,
    quantised: torch.Tensor,
    shape: tuple[int, int],
    **spaced: Any,
) -> tuple[PositionDensity, torch.Tensor]:
    """Return the density of n images' whitened values, offset + step × quantised, and scores as `fit`.

    Args:
        quantised: (n, rows · columns, d) int8.
        shape: rows and columns.
        spaced: reach, smoothing and border.
    """
    n, (rows, columns) = len(quantised), shape
    kept, stand_ins = _chosen(quantised, step, columns)
    if n > MOST_STORED:
        kernels, chosen = torch.stack([quantised[images, cell].T for cell, images in enumerate(kept)]), None
    else:
        kernels = quantised.permute(1, 2, 0).contiguous()
        chosen = kept.to(torch.int16) if n > KERNELS else None
    one, grid = torch.tensor(1.0), torch.ones(rows, columns)
    density = PositionDensity(projection, offset, step, kernels, grid, grid, one, **spaced, kept=chosen)
    cells = torch.arange(rows * columns)
    numbers = torch.arange(kept.shape[1], dtype=torch.int16)[:, None].expand(-1, len(cells))
    # of each image its number among the kept ones of each cell
    numbers_of = torch.full((n, len(cells)), -1, dtype=torch.int16).scatter_(0, kept.T, numbers)

    def from_others(batch: int) -> torch.Tensor:
        """Return (TOGETHER at most, rows, columns), the distances of good images from the others."""
        images = torch.arange(n)[batch * TOGETHER :][:TOGETHER]
        values = torch.addcmul(offset, quantised[images], step).unflatten(1, (rows, columns))
        own, vectors = numbers_of[images].long(), None
        if stand_ins is not None:
            others = stand_ins[cells, own.clamp_min(0)]
            vectors = torch.addcmul(offset, quantised[others, cells], step)
        return density.distances_from_others(values, own, vectors)

    return left_out.standardised(density, torch.cat(threads.map_items(from_others, range(-(-n // TOGETHER)))))


def _pooled_density(
    projection: torch.Tensor,
    offset: torch.Tensor,
    step: torch.Tensor,
    quantised: torch.Tensor,
    shape: tuple[int, int],
    **spaced: Any,
) -> tuple[PositionDensity, torch.Tensor]:
    """As `_position_density`, of kernels that all places share."""
    n, cells = quantised.shape[:2]
    kept, stand_ins = chosen_of_all(quantised, offset, step)
    owners, vectors = kept // cells, quantised.flatten(0, 1)
    if n > MOST_STORED:
        kernels, chosen = vectors[kept], None
    else:
        kernels, chosen = vectors, kept.to(torch.int32)[None]
    kernels = kernels.T.contiguous()[None]
    one, grid = torch.tensor(1.0), torch.ones(shape)
    density = PooledDensity(projection, offset, step, kernels, grid, grid, one, **spaced, kept=chosen)

    def from_others(image: int) -> torch.Tensor:
        """Return (1, rows, columns), the distances of a good image from the others."""
        values = torch.addcmul(offset, quantised[image], step)
        found = density.distances(values.unflatten(0, shape)[None], without=(owners == image)[None])
        if not len(stand_ins[image]):
            return found
        return torch.minimum(found, torch.cdist(values, stand_ins[image]).amin(dim=1).view_as(found))

    return left_out.standardised(density, torch.cat(threads.map_items(from_others, range(n))))


def _chosen(
    quantised: torch.Tensor, step: torch.Tensor, columns: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return (cells, k) the images whose vectors are kept at each cell, and each one's stand-in.

    None where all images are kept.
    """
    n = len(quantised)
    if n <= KERNELS:
        return torch.arange(n).expand(len(step), n), None
    together = max(1, min(columns, PAIRS // n**2))

    def chosen(number: int) -> torch.Tensor:
        some = slice(number * together, (number + 1) * together)
        values = quantised[:, some].transpose(0, 1) * step[some, None]
        return torch.stack(farthest(values, KERNELS))

    kept, stand_ins = torch.cat(threads.map_items(chosen, range(-(-len(step) // together))), dim=1)
    return kept, stand_ins


def _quantised(
    batches: Callable[[], Iterable[torch.Tensor]], spare: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return offset and step (cells, d), and quantised (n, cells, d) int8.

    Values are offset + step × quantised, but for rounding.

    Args:
        batches: gives the values in batches (k, cells, d), twice: they are never all in memory.
        spare: share by which the quantised range is wider than that of the values.
    """
    ranges = [torch.stack(batch.aminmax(dim=0)) for batch in batches()]
    lowest, highest = torch.stack(ranges).aminmax(dim=0)
    low, high = lowest[0], highest[1]
    offset, step = (low + high) / 2, ((1 + spare) * (high - low) / 254).clamp_min(1e-8)
    return offset, step, torch.cat([_quantise(batch, offset, step) for batch in batches()])


def _quantise(values: torch.Tensor, offset: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Return int8: values are offset + step × these, but for rounding."""
    return ((values - offset) / step).round().to(torch.int8)


def arrays(density: PositionDensity) -> dict[str, np.ndarray]:
    """Return all that `from_arrays` needs."""
    values = {field.name: getattr(density, field.name) for field in fields(density)}
    return {name: np.asarray(value) for name, value in values.items() if value is not None}


def from_arrays(found: dict[str, np.ndarray]) -> PositionDensity:
    """Take the arrays of `arrays` back."""
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in found.items()}
    reach, smoothing = float(tensors.pop("reach")), float(tensors.pop("smoothing"))
    border = int(tensors.pop("border"))
    kind = PooledDensity if len(tensors["kernels"]) < tensors["mean"].numel() else PositionDensity
    return kind(**tensors, reach=reach, smoothing=smoothing, border=border)
