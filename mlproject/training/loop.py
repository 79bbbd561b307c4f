"""The epoch loop: shuffled batches, early stopping, best weights, checkpoint, resume.

Knows nothing of models: it is given a network and two functions, one that draws what is random in a batch,
one that computes the loss.
"""

import copy
import math
import platform
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mlproject import __version__
from mlproject.core.errors import UserError
from mlproject.training import checkpoints, data_parallel, memory
from mlproject.training.learner import Draw, Images, Learner, Loss, Losses
from mlproject.training.run_options import RunOptions

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
    draw: Draw,
    loss: Loss,
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
    memory.keep_between_steps()
    progress = _resume(network, optimiser, run.checkpoint)
    if not progress.history:
        run.on_start()
    learner = Learner(
        network, optimiser, draw, loss, schedule.batch_size, run.seed, run.device, run.precision
    )
    shown = Images(images, labels, validation, validation_labels)
    processes = 1 if progress.finished(schedule) else run.processes
    with data_parallel.shared_out(learner, shown, processes) as epoch:
        while not progress.finished(schedule):
            number, started = len(progress.history) + 1, time.perf_counter()
            losses = epoch(number)
            _note(progress, network, number, losses)
            if run.checkpoint:
                state = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
                checkpoints.write(run.checkpoint, state | {"progress": asdict(progress)})
            seconds = time.perf_counter() - started
            run.on_epoch(
                Epoch(number, schedule.epochs, *losses, progress.best_epoch, seconds, len(images) / seconds)
            )
    network.load_state_dict(progress.best_weights)
    return progress


def _note(progress: Progress, network: nn.Module, number: int, losses: Losses) -> None:
    loss, validation_loss = losses
    if not (math.isfinite(loss) and math.isfinite(validation_loss)):
        raise UserError(f"training diverged in epoch {number} (loss {loss}). Lower the learning rate.")
    progress.history.append({"epoch": number, "loss": loss, "validation_loss": validation_loss})
    if validation_loss < progress.best_loss:
        progress.best_loss, progress.best_epoch = validation_loss, number
        progress.best_weights = copy.deepcopy(network.state_dict())


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
