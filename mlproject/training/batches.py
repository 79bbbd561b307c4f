"""Batches of images as networks take them, and the generator of everything random in them."""

from collections.abc import Iterator
from typing import Any

import torch


def batches(images: torch.Tensor, order: torch.Tensor, size: int, device: str) -> Iterator[torch.Tensor]:
    """Yield (at most size, c, h, w) float in [0, 1] of (n, c, h, w) uint8 images, rows in `order`."""
    for rows in order.split(size):
        batch = images[rows].to(device, non_blocking=True).float().div_(255)
        yield batch.to(memory_format=torch.channels_last)


def labelled_batches(
    images: torch.Tensor, labels: torch.Tensor | None, order: torch.Tensor, size: int, device: str
) -> Iterator[tuple[int, Any]]:
    """Yield the number of images in each batch, and it: `batches`, or pairs of these and their labels."""
    for rows, batch in zip(order.split(size), batches(images, order, size, device), strict=True):
        yield len(rows), batch if labels is None else (batch, labels[rows].to(device))


def random_source(*numbers: int) -> torch.Generator:
    """Return a CPU generator that depends on every number given."""
    mixed = 0
    for number in numbers:
        mixed = (mixed * 1_000_003 + number + 1) % (2**63)
    return torch.Generator().manual_seed(mixed)
