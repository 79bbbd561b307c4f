"""Options of one training: all that `fit` is given in addition to images and the model's own settings."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunOptions:
    """Options of one training, the same for every detector and generator.

    >>> run = RunOptions(seed=0, on_epoch=lambda epoch: print(epoch.in_words()))
    >>> run.device, run.precision
    ('cpu', 'float32')

    Attributes:
        seed: same seed, machine and thread count: same weights, byte for byte on a CPU.
        device: ``cpu`` or ``cuda``.
        precision: ``float32`` or ``bfloat16`` (arithmetic only; weights stay float32).
        checkpoint: file written after each epoch; when it exists, training goes on from it.
        on_start: called once the network is initialised and untrained; not when training goes on from a
            checkpoint, nor by a model without epochs.
        on_epoch: called after each epoch, with the network at that epoch's weights: by a detector with a
            `loop.Epoch`, by a generator with a `GeneratorEpoch`. What it raises ends the training.
        processes: that share the training, of a detector that is `data_parallel`; with cuda, one a GPU.
    """

    seed: int
    device: str = "cpu"
    precision: str = "float32"
    checkpoint: Path | None = None
    on_start: Callable[[], None] = lambda: None
    on_epoch: Callable[[Any], None] = lambda epoch: None
    processes: int = 1
