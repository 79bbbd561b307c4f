"""The part of each batch that one process of a training computes."""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Share:
    """The part of one process; all of each batch where it is the only one.

    Attributes:
        rank: of this process, from 0, which is the one that started the others.
        processes: that share the training.
    """

    rank: int = 0
    processes: int = 1

    def rows(self, n: int) -> tuple[slice, int]:
        """Return the rows that this process computes of a batch of n, and how many of them count.

        Every process takes part in every step. One that gets no row of a small batch computes the first row,
        which counts nothing.
        """
        start, stop = (n * rank // self.processes for rank in (self.rank, self.rank + 1))
        return (slice(start, stop), stop - start) if start < stop else (slice(0, 1), 0)

    def model(self, module: nn.Module) -> nn.Module:
        """Return the module, its gradients averaged over the processes."""
        return DistributedDataParallel(module) if self.processes > 1 else module

    def total(self, value: torch.Tensor) -> torch.Tensor:
        """Return the sum of a value over the processes."""
        if self.processes > 1:
            dist.all_reduce(value)
        return value
