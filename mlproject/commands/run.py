"""`mlproject run`: the pipeline, categories at the same time, with each stage's number and the time left."""

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated

import psutil
import typer

from mlproject.core.parallel import usable_cores

# Seconds that one stage takes on one core with the default settings and the built-in sample. Only their
# ratios matter.
SECONDS = {
    "ingest": 45.0, "prepare": 4.0, "settings": 2.0, "train": 55.0, "train pca": 5.0, "train patch_kde": 20.0,
    "train cnn": 90.0, "train anogan": 90.0, "score": 8.0, "score patch_kde": 18.0, "evaluate": 8.0,
    "shortcuts": 4.0, "generate": 100.0, "tune": 300.0, "study": 90.0, "compare": 4.0, "report": 5.0,
    "register": 18.0,
}  # fmt: skip
# Stages of one category, and of one pair, that can run together with another category's: not those that
# share out their own work to all cores (tune, study), nor those that come before or after all categories.
OF_CATEGORY = ("prepare", "shortcuts")
OF_PAIR = ("train", "score", "evaluate", "generate")
# What DVC says after every stage, and to somebody who runs it by hand.
LEFT_OUT = re.compile(
    r"\s*$|(?:Updating|Generating) lock file|To (?:track the changes|enable auto staging)|"
    r"\tgit add |\tdvc config |Use `dvc push`"
)

FAILED = re.compile(r"failed to run: .*, exited with (\d+)")


def run(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Stages, run with what they need; all if none is named.")
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(min=1, help="Categories at the same time; by default as many as cores.")
    ] = None,
) -> None:
    """Run what changed of the pipeline, as `dvc repro` does, with each stage's number and the time left.

    Several categories run at the same time, each on one thread; a single one has all cores.
    OMP_NUM_THREADS sets another number of threads. While another `mlproject run` runs here, it waits.
    """
    from mlproject.core import files

    refuse_wrong_params()
    signal.signal(signal.SIGTERM, _interrupt_all)
    # DVC gives up, with 255, where another one runs a stage of the same files
    with files.locked(Path("dvc.lock")) if Path("dvc.yaml").is_file() else nullcontext():
        raise typer.Exit(repro_all(targets or [], at_once))


def repro_all(wanted: Sequence[str], at_once: int | None) -> int:
    """Run the stages wanted, categories at the same time; return the exit code, as `repro` does.

    Raises:
        UserError: params.yaml has a wrong value among the settings that are used; nothing has run.
    """
    from mlproject.commands import params_check

    stages, changed = planned(wanted)
    if changed - {"register"}:  # which always runs
        params_check.refuse_used_settings()
    chains = by_category(stages)
    common = [stage for stage in ("ingest", "settings") if stage in stages]
    workers = min(at_once or usable_cores(), len(chains))
    if changed.isdisjoint([*common, *itertools.chain(*chains)]):
        workers = 1  # nothing to do at the same time: one DVC instead of one a category
    progress = Progress(stages, max(1, workers))
    if workers > 1:
        codes = [repro(common, progress)] if common else []
        if not any(codes):
            with ThreadPoolExecutor(workers) as pool:
                codes += pool.map(lambda chain: repro(["--single-item", *chain], progress, "1"), chains)
        if any(codes):
            return max(codes)
        progress.at_once = 1
        done = {*common, *itertools.chain(*chains)}
        rest = [stage for stage in stages if stage not in done]
        if not rest:
            return 0
        wanted = ["--single-item", *rest]  # DVC takes most of a second to see that one is unchanged
    return repro(wanted, progress)


def refuse_wrong_params() -> None:
    """Refuse values that DVC would fail at without naming the key, or only after other stages.

    `repro_all` refuses those of the models', generators' and studies' own settings: to look takes seconds.

    Raises:
        UserError: names it.
    """
    from mlproject.commands import params_check
    from mlproject.core import params
    from mlproject.data import ingest

    if params.FILE.is_file():  # DVC misses it itself
        params_check.refuse_wrong_values(only_used=True)
        data = params.load("data", params.Data)
        if data.source == "folder":
            ingest.source_folder(data)


