"""Run of a benchmark, for `mlproject benchmark`: missing cells, then the table, the figure and the record."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mlproject.benchmark import engine, kept, plan, summary
from mlproject.benchmark.cell import Cell, Outcome
from mlproject.benchmark.plan import Plan
from mlproject.core import files
from mlproject.core.errors import UserError, quoted
from mlproject.core.params import Threshold
from mlproject.core.tables import write_table
from mlproject.engines import Cluster
from mlproject.reports import benchmark as report
from mlproject.reports.figures import benchmark_chart, drawing
from mlproject.tracking.facts import git_tags
from mlproject.training.progress import CountDisplay

if TYPE_CHECKING:
    from mlproject.tracking.benchmark_runs import BenchmarkRecord


class Stopped(UserError):
    """The user ended the benchmark early."""

    exit_code = 130


def benchmark(
    categories: str | None,
    models: str | None,
    seeds: str,
    workers: int | None,
    out: Path,
    cluster: Cluster | None = None,
) -> None:
    """Run the cells that no earlier call finished; write benchmark.md, .csv and .png into `out`.

    Args:
        categories, models, seeds: as `plan.load` has them.
        workers: how many at the same time; None: one a core.
        cluster: where they run; None: in processes of this machine.

    Raises:
        Stopped: by Ctrl-C; finished cells are kept.
        UserError: a mistake in the plan, before anything is trained; or some cells could not be trained, once
            all others are. Nothing is written.
    """
    planned = plan.load(categories, models, seeds)
    if out.exists() and not out.is_dir():
        raise UserError(f"{quoted(out)}: is a file. Name a folder.")
    missing = [cell for cell in planned.cells if not kept.is_kept(cell)]
    n_kept = len(planned.cells) - len(missing)
    print(f"{len(planned.cells)} trainings: {n_kept} were finished before, {len(missing)} to do", flush=True)
    with open_record(planned) as record:
        try:
            failures = _run(planned, missing, workers, cluster, record) if missing else []
        except KeyboardInterrupt:
            raise Stopped("stopped; finished trainings are kept, the same command goes on") from None
        if failures:
            lines = "\n".join(f"{cell}: {error}" for cell, error in failures)
            raise UserError(
                f"{len(failures)} of {len(planned.cells)} trainings failed; no table was written, the others "
                f"are kept.\n{lines}"
            )
        outcomes = {cell.key: kept.read(cell) for cell in planned.cells}
        evaluated = [
            summary.Evaluated.of(pair, [outcomes[cell.key] for cell in pair.cells]) for pair in planned.pairs
        ]
        rows = summary.rows(evaluated, planned.resamples)
        made = report.Made.by(planned.command, [outcome.measured for outcome in outcomes.values()])
        written = _write(rows, made, out)
        for cell in planned.cells:  # those that were finished before, unless the store has them
            record.cell(cell.key, *_recorded(outcomes[cell.key], planned.threshold(cell)))
        record.finish(summary.over_categories(rows), written)
    for path in written:
        print(path)


def _run(
    planned: Plan,
    missing: Sequence[Cell],
    workers: int | None,
    cluster: Cluster | None,
    record: "BenchmarkRecord | SilentRecord",
) -> list[tuple[Cell, UserError]]:
    """Run the missing cells and keep them; return those that could not be trained."""
    commit, failures = commit_here(), []
    total = len(planned.cells)
    with (
        engine.running(missing, workers, cluster) as (at_once, finished),
        CountDisplay("benchmark", total - len(missing), total) as display,
    ):
        for cell, outcome in finished:
            if isinstance(outcome, UserError):
                failures.append((cell, outcome))
                said = f"failed: {outcome}"
            else:
                outcome.measured.update({"at_once": at_once, "commit": commit})
                kept.write(cell, outcome)
                measured, figures = _recorded(outcome, planned.threshold(cell))
                record.cell(cell.key, measured, figures)
                shown = " ".join(f"{name} {report.number(figures[name])}" for name in summary.MEASURES)
                said = f"{shown}  {measured['seconds']:.1f} s"
            line = f"{display.done + 1}/{display.limit}  {cell}  {said}"
            display.advance(f"benchmark  {cell}", line, above=True)
    return failures


def _recorded(outcome: Outcome, threshold: Threshold) -> tuple[dict[str, Any], dict[str, float | None]]:
    return outcome.measured, summary.figures(outcome, threshold)


def _write(rows: Sequence[dict[str, Any]], made: report.Made, out: Path) -> list[Path]:
    """Write the table and the figure; return their paths."""
    table, text, figure = (out / f"benchmark.{kind}" for kind in ("csv", "md", "png"))
    write_table(table, report.csv(rows, made))
    drawing.save(benchmark_chart.benchmark(rows), figure)
    files.write_text(text, report.markdown(rows, summary.over_categories(rows), made, figure.name))
    return [text, table, figure]


def commit_here() -> str:
    """Return the short commit of the working folder, marked -dirty with changes; empty without git."""
    tags = git_tags()
    mark = "-dirty" if tags.get("mlproject.tree") == "dirty" else ""
    return tags.get("mlflow.source.git.commit", "")[:10] + mark


class SilentRecord:
    """Takes everything, records nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def cell(self, key: str, measured: dict[str, Any], figures: dict[str, float | None]) -> None:
        """Take a cell."""

    def finish(self, models: Sequence[dict[str, Any]], written: Sequence[Path]) -> None:
        """Take the result."""


def open_record(planned: Plan) -> "BenchmarkRecord | SilentRecord":
    """Return the record of a benchmark, as a context."""
    try:
        from mlproject.tracking.benchmark_runs import BenchmarkRecord
    except ModuleNotFoundError as error:
        if error.name != "mlflow":
            raise
        print("mlflow is not installed: the benchmark is recorded in files only", file=sys.stderr)
        return SilentRecord()
    return BenchmarkRecord(planned.command, {cell.key: cell.facts for cell in planned.cells})
