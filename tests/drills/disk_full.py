"""Drill: every stage, and a promotion, on a disk that is full after so many bytes of a file.

    python tests/drills disk_full [STAGE …]

A stage must end with one line and exit code 2, leave no temporary file, and change no output; what writes
into MLflow's store must end well once there is space again. The kernel's limit on the size of a file stands
in for the disk. Prints how many were tried, survived and lost.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml
from support.pipeline_project import TINY, write_category

from mlproject.tracking import connection

ROOT = Path(__file__).resolve().parents[2]
STAGES = {
    "ingest": [], "prepare": ["disc"], "shortcuts": ["disc"], "settings": [], "train": ["disc", "kd_cae"],
    "score": ["disc", "kd_cae"], "evaluate": ["disc", "kd_cae"], "compare": [], "report": [], "register": [],
    "promote": ["disc", "--model", "kd_cae", "--force", "--why", "drill"],
}  # fmt: skip
IN_STORE = ("register", "promote")
COMMANDS = {"promote": ["-c", "from mlproject import cli; cli.main()", "promote"]}  # others are scripts
LIMITS = (0, 300, 10_000, 100_000)  # bytes
GROWTH = (0, 40_000)  # bytes that MLflow's database may grow by, in addition
TIMES = ("run.json",)  # differ from run to run
PROGRESS = "training/*/epoch_*.png"  # a training that starts again removes those of the one before


def make_project(folder: Path) -> None:
    """Write photos and params.yaml of a project with one category and one model."""
    write_category(folder / "photos/disc", seed=0, n_train=20)
    tree = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    tree["data"].update(source="folder", path="photos")
    tree.update(categories=["disc"], detectors=["kd_cae"])
    tree["prepare"]["image_size"] = 64
    tree["split"]["validation_share"] = 0.4
    tree["evaluate"]["bootstrap"] = 100
    for settings in tree["models"].values():
        settings |= {key: value for key, value in TINY.items() if key in settings}
    (folder / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")


def run(folder: Path, stage: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a stage's script, which may write `limit` bytes into a file."""

    def fill() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        # nobody answers at the other one
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db" if stage in IN_STORE else "http://127.0.0.1:9",
        "PYTHONDONTWRITEBYTECODE": "1",  # it would leave truncated bytecode
        "MPLCONFIGDIR": str(folder / ".matplotlib"),
    }
    command = COMMANDS.get(stage, [str(ROOT / f"pipelines/{stage}.py")])
    return subprocess.run(
        [sys.executable, *command, *STAGES[stage]],
        cwd=folder, env=environment, preexec_fn=fill, capture_output=True, text=True, check=False,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Return path → bytes of every output, without those that hold times."""
    places = [folder / name for name in ("data", "artifacts", "reports")]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name not in TIMES}


def wrong(folder: Path, stage: str, limit: int) -> str:
    """Run a stage on a full disk and return what is wrong; empty if nothing."""
    before = contents(folder)
    result = run(folder, stage, limit)
    after = contents(folder)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    if result.returncode not in (0, 2) or "Traceback" in result.stderr:
        return f"exit code {result.returncode}: {result.stderr[-500:]}"
    if result.returncode == 2 and (len(errors) != 1 or errors != result.stderr.splitlines()[-1:]):
        return f"{len(errors)} lines of error: {result.stderr[-500:]}"
    if parts := [name for name in after if ".part" in name]:
        return f"left behind {parts}"
    kept = {name for name in before if not Path(name).match(PROGRESS)}
    if gone := kept - after.keys():
        return f"without {', '.join(sorted(gone))}"
    changed = [name for name in kept if after[name] != before[name]]
    return f"changed {', '.join(changed)}" if changed else ""


def wrong_in_store(folder: Path, stage: str, limit: int) -> str:
    """Do as `wrong` with the store as it was before the stage, then run the stage without a limit."""
    copy_store(kept_before(folder, stage), folder)
    if said := wrong(folder, stage, limit):
        return said
    again = run(folder, stage)
    return f"then exit code {again.returncode}: {again.stderr[-500:]}" if again.returncode else ""


def kept_before(folder: Path, stage: str) -> Path:
    """Return the folder with a copy of the store as it was before the stage."""
    kept = folder / f"store before {stage}"
    kept.mkdir(exist_ok=True)
    return kept


def copy_store(source: Path, target: Path) -> None:
    """Put a copy of MLflow's database and artifacts in the place of those in `target`."""
    for name in ("mlflow.db", "mlruns"):
        if (target / name).is_dir():
            shutil.rmtree(target / name)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
        elif (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def drill(stages: list[str], limits: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Run the pipeline once, then each stage at each limit; yield its title and what was wrong."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_project(folder)
        for stage in list(STAGES)[: max(list(STAGES).index(name) for name in stages) + 1]:
            if stage in IN_STORE:
                connection.create_database(folder / "mlflow.db")
                copy_store(folder, kept_before(folder, stage))
            result = run(folder, stage)
            assert result.returncode == 0, result.stderr
        for stage in stages:
            attempt, tried = wrong, list(limits)
            if stage in IN_STORE:
                size = (kept_before(folder, stage) / "mlflow.db").stat().st_size
                attempt, tried = wrong_in_store, [*limits, *(size + more for more in GROWTH)]
            for limit in tried:
                yield f"{stage}, {limit:,} bytes a file", attempt(folder, stage, limit)


def tries(arguments: list[str]) -> Iterator[tuple[str, str]]:
    """Run the drill of the stages named, or of all."""
    return drill(arguments or list(STAGES), LIMITS)
