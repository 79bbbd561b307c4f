"""Photos of noise, and commands that run on while a test does: what tests of a watched line need."""

import os
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from support import fork_server
from support import tracked_project as project


def write_photos(folder: Path, count: int, first: int = 0) -> list[Path]:
    """Write photos of noise, each of its own seed; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04d}.png" for number in range(first, first + count)]
    for number, path in enumerate(paths, start=first):
        pixels = np.random.default_rng(number).integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return paths


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start `mlproject` in a process of its own, in the working directory, without waiting for it."""
    code = "from mlproject import cli; cli.main()"
    environment = os.environ | {"PYTHONPATH": str(project.ROOT), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        # a job in a shell's background has SIGINT ignored, and what it starts as well
        ["env", "--default-signal=INT", fork_server.programs() / "python", "-c", code, *map(str, arguments)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
