"""One epoch: the network learns from shuffled batches and is tried on validation images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from mlproject.training.batches import labelled_batches, random_source
from mlproject.training.share import Share

# (batch, generator of everything random, whether to learn from it) -> tensors (n, …) that a loss is made of.
# The batch is images, float (n, c, h, w) in [0, 1]; where labels are given, the pair of images and labels.
Draw = Callable[[Any, torch.Generator, bool], tuple[torch.Tensor, ...]]
# (network, *what was drawn) -> scalar: the mean over images. It draws nothing.
Loss = Callable[..., torch.Tensor]


class Images(NamedTuple):
    """What is learnt from, and what is not.

    Attributes:
        train: (n, c, h, w) uint8, in main memory.
        labels: (n, …), or None.
        validation: (m, c, h, w) uint8.
        validation_labels: (m, …), or None.
    """

    train: torch.Tensor
    labels: torch.Tensor | None
    validation: torch.Tensor
    validation_labels: torch.Tensor | None


class Losses(NamedTuple):
    """Mean losses of one epoch, each over all images."""

    training: float
    validation: float


@dataclass(frozen=True)
class Learner:
    """What learns, and how; with images and its share of each batch it is one process of a training.

    Attributes:
        network: on `device`.
        draw: is given each batch as a whole by every process, so that all draw the same.
        loss: is given the rows that this process computes.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    draw: Draw
    loss: Loss
    batch_size: int
    seed: int
    device: str
    precision: str

    def begin(self, share: Share, images: Images) -> Callable[[int], Losses]:
        """Return a function of an epoch's number that learns for one epoch and returns its losses."""
        model = share.model(_LossModule(self.network, self.loss))

        def epoch(number: int) -> Losses:
            return Losses(self._learn(model, share, images, number), self._validate(share, images))

        return epoch

    def _learn(self, model: nn.Module, share: Share, images: Images, number: int) -> float:
        self.network.train()
        generator = random_source(self.seed, number)
        total = torch.zeros((), device=self.device)
        order = torch.randperm(len(images.train), generator=generator)
        for n, batch in labelled_batches(images.train, images.labels, order, self.batch_size, self.device):
            rows, counted = share.rows(n)
            self.optimiser.zero_grad(set_to_none=True)
            with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16"):
                drawn = self.draw(batch, generator, True)
                loss = model(*(part[rows] for part in drawn))
            # gradients are averaged over the processes: so weighted, that is the mean over the whole batch
            (loss * (share.processes * counted / n)).backward()
            self.optimiser.step()
            total += loss.detach() * counted
        return float(share.total(total)) / len(order)

    @torch.inference_mode()
    def _validate(self, share: Share, images: Images) -> float:
        self.network.eval()
        generator = random_source(self.seed, 0)  # the same corruption in every epoch, so that losses compare
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        order = torch.arange(len(images.validation))
        for n, batch in labelled_batches(
            images.validation, images.validation_labels, order, self.batch_size, self.device
        ):
            rows, counted = share.rows(n)
            drawn = self.draw(batch, generator, False)
            total += self.loss(self.network, *(part[rows] for part in drawn)).double() * counted
        return float(share.total(total)) / len(order)


class _LossModule(nn.Module):
    """A network with its loss as output: DistributedDataParallel needs one module and one call of it."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, *drawn: torch.Tensor) -> torch.Tensor:
        """Return the loss of what was drawn."""
        return self.loss(self.network, *drawn)
