"""Progress displays of trainings and of things counted: a bar on a terminal, plain lines anywhere else."""

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from mlproject.training.loop import Epoch

if TYPE_CHECKING:
    from rich.progress import Progress

LINES = 20  # plain lines for a whole training, about


class ShownEpoch(Protocol):
    """What a display must know of an epoch, of whatever is trained."""

    @property
    def number(self) -> int:
        """Return which it is, from 1."""

    @property
    def limit(self) -> int:
        """Return how many there are at most."""

    def in_words(self) -> str:
        """Return its figures for one line."""


class _Bar:
    """Context in which a bar is shown on a terminal; anywhere else `progress` is None."""

    def __init__(self, title: str, done: int = 0, limit: int | None = None) -> None:
        self.title = title
        self.progress: Progress | None = None
        if sys.stdout.isatty():
            from rich import progress as rich  # not without a terminal: it takes a while to import

            self.progress = rich.Progress(
                rich.TextColumn("{task.description}"),
                rich.BarColumn(20),
                rich.MofNCompleteColumn(),
                rich.TimeRemainingColumn(),
            )
            self.task = self.progress.add_task(title, total=limit, completed=done)

    def __enter__(self) -> Self:
        if self.progress:
            self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.progress:
            self.progress.stop()


class EpochDisplay(_Bar):
    """Context in which each `show(epoch)` moves the bar or prints a line."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self.started = time.perf_counter()
        self.first: int | None = None

    def show(self, epoch: ShownEpoch) -> None:
        """Show where the training stands after an epoch."""
        figures = epoch.in_words()
        if self.progress:
            description = f"{self.title}  {figures}"
            self.progress.update(
                self.task, total=epoch.limit, completed=epoch.number, description=description
            )
            return
        self.first = self.first or epoch.number
        seconds = (time.perf_counter() - self.started) / (epoch.number - self.first + 1)
        left = seconds * (epoch.limit - epoch.number)
        if epoch.number % max(1, epoch.limit // LINES) == 0 or epoch.number in (1, epoch.limit):
            print(
                f"{self.title}  epoch {epoch.number}/{epoch.limit}  {figures}  at most {left:.0f} s left",
                flush=True,
            )


class CountDisplay(_Bar):
    """Context in which each `advance` moves the bar or prints a line.

    Attributes:
        title: what is counted.
        done, limit: how many there are, and will be.
    """

    def __init__(self, title: str, done: int, limit: int) -> None:
        super().__init__(title, done, limit)
        self.done, self.limit = done, limit

    def advance(self, title: str, line: str, *, above: bool) -> None:
        """Count one more.

        Args:
            title: the bar's from now on.
            line: printed where there is no bar.
            above: print the line above the bar too.
        """
        self.done += 1
        if not self.progress:
            print(line, flush=True)
            return
        self.progress.update(self.task, completed=self.done, description=title)
        if above:
            self.progress.console.print(line, markup=False, highlight=False)


class SilentRun:
    """Stands where an MLflow run would when there is none: takes everything, records nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def epoch(self, epoch: Epoch) -> None:
        """Take an epoch."""

    def image(self, number: int, path: Path) -> None:
        """Take a picture."""
