"""Display of a tuning: a progress bar on a terminal, one line per trial anywhere else."""

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TuningDisplay:
    """Context in which each `show(trial.json)` moves the bar or prints a line."""

    def __init__(self, title: str, done: int, limit: int) -> None:
        self.title, self.done, self.limit = title, done, limit
        self.best: float | None = None
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

    def show(self, trial: dict[str, Any]) -> None:
        """Show a trial that ended."""
        if trial["state"] == "interrupted":
            return
        self.done += 1
        value = trial["verdict"]["value"] if trial["state"] == "complete" else None
        if value is not None:
            self.best = max(value, self.best or 0.0)
        best = f"  best {self.best:.4f}" if self.best is not None else ""
        if self.progress:
            self.progress.update(self.task, completed=self.done, description=f"{self.title}{best}")
            if trial["state"] != "failed":
                return
        said = f"objective {value:.4f}" if value is not None else f"{trial['state']}: {trial['reason']}"
        seconds = trial["ended"] - trial["began"]
        line = (
            f"{self.title}  trial {trial['number']}  {self.done}/{self.limit}  {said}{best}  {seconds:.0f} s"
        )
        if self.progress:
            self.progress.console.print(line, markup=False, highlight=False)
        else:
            print(line, flush=True)
