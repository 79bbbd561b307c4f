"""Whitening: directions and units in which descriptors are compared."""

from collections.abc import Iterable, Sequence

import torch

# `order` from which places differ: textures have .02 at most, of 12 images or under a lamp that falls off by
# 40 % towards the corners too; the sample's weave has .26, transistors 2.6
ORDERED = 0.1
# the same on the surface of aligned parts, which are shaded and not placed exactly: two kinds of drawn nuts
# have .004 and .12, all other parts .6 at least
ORDERED_SURFACE = 0.25
FEWEST_PLACES = 100  # of a surface: of a single one none could differ


def is_texture(descriptors: Sequence[torch.Tensor], surface: torch.Tensor | None = None) -> bool:
    """Return whether places differ by no more than chance.

    Args:
        descriptors: (1, rows, columns, c) of each image.
        surface: (rows, columns) bool, the places of aligned parts that count; None: all places of a photo.
    """
    if surface is None:
        within, total, _ = scatter(descriptors)
        return order(within, total, len(descriptors)) < ORDERED
    if surface.sum() < FEWEST_PLACES:
        return False
    within, total, _ = scatter(image[:, surface][:, :, None] for image in descriptors)
    return order(within, total, len(descriptors)) < ORDERED_SURFACE


def scatter(batches: Iterable[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return the covariance within positions and over all cells, (c, c) float64 each, and how many there are.

    Args:
        batches: of (k, rows, columns, c).
    """
    squares, sums, n = torch.zeros(()), torch.zeros(()), 0
    for batch in batches:
        flat = batch.flatten(0, 2)
        squares = squares + (flat.T @ flat).double()
        sums = sums + batch.double().sum(dim=0).flatten(0, 1)
        n += len(batch)
    means = sums / n
    cells = len(means)
    total = squares / (n * cells)
    centre = means.mean(dim=0)
    return total - means.T @ means / cells, total - torch.outer(centre, centre), n * cells


def second_moment(batches: Iterable[torch.Tensor]) -> torch.Tensor:
    """Return the mean over all cells of x xᵀ, (c, c) float64, of batches (k, rows, columns, c)."""
    squares, count = torch.zeros((), dtype=torch.float64), 0
    for batch in batches:
        flat = batch.flatten(0, 2)
        squares, count = squares + (flat.T @ flat).double(), count + len(flat)
    return squares / count


def order(within: torch.Tensor, total: torch.Tensor, images: int) -> float:
    """Return how much places differ from each other, in units of what varies within one: about 0 by chance.

    The 80th percentile of the generalised eigenvalues of (total, within), less 1. Not the largest: a lamp
    that falls off towards the corners makes places differ in a few directions, in a texture too.

    Args:
        images: that both covariances are of; the fewer, the more places' means differ by chance, for which
            the percentile is corrected by (images − 1) / images.
    """
    white = _white(within, float(1e-6 * total.diagonal().mean()))  # images that are all equal vary in nothing
    ratios = torch.linalg.eigvalsh(white.T @ total @ white)
    return float(ratios.quantile(0.8)) * (images - 1) / images - 1


def whitening(within: torch.Tensor, total: torch.Tensor, length: int) -> torch.Tensor:
    """Return (c, d) float32: whitens what varies within a position, then keeps what differs most over all.

    Linear discriminant analysis (Fisher 1936) with positions as classes: of the whitened directions, those in
    which one place of the part, or one part and another, differ most.
    """
    white = _white(within, 0.0)
    return _leading(white, white.T @ total @ white, length)


def most_changed(within: torch.Tensor, moments: Iterable[torch.Tensor], length: int) -> torch.Tensor:
    """Return (c, d) float32: whitens what varies in good images, then keeps what alterations change most.

    Linear discriminant analysis too; a texture has no places to tell apart, but what a defect may do to it.

    Args:
        within: (c, c).
        moments: (c, c) each, mean of x xᵀ of the changes x by one alteration; each counts the same.
    """
    white = _white(within, 0.0)
    seen = [white.T @ moment @ white for moment in moments]
    normalised = torch.stack([found / found.trace().clamp_min(1e-12) for found in seen])
    return _leading(white, normalised.sum(dim=0), length)


def _leading(white: torch.Tensor, moment: torch.Tensor, length: int) -> torch.Tensor:
    """Return (c, d) float32, of the whitened directions those in which `moment` (c, c) is largest."""
    _, directions = torch.linalg.eigh(moment)
    return (white @ directions.flip(1)[:, :length]).float()


def _white(within: torch.Tensor, ridge: float) -> torch.Tensor:
    """Return (c, c) directions, columns, in which the covariance `within`, with a ridge, is 1."""
    variance, axes = torch.linalg.eigh(within)
    return axes / (variance.clamp_min(0) + ridge + 1e-12).sqrt()
