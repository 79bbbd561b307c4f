"""`mlproject run`: the pipeline, with each stage's number and the time that is left."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

# Of one stage on 2 cores, with the defaults on the built-in sample; it counts how they compare.
SECONDS = {
    "ingest": 15.0, "prepare": 4.0, "settings": 2.0, "train": 30.0, "train pca": 5.0, "score": 6.0,
    "evaluate": 6.0, "shortcuts": 4.0, "generate": 60.0, "tune": 300.0, "study": 90.0, "compare": 3.0,
    "report": 5.0, "register": 15.0,
}  # fmt: skip


def run(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Stages and what they need; all if none.")
    ] = None,
) -> None:
    """Run what changed of the pipeline, as `dvc repro` does, with each stage's number and the time left."""
    from dvc import cli  # sets up the logger that Progress listens to

    wanted = targets or []
    progress = Progress(planned(wanted))
    logger = logging.getLogger("dvc")
    logger.addHandler(progress)
    try:
        code = cli.main(["repro", *wanted])
    finally:
        logger.removeHandler(progress)
    raise typer.Exit(code)


def planned(targets: Sequence[str]) -> list[str]:
    """Return the stages that `dvc repro TARGETS` looks at, in its order; [] where it will fail."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.reproduce import plan_repro

    try:
        with Repo() as repo:
            stages = [stage for target in targets for stage in repo.stage.collect(target)] or None
            return [stage.addressing for stage in plan_repro(repo.index.graph, stages)]
    except DvcException:  # `dvc repro` says what is wrong
        return []


class Progress(logging.Handler):
    """Hears from DVC which stage it begins or skips, and prints a line before each that runs.

    The time left is that of the stages to come (`SECONDS`), as fast as those that have run; stages whose
    inputs will turn out unchanged count too, so it may be less.
    """

    def __init__(self, stages: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._total = len(stages)
        self._to_come = list(stages)
        self._clock = clock
        self._running: tuple[str, float] | None = None
        self._expected = self._took = 0.0  # of the stages that have run

    def emit(self, record: logging.LogRecord) -> None:
        """Note a message of DVC's that concerns a stage of the plan."""
        name = record.args[0] if isinstance(record.args, tuple) and record.args else None
        message = str(record.msg)
        begins = message.startswith("Running stage")
        if name not in self._to_come or not (begins or "skipping" in message):
            return
        self._finish()
        self._to_come.remove(str(name))
        if begins:
            self._running = (str(name), self._clock())
            print(
                f"stage {self._total - len(self._to_come)} of {self._total}{self._left(str(name))}",
                flush=True,
            )

    def _finish(self) -> None:
        if self._running:
            name, began = self._running
            self._expected += expected(name)
            self._took += self._clock() - began
            self._running = None

    def _left(self, name: str) -> str:
        pace = self._took / self._expected if self._expected else 1.0
        seconds = pace * sum(map(expected, [name, *self._to_come]))
        return f", about {max(1, round(seconds / 60))} min left" if seconds > 20 else ", nearly done"


def expected(name: str) -> float:
    """Return the seconds that a stage such as train@bracket-pca may take."""
    script, _, item = name.partition("@")
    model = item.rpartition("-")[2]
    return SECONDS.get(f"{script} {model}", SECONDS.get(script, 5.0))
