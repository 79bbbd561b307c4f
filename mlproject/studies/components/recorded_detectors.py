"""Detectors that are trained already: identified by what their files hold, loaded one at a time."""

from pathlib import Path

from mlproject import models
from mlproject.core import files
from mlproject.models.components.detector import DESCRIPTION, WEIGHTS, Detector


def hashes(folder: Path) -> list[str]:
    """Return the SHA-256 of the weights and of the description of the detector in a folder."""
    return [files.sha256(folder / name) for name in (WEIGHTS, DESCRIPTION)]


class LastLoaded:
    """Loads detectors and keeps the last one: cells of one detector follow one another."""

    def __init__(self) -> None:
        self._kept: tuple[Path, Detector] | None = None

    def load(self, folder: Path) -> Detector:
        """Return the detector in a folder."""
        if self._kept is None or self._kept[0] != folder:
            self._kept = folder, models.load(folder)
        return self._kept[1]
