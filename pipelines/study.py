"""Stage study: one question about one category, answered by trainings that differ in one thing."""

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mlproject import engines
from mlproject.core import artifacts, files, params, script
from mlproject.core.tables import write_table
from mlproject.engines import Cluster
from mlproject.reports.figures import drawing, study_charts
from mlproject.studies.components import runner, tables
from mlproject.studies.components.base import Cell, Result, Study
from mlproject.studies.components.inputs import StudyInputs
from mlproject.training import code_hash, loop
from mlproject.training.progress import EpochDisplay


def main(category: str, name: str) -> None:
    """Run the missing cells of study `name`; write its table, summary and figure."""
    study, folder = runner.opened(category, name), artifacts.study_folder(category, name)
    workers = params.study_workers()
    cluster = engines.chosen(params.value("engine"), where=f"{params.FILE}: engine")
    gap = study.gap()
    if gap:
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{category} {name}: left out: {gap}")
        result = Result(gap=gap)
    else:
        result = _result(study, name, workers, cluster)
    files.write_json(folder / "run.json", _run(study, name))
    _write(study, name, result)


def _result(study: Study, name: str, workers: int, cluster: Cluster | None) -> Result:
    category = study.inputs.category
    folder = artifacts.study_folder(category, name)
    study.prepare(folder, _shown)
    wanted, started = study.cells(), time.perf_counter()

    def on_cell(done: int, total: int, cell: Cell, seconds: float) -> None:
        passed = time.perf_counter() - started
        print(
            f"{category} {name} {done}/{total}  {cell}  {seconds:.1f} s  ({passed:.0f} s in all)", flush=True
        )

    share = functools.partial(_over, cluster, category) if cluster else None
    return study.result(runner.run_all(study, wanted, folder / "cells", workers, on_cell, share))


def _over(
    cluster: Cluster,
    category: str,
    work: Callable[..., Any],
    items: Sequence[str],
    start: Callable[..., None],
    arguments: Sequence[object],
    on_gpu: bool,
) -> Iterator[Any]:
    """Share a study's cells out over a Ray cluster: a `runner.Share`."""
    from mlproject.engines import ray_cluster

    needed = (params.FILE, artifacts.PREPARED / category)
    with ray_cluster.connected(cluster):
        yield from ray_cluster.completed(
            work, items, needed=needed, start=start, arguments=arguments, on_gpu=on_gpu
        )


@contextmanager
def _shown(title: str) -> Iterator[Callable[[loop.Epoch], None]]:
    with EpochDisplay(title) as display:
        yield display.show


def _run(study: Study, name: str) -> dict[str, Any]:
    """Return run.json: the facts of the study, as of a training, and what varies between equal runs."""
    inputs: StudyInputs = study.inputs
    cells = artifacts.study_folder(inputs.category, name) / "cells"
    ended = runner.ended(cells)
    return {
        **inputs.conditions,
        "model": f"study {name}",
        "settings": study.settings.model_dump(mode="json"),
        "code": code_hash.code_hash(*study.code),
        "n_train": len(inputs.roles.train),
        "n_validation": len(inputs.roles.validation),
        "seconds": round(runner.seconds(cells), 3),
        **({} if ended is None else {"ended": ended}),
    }


def _write(study: Study, name: str, result: Result) -> None:
    """Write table.csv, summary.json and the figure; print the answer."""
    category = study.inputs.category
    out = artifacts.study_report_folder(category, name)
    write_table(out / "table.csv", tables.frame(name, category, result.rows))
    summary = {
        "study": name,
        "category": category,
        "title": study.title,
        "statements": list(result.statements),
        "notes": list(result.notes),
        "gap": result.gap,
        "comparisons": [_without_nan(one) for one in result.comparisons],
        **result.facts,
        "interval": study.interval,
        "settings": study.settings.model_dump(mode="json"),
        "figures": [f"{name}.png"],
    }
    files.write_json(out / "summary.json", summary)
    caption = (
        " ".join([*result.statements, f"Intervals: {study.interval}"])
        if not result.gap
        else f"Left out: {result.gap}."
    )
    figure = study_charts.charts(f"{category}: {study.title}", result.charts, caption)
    drawing.save(figure, out / "figures" / f"{name}.png")
    for sentence in result.statements:
        print(f"{category} {name}: {sentence}")


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}


if __name__ == "__main__":
    script.run(main)
