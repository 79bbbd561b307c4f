"""Display of a tuning's trials: a progress bar on a terminal, one line each anywhere else."""

from typing import Any

from mlproject.training.progress import CountDisplay


class TuningDisplay(CountDisplay):
    """Display in which each `show(trial.json)` counts a trial.

    Attributes:
        best: the highest objective of the whole tuning, its earlier calls included; None: of no trial yet.
    """

    def __init__(self, title: str, done: int, limit: int, best: float | None) -> None:
        super().__init__(title, done, limit)
        self.best = best

    def show(self, trial: dict[str, Any]) -> None:
        """Show a trial that ended."""
        if trial["state"] == "interrupted":
            return
        value = trial["verdict"]["value"] if trial["state"] == "complete" else None
        if value is not None:
            self.best = value if self.best is None else max(value, self.best)
        best = f"  best {self.best:.4f}" if self.best is not None else ""
        said = f"objective {value:.4f}" if value is not None else f"{trial['state']}: {trial['reason']}"
        seconds = trial["ended"] - trial["began"]
        number = f"trial {trial['number']}  {self.done + 1}/{self.limit}"
        line = f"{self.title}  {number}  {said}{best}  {seconds:.0f} s"
        self.advance(f"{self.title}{best}", line, above=trial["state"] == "failed")
