"""Stopwatch of a training: the seconds that its epochs took, in however many processes."""

import time
from pathlib import Path

from mlproject.core import files


class Stopwatch:
    """Seconds of a training, kept after each epoch in a file next to the checkpoint that they belong to.

    What a killed process spent on an epoch that it did not finish is not counted, nor is the time until the
    training went on.

    Args:
        checkpoint: of the training; `checkpoints.keep_only` removes the stopwatch's file with it.
    """

    def __init__(self, checkpoint: Path) -> None:
        self._file = checkpoint.with_name(f"{checkpoint.name}.seconds")
        self._before = files.read_json(self._file)["seconds"] if self._file.exists() else 0.0
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return float(self._before + time.perf_counter() - self._started)

    def times(self, images: int) -> dict[str, float]:
        """Return what run.json says of the time, for a training that ends now.

        Args:
            images: shown in all its epochs.
        """
        seconds = self.seconds
        return {
            "seconds": round(seconds, 3),
            "images_per_second": round(images / seconds, 1),
            "ended": round(time.time(), 3),  # since 1970
        }

    def __call__(self, epoch: object) -> None:
        """Keep the seconds so far: an epoch has ended."""
        files.write_json(self._file, {"seconds": self.seconds})
