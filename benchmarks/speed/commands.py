"""Whole commands: a stage from a cold start to its first work, and DVC with nothing to do."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.speed.measure import ROOT, Group, Row, Side
from benchmarks.speed.worker import Measured

TRAIN = (
    "from pipelines import train; from mlproject import models; from mlproject.core import params; "
    "models.create('kd_cae', params.value('models.kd_cae'))"
)
PREPARE = "from pipelines import prepare"
PARTS = ("mlproject", "pipelines", "dvc.yaml", "params.yaml", "data/photos", "data/tuned")


def groups(tiny: bool) -> list[Group]:
    """Return both."""
    sides = {
        "torch": Side('`python -c "import torch"`', "commands:python", {"code": "import torch"}),
        "train": Side("`train`, to an untrained KD-CAE", "commands:python", {"code": TRAIN}),
        "prepare": Side("`prepare`, imported", "commands:python", {"code": PREPARE}),
    }
    cold = (
        Row("a cold stage that needs torch", "train", "torch", "s", at_most=1.3),
        Row("a cold stage that needs no torch", "prepare", "torch", "s"),
    )
    idle = {
        "repro": Side("`dvc repro report`, all up to date", "commands:repro", {"small": tiny}),
        "status": Side("`dvc status`, project without stages", "commands:status"),
    }
    return [
        Group("cold", sides, cold, rounds=1 if tiny else 5),
        Group(
            "dvc",
            idle,
            (Row("`dvc repro` with nothing to do", "repro", "status", "s", at_most=1.5),),
            rounds=1 if tiny else 5,
            note="`report` is the last stage but `register`, which always runs.",
        ),
    ]


def python(code: str, scratch: str) -> Measured:
    """Seconds of a Python process, once its files are in the disk's cache."""
    command = [sys.executable, "-c", code]
    return Measured(lambda: _seconds(command, ROOT))


def repro(small: bool, scratch: str) -> Measured:
    """Seconds of `dvc repro` in a copy of this project, with stand-ins recorded as its stages' outputs."""
    folder = _project(Path(scratch, "project"), small)
    from dvc.repo import Repo

    before = Path.cwd()
    os.chdir(folder)
    try:
        with Repo() as repo:
            outputs = [Path(out.fs_path) for out in repo.index.outs]
            inputs = [Path(dep.fs_path) for dep in repo.index.deps if not hasattr(dep, "params")]
        for path in {*outputs, *inputs}:
            if not path.exists():
                file = path if path.suffix else path / "stand-in"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
    finally:
        os.chdir(before)
    _seconds(["dvc", "commit", "--force", "--quiet"], folder)
    command = ["dvc", "repro", "--quiet", "report"]
    return Measured(lambda: _seconds(command, folder), lambda: f"{len(outputs)} outputs")


def status(scratch: str) -> Measured:
    """Seconds of `dvc status` where there is no stage."""
    folder = Path(scratch, "empty")
    folder.mkdir()
    _initialise(folder)
    return Measured(lambda: _seconds(["dvc", "status", "--quiet"], folder))


def _project(folder: Path, small: bool) -> Path:
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / part, folder / part)
    if small:
        tree: dict[str, Any] = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
        tree |= {"categories": ["bracket"], "detectors": ["pca"]}
        (folder / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    _initialise(folder)
    return folder


def _initialise(folder: Path) -> None:
    _seconds(["dvc", "init", "--no-scm", "--quiet"], folder)
    config = (ROOT / ".dvc/config").read_text(encoding="utf-8")
    (folder / ".dvc/config").write_text(
        config.replace("[core]", "[core]\n    no_scm = true"), encoding="utf-8"
    )


def _seconds(command: Sequence[str], folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return time.perf_counter() - started
