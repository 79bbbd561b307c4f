"""Display of things counted, such as trials: a progress bar on a terminal, one line each anywhere else."""

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class CountDisplay:
    """Context in which each `advance` moves the bar or prints a line.

    Attributes:
        title: what is counted.
        done, limit: how many there are, and will be.
    """

    def __init__(self, title: str, done: int, limit: int) -> None:
        self.title, self.done, self.limit = title, done, limit
        self.progress: Progress | None = None
        if Console().is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn()
            self.progress = Progress(*columns, TimeRemainingColumn())
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


class TuningDisplay(CountDisplay):
    """Display in which each `show(trial.json)` counts a trial."""

    best: float | None = None

    def show(self, trial: dict[str, Any]) -> None:
        """Show a trial that ended."""
        if trial["state"] == "interrupted":
            return
        value = trial["verdict"]["value"] if trial["state"] == "complete" else None
        if value is not None:
            self.best = max(value, self.best or 0.0)
        best = f"  best {self.best:.4f}" if self.best is not None else ""
        said = f"objective {value:.4f}" if value is not None else f"{trial['state']}: {trial['reason']}"
        seconds = trial["ended"] - trial["began"]
        number = f"trial {trial['number']}  {self.done + 1}/{self.limit}"
        line = f"{self.title}  {number}  {said}{best}  {seconds:.0f} s"
        self.advance(f"{self.title}{best}", line, above=trial["state"] == "failed")
