"""Record in MLflow everything that the files know and it lacks: stage register and `mlproject register`."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mlproject.core import artifacts, params
from mlproject.core.errors import UserError
from mlproject.registry import pages, register
from mlproject.tracking import connection, runs, store_faults
from mlproject.tracking.generator_facts import GeneratorFacts
from mlproject.tracking.study_facts import StudyFacts


class _Result(NamedTuple):
    """One result of params.yaml: its name, a file that shows that it is there, and how it is recorded.

    `record` returns the run's id and what is printed.
    """

    title: str
    report: Path
    record: Callable[[], tuple[str, str]]


def record_all() -> None:
    """Record every category, detector, generator and study of params.yaml; print what was done.

    Where the store is away a line says so and nothing else happens: the files stand, the next call logs.

    Raises:
        UserError: some could not be recorded (the others are), the experiment was deleted, or the store
            answers but fails.
    """
    if not connection.reachable():
        print(connection.away_message("nothing is lost"))
        return
    try:
        _record(connection.dataset())
    except store_faults.kinds(OSError, ModuleNotFoundError) as error:
        if connection.reachable():
            raise store_faults.plain(error) or error from None
        print(connection.away_message("nothing is lost"))


def _record(dataset: str) -> None:
    connection.experiment(connection.connect(), dataset)
    run_ids, failed, count = [], [], 0
    for result in _results(dataset):
        if not result.report.is_file():
            print(f"{result.title}: no results yet, left out (`dvc repro` makes them)")
            continue
        count += 1
        try:
            run_id, said = result.record()
        except store_faults.kinds(UserError) as error:
            if not connection.reachable():
                raise
            print(f"{result.title}: not recorded: {store_faults.plain(error) or error}")
            failed.append(result.title)
        else:
            run_ids.append(run_id)
            print(f"{result.title}: {said}")
    if run_ids:
        runs.join(dataset, run_ids)
        _print_links(dataset)
    if failed:
        raise UserError(f"{len(failed)} of {count} results could not be recorded: {', '.join(failed)}")


def _results(dataset: str) -> Iterator[_Result]:
    categories = params.categories()
    detectors, generators, studies = map(params.chosen, ("detectors", "generators_used", "studies_used"))
    for category in categories:
        for model in detectors:
            report = artifacts.report_folder(category, model) / "metrics.json"
            yield _Result(f"{category} {model}", report, partial(_detector, dataset, category, model))
    for category in categories:
        for name in generators:
            report = artifacts.report_folder(category, name) / "quality.json"
            yield _Result(f"{category} {name}", report, partial(_generator, dataset, category, name))
    for category in categories:
        for name in studies:
            report = artifacts.study_report_folder(category, name) / "summary.json"
            yield _Result(f"{category} study {name}", report, partial(_study, dataset, category, name))


def _detector(dataset: str, category: str, model: str) -> tuple[str, str]:
    run_id = runs.record(dataset, category, model)
    version = register.register(dataset, category, model, run_id)
    return run_id, f"{version.name} version {version.version} ({'new' if version.new else 'known'})"


def _generator(dataset: str, category: str, generator: str) -> tuple[str, str]:
    """Record a generator. It makes images and is no registered detector."""
    return runs.log(dataset, GeneratorFacts.read(category, generator)), "recorded"


def _study(dataset: str, category: str, study: str) -> tuple[str, str]:
    """Record a study: metrics by level, the table, the figure, the answer in words."""
    return runs.log(dataset, StudyFacts.read(category, study)), "recorded"


def _print_links(dataset: str) -> None:
    if not connection.is_server():
        print("`make ui` opens:")
    print("\n".join(pages.links(connection.connect(), dataset, pages.address())))