def planned(targets: Sequence[str]) -> tuple[list[str], set[str]]:
    """Return the stages that `dvc repro TARGETS` looks at, in its order, and which stages are not up to date.

    Not those that only follow such a stage. No stages where `dvc repro` will fail.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.reproduce import plan_repro

    try:
        with Repo() as repo:
            chosen = [stage for target in targets for stage in repo.stage.collect(target)] or None
            stages = [stage.addressing for stage in plan_repro(repo.index.graph, chosen)]
            return stages, set(repo.status())
    except DvcException:  # `dvc repro` says what is wrong
        return [], set()


def by_category(stages: Sequence[str]) -> list[list[str]]:
    """Return the stages of each category that can run while another's do, in the given order."""
    chains: dict[str, list[str]] = {}
    for stage in stages:
        script, _, item = stage.partition("@")
        category = item if script in OF_CATEGORY else item.rpartition("-")[0] if script in OF_PAIR else ""
        if category:
            chains.setdefault(category, []).append(stage)
    return list(chains.values())


def _interrupt_all(number: int, frame: FrameType | None) -> None:
    """Interrupt DVC and its stages too: SIGTERM comes to one process, Ctrl-C to all."""
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN  # in a shell's background
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM if ignored else signal.SIGINT)
    raise KeyboardInterrupt


def repro(arguments: Sequence[str], progress: "Progress", threads: str | None = None) -> int:
    """Run `dvc repro`, print what it and its stages say as soon as they do, and return the exit code.

    This is the exit code of the stage that failed (2: a mistake that the user can correct), because DVC
    itself exits with 255 for every failure. If a signal ended DVC, for example because the machine ran out of
    memory, it is 128 plus the signal's number.

    `--single-item` keeps it from looking at stages before those named, which another one may be reading.
    """
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if threads:
        environment.setdefault("OMP_NUM_THREADS", threads)
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
    )  # fmt: skip
    assert process.stdout is not None
    of_stage = 0
    try:
        for line in process.stdout:
            if not LEFT_OUT.match(line):
                print(progress.note(line), end="", flush=True)
            if found := FAILED.search(line):
                of_stage = int(found[1])
    except KeyboardInterrupt:
        print(process.stdout.read(), end="", flush=True)  # DVC and the stage were interrupted too
        process.wait()
        raise
    code = process.wait()
    if code < 0:
        name = signal.Signals(-code).name
        print(f"error: DVC was ended by {name}. Run again: what is done is kept.", file=sys.stderr)
        return 128 - code
    return code and (of_stage or code)


class Progress:
    """Follows from DVC's own lines which stages have begun and ended, and says what is left.

    The time left is that of the stages to come (`SECONDS`), as fast as those that have run; stages whose
    inputs will turn out unchanged count too, so it may be less.
    """

    def __init__(
        self, stages: Sequence[str], at_once: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.at_once = at_once  # stages that run at the same time
        self._total = len(stages)
        self._to_come = list(stages)
        self._clock = clock
        self._lock = threading.Lock()
        self._began: float | None = None
        self._done = 0.0  # seconds that the stages begun should take in all, shared out to those at once

    def note(self, line: str) -> str:
        """Return a line of DVC's as it is shown; the one that begins a stage says its number and the time."""
        found = re.match(r"(?:Running stage |Stage |(?=.*' didn't change))'([^']+)'( didn't change)?", line)
        if not found:
            return line
        name, unchanged = found[1], found[2]  # of a .dvc file DVC says no "Stage"
        with self._lock:
            if name in self._to_come:
                self._to_come.remove(name)
            elif not unchanged:
                return line
            if unchanged:
                return ""
            left = self._left(name)
            number = self._total - len(self._to_come)
            self._done += expected(name) / self.at_once
        return f"\nstage {number} of {self._total}, {left}: {name}\n"

    def _left(self, name: str) -> str:
        now = self._clock()
        if self._began is None:
            self._began = now
        pace = (now - self._began) / self._done if self._done else 1.0
        seconds = pace * sum(map(expected, [name, *self._to_come])) / self.at_once
        return f"about {max(1, round(seconds / 60))} min left" if seconds > 20 else "nearly done"


def expected(name: str) -> float:
    """Return the seconds that a stage such as train@bracket-pca may take."""
    script, _, item = name.partition("@")
    model = item.rpartition("-")[2]
    return SECONDS.get(f"{script} {model}", SECONDS.get(script, 5.0))
