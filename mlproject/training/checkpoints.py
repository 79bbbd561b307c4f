"""Checkpoints that a killed training resumes from: one file per epoch, complete or absent, without code."""

from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from mlproject.core import files


def write(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers, texts and containers of them, whole or not at all."""
    content = BytesIO()  # torch's own file writer tells a full disk from a bug by no more than its text
    torch.save(state, content)
    files.write_bytes(path, content.getbuffer())


def read(path: Path | None) -> dict[str, Any] | None:
    """Return what `write` wrote, on the CPU; None where there is no checkpoint. Runs no code of the file."""
    if path is None or not path.exists():
        return None
    return torch.load(path, weights_only=True, map_location="cpu")


def keep_only(key: str, folder: Path) -> None:
    """Delete the files of other runs (all checkpoints for an empty key) and keep what this one can resume.

    Prints a line where that discards a training that was cut off.

    Args:
        key: how the names of this run's checkpoints begin.
        folder: of the training; pictures by epoch lie in its folders.
    """
    resumable = key and any(folder.glob(f"{key}*.checkpoint"))
    others = [path for path in folder.glob("*.checkpoint*") if not key or not path.name.startswith(key)]
    for checkpoint in others:
        checkpoint.unlink()
    if key and others:
        print(
            f"{folder}: the training that was cut off had other settings, images, code, library versions or "
            "threads: training starts from the first epoch",
            flush=True,
        )
    if key and not resumable:
        for picture in folder.glob("*/epoch_*.png"):
            picture.unlink()
