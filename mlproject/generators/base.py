"""Base class of all generators: fit, sample, save, load. A generator makes images and scores none."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mlproject.core import params
from mlproject.core.files import demand_files, written_whole
from mlproject.training.loop import History
from mlproject.training.run_options import RunOptions

WEIGHTS = "weights.safetensors"
DESCRIPTION = "generator.json"


@dataclass(frozen=True)
class GeneratorEpoch:
    """What one epoch gave. `seconds` alone differs between equal runs.

    Attributes:
        losses: what is minimised and watched, by name; a game has no single loss that falls.
    """

    number: int
    limit: int
    losses: dict[str, float]
    seconds: float

    def in_words(self) -> str:
        """Return the figures for a line of display."""
        return "  ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in self.losses.items())


class Generator(ABC):
    """Makes new images that look like those it was shown.

    Images are always (n, s, s, 3) uint8 RGB; those to learn from come at the prepared size and are
    shrunk by the generator itself, those it makes have its own size, `image_size`.

    Attributes:
        settings: the generator's section of params.yaml.
    """

    Parameters: ClassVar[type[params.Section]]

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Return (n, image_size, image_size, 3) uint8: the images as they are learnt from.

        Raises:
            UserError: they are too small, too few, or all of one colour: nothing can be learnt from them.
        """

    @abstractmethod
    def fit(self, images: np.ndarray, run: RunOptions) -> History:
        """Learn to make images like these; return epoch and losses of every epoch.

        Args:
            images: (n, s, s, 3) uint8.
            run: seed, device, precision, checkpoint, and what is called after each epoch.

        Raises:
            UserError: as `prepare`; or the training diverged.
        """

    @abstractmethod
    def stream(self, n: int, seed: int) -> Iterator[np.ndarray]:
        """Yield n images (image_size, image_size, 3) uint8, few in memory at once.

        An image depends on seed and place alone: the first of many are those of few.
        """

    def sample(self, n: int, seed: int) -> np.ndarray:
        """Return (n, image_size, image_size, 3) uint8 images, those of `stream`."""
        return np.stack(list(self.stream(n, seed)))

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Return every array that `load` needs."""

    @abstractmethod
    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the arrays of `state` back."""

    @abstractmethod
    def parameter_count(self) -> int:
        """Return how many numbers were learnt by gradient descent."""

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and generator.json; the folder appears whole or not at all."""
        from safetensors.numpy import save

        arrays = {name: np.ascontiguousarray(array) for name, array in self.state().items()}
        description = {
            "generator": type(self).__module__.rsplit(".", 1)[-1],
            "settings": self.settings.model_dump(),
        }
        with written_whole(folder) as part:
            (part / WEIGHTS).write_bytes(save(arrays))
            (part / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
            demand_files(part, (WEIGHTS, DESCRIPTION))
