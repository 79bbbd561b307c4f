"""A registered model in an empty folder, and photos for it: what tests of a watched line need.

PYTEST_DONT_REWRITE: the tests import it before pytest loads its fixtures.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlproject import cli
from mlproject.tracking import connection
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
        [fork_server.programs() / "python", "-c", code, *map(str, arguments)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def line(first, tmp_path, monkeypatch) -> Path:
    """A working directory that has nothing but MLFLOW_TRACKING_URI; bottle@champion is version 1."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", connection.uri())
    connection.connect().set_registered_model_alias(first.name, "champion", str(first.version))
    folder = tmp_path / "line"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def mlproject(line, monkeypatch, capsys):
    """Run the command line in this process; return exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mlproject", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return (int(end.value.code or 0), *capsys.readouterr())

    return run
