"""The epoch loop: shuffled batches, early stopping, best weights, checkpoint, resume.

Knows nothing of models: it is given a network and a function that turns a batch into a loss.
"""

import copy
import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mlproject import __version__
from mlproject.core.errors import UserError
from mlproject.training import checkpoints
from mlproject.training.run_options import RunOptions

# (network, batch, generator for anything random) -> scalar loss. The batch is images, float (n, c, h, w) in
# [0, 1]; where labels are given, the pair of images and labels.
BatchLoss = Callable[[nn.Module, Any, torch.Generator], torch.Tensor]
# one row an epoch: its number, its losses
History = list[dict[str, float]]


@dataclass(frozen=True)
class Schedule:
    """How long and in what steps to train.

    Attributes:
        batch_size: images a step.
        epochs: at most this many.
        patience: stop after this many epochs without a better validation loss.
    """

    batch_size: int
    epochs: int
    patience: int


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave. `seconds` and `images_per_second` alone differ between equal runs."""

    number: int
    limit: int
    loss: float
    validation_loss: float
    best_epoch: int
    seconds: float
    images_per_second: float

    def in_words(self) -> str:
        """Return the figures for a line of display."""
        return (
            f"loss {self.loss:.5f}  validation {self.validation_loss:.5f}  "
            f"best epoch {self.best_epoch}  {self.images_per_second:.0f} images/s"
        )


@dataclass
class Progress:
    """State that a resumed training needs in addition to the network and the optimiser."""

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = math.inf
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)

    def finished(self, schedule: Schedule) -> bool:
        """Say whether no further epoch is due."""
        done = len(self.history)
        return done >= schedule.epochs or done - self.best_epoch >= schedule.patience


def choose_device(wanted: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UserError: cuda was asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("training.device is cuda, but PyTorch sees no GPU. Use auto or cpu.")
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def choose_precision(wanted: str, device: str) -> str:
    """Return ``float32`` or ``bfloat16``; ``auto`` takes bfloat16 where the hardware computes in it.

    Elsewhere a CPU emulates bfloat16, which is slower than float32.
    """
    if wanted != "auto":
        return wanted
    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    flags = ""
    if (cpu := Path("/proc/cpuinfo")).exists():
        flags = next(
            (line for line in cpu.read_text(encoding="utf-8").splitlines() if line.startswith("flags")), ""
        )
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"


def train(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch_loss: BatchLoss,
    images: torch.Tensor,
    validation: torch.Tensor,
    schedule: Schedule,
    run: RunOptions,
    *,
    labels: torch.Tensor | None = None,
    validation_labels: torch.Tensor | None = None,
) -> Progress:
    """Train `network` in place and leave the weights of its best epoch in it.

    Everything random in epoch k comes from (seed, k) alone, so a training that was killed and
    resumed after any epoch ends with the same weights as one that was not.

    Args:
        network: already on the run's device.
        images: (n, c, h, w) uint8, kept in main memory.
        validation: (m, c, h, w) uint8; chooses the epoch.
        labels: (n, …) what the loss needs of each image; then `validation_labels`, (m, …), too.

    Raises:
        UserError: a loss is not finite.
    """
    progress = _resume(network, optimiser, run.checkpoint)
    if not progress.history:
        run.on_start()
    while not progress.finished(schedule):
        number, started = len(progress.history) + 1, time.perf_counter()
        loss = _epoch(network, optimiser, batch_loss, images, labels, schedule, run, number)
        # fixed seed: the same corruption of the validation images every epoch, so losses compare
        validation_loss = _validate(network, batch_loss, validation, validation_labels, schedule, run)
        _note(progress, network, number, loss, validation_loss)
        if run.checkpoint:
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
            checkpoints.write(run.checkpoint, state | {"progress": asdict(progress)})
        seconds = time.perf_counter() - started
        run.on_epoch(
            Epoch(
                number, schedule.epochs, loss, validation_loss, progress.best_epoch,
                seconds, len(images) / seconds,
            )
        )  # fmt: skip
    network.load_state_dict(progress.best_weights)
    return progress


def _note(progress: Progress, network: nn.Module, number: int, loss: float, validation_loss: float) -> None:
    if not (math.isfinite(loss) and math.isfinite(validation_loss)):
        raise UserError(f"training diverged in epoch {number} (loss {loss}). Lower the learning rate.")
    progress.history.append({"epoch": number, "loss": loss, "validation_loss": validation_loss})
    if validation_loss < progress.best_loss:
        progress.best_loss, progress.best_epoch = validation_loss, number
        progress.best_weights = copy.deepcopy(network.state_dict())


def batches(images: torch.Tensor, order: torch.Tensor, size: int, device: str) -> Iterator[torch.Tensor]:
    """Yield (at most size, c, h, w) float in [0, 1] of (n, c, h, w) uint8 images, rows in `order`."""
    for rows in order.split(size):
        batch = images[rows].to(device, non_blocking=True).float().div_(255)
        yield batch.to(memory_format=torch.channels_last)


def _shown(
    images: torch.Tensor, labels: torch.Tensor | None, order: torch.Tensor, size: int, device: str
) -> Iterator[tuple[torch.Tensor, Any]]:
    """Yield each batch's rows and what the loss is given of them."""
    for rows, batch in zip(order.split(size), batches(images, order, size, device), strict=True):
        yield rows, batch if labels is None else (batch, labels[rows].to(device))


def random_source(*numbers: int) -> torch.Generator:
    """Return a CPU generator that depends on every number given."""
    mixed = 0
    for number in numbers:
        mixed = (mixed * 1_000_003 + number + 1) % (2**63)
    return torch.Generator().manual_seed(mixed)


def _epoch(
    network: nn.Module, optimiser: torch.optim.Optimizer, batch_loss: BatchLoss, images: torch.Tensor,
    labels: torch.Tensor | None, schedule: Schedule, run: RunOptions, number: int,
) -> float:  # fmt: skip
    network.train()
    generator = random_source(run.seed, number)
    total = torch.zeros((), device=run.device)
    order = torch.randperm(len(images), generator=generator)
    for rows, batch in _shown(images, labels, order, schedule.batch_size, run.device):
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(run.device, torch.bfloat16, enabled=run.precision == "bfloat16"):
            loss = batch_loss(network, batch, generator)
        loss.backward()
        optimiser.step()
        total += loss.detach() * len(rows)
    return float(total) / len(images)


@torch.inference_mode()
def _validate(
    network: nn.Module,
    batch_loss: BatchLoss,
    images: torch.Tensor,
    labels: torch.Tensor | None,
    schedule: Schedule,
    run: RunOptions,
) -> float:
    network.eval()
    generator = random_source(run.seed, 0)
    total = 0.0
    for rows, batch in _shown(images, labels, torch.arange(len(images)), schedule.batch_size, run.device):
        total += float(batch_loss(network, batch, generator)) * len(rows)
    return total / len(images)


def _resume(network: nn.Module, optimiser: torch.optim.Optimizer, checkpoint: Path | None) -> Progress:
    state = checkpoints.read(checkpoint)
    if state is None:
        return Progress()
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    return Progress(**state["progress"])


def versions() -> dict[str, str]:
    """Return the versions that a training's result may depend on."""
    return {
        "mlproject": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
