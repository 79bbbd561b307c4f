"""Drill: a training and a registration killed at random moments, twice each, then run to the end.

    python tests/drills kill [train | register] [TRIES]

The end must be that of a run that nobody killed: the same weights and history, no temporary file; one run,
one version and one logged model, all finished. Prints how many were tried, survived and lost.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from drills.disk_full import ROOT, contents, make_project, run
from support import fork_server
from support import tracked_project as project

from mlproject.registry import loaded_version, record
from mlproject.tracking import connection, runs

CHANGES = ("open", "os.mkdir", "os.rename", "os.remove")
COUNT = 10**9  # no process makes as many changes
Job = Callable[[], None]


def train() -> None:
    """Run stage train on the project in the working directory."""
    sys.path.insert(0, str(ROOT))
    from pipelines import train as stage

    stage.main("disc", "kd_cae")


def register() -> None:
    """Record the project in the working directory."""
    record.record_all()


JOBS: dict[str, Job] = {"train": train, "register": register}


def die_at(change: int, folder: Path) -> Callable[[], int]:
    """Kill this process at its given change below `folder`; return a function that counts the changes."""
    seen = 0

    def audit(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event not in CHANGES or not str(arguments[0]).startswith((str(folder), "artifacts", "reports")):
            return
        if event == "open" and not (isinstance(arguments[1], str) and set(arguments[1]) & set("wxa")):
            return
        seen += 1
        if seen == change:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)
    return lambda: seen


def die_at_request(number: int) -> Callable[[], int]:
    """Kill this process right after its given request to MLflow's store; return a function that counts."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

    seen = 0

    def counted(call: Callable) -> Callable:
        def counting(*given: object, **options: object) -> object:
            nonlocal seen
            answer = call(*given, **options)
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return counting

    for store in (Registry, Tracking):
        for name in dir(store):
            if name.startswith(("create_", "log_", "set_", "update_", "finalize_", "delete_")):
                setattr(store, name, counted(getattr(store, name)))
    return lambda: seen


def child(job: str, change: int) -> None:
    """Do a job in the working directory; die at its given change, or print how many there were."""
    count = die_at(change, Path.cwd()) if job == "train" else die_at_request(change)
    JOBS[job]()
    print(f"changes {count()}")


def start(job: str, folder: Path, change: int) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db" if job == "register" else "http://127.0.0.1:9",
    }
    return subprocess.run(
        [fork_server.programs() / "python", __file__, job, str(change)],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def make(job: str, folder: Path) -> None:
    """Write what the job works on."""
    if job == "train":
        make_project(folder)
        for stage in ("ingest", "prepare", "settings"):
            assert run(folder, stage).returncode == 0
        return
    here = Path.cwd()
    os.chdir(folder)
    try:
        connection.create_database(folder / "mlflow.db")
        project.train_model(folder / "trained")
        project.write_params([project.CATEGORY], [project.MODEL])
        project.write_pair(folder / "trained")
    finally:
        os.chdir(here)


def result(job: str, folder: Path) -> object:
    """Return what a job leaves, as far as it is the same each time."""
    if job == "train":
        return contents(folder)
    here, before = Path.cwd(), os.environ.get("MLFLOW_TRACKING_URI")
    os.chdir(folder)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    try:
        client, found = connection.connect(), project.all_runs()
        versions = client.search_model_versions("")
        models = client.search_logged_models([found[0].info.experiment_id])
        return (
            sorted((run.info.status, runs.PARENT in run.data.tags) for run in found),
            [(version.name, str(version.version)) for version in versions],
            [model.status for model in models],
            loaded_version.load_version(versions[0]).threshold,
        )
    finally:
        os.chdir(here)
        os.environ.pop("MLFLOW_TRACKING_URI")
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before


def drill(job: str, tries: int, seed: int = 0) -> list[str]:
    """Return what was wrong after each try; empty if nothing."""
    found = []
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        given, whole = Path(place, "given"), Path(place, "whole")
        given.mkdir()
        make(job, given)
        shutil.copytree(given, whole)
        ended = start(job, whole, COUNT)
        assert ended.returncode == 0, ended.stderr
        changes, expected = int(ended.stdout.rsplit("changes ", 1)[1]), result(job, whole)
        for number in range(tries):
            folder = Path(place, f"try {number}")
            shutil.copytree(given, folder)
            at = [draw.randint(1, changes) for _ in range(2)]
            for change in at:
                start(job, folder, change)  # the second may end before that change
            ended = start(job, folder, COUNT)
            wrong = ended.stderr[-500:] if ended.returncode else ""
            if not wrong and result(job, folder) != expected:
                wrong = f"{result(job, folder)}" if job == "register" else "other files"
            found.append(f"killed at changes {at} of {changes}: {wrong}" if wrong else "")
    return found


def tries(arguments: list[str]) -> Iterator[tuple[str, str]]:
    """Run the drill of the job named, or of both, as often as said."""
    times = int(arguments[1]) if len(arguments) > 1 else 10
    for job in arguments[:1] or JOBS:
        yield from ((job, wrong) for wrong in drill(job, times))


if __name__ == "__main__":  # a child
    child(sys.argv[1], int(sys.argv[2]))
