"""Log everything that the files hold and the store does not: stage register and `mlproject register`."""

from mlproject.core import artifacts, params
from mlproject.registry import pages, register
from mlproject.tracking import connection, runs
from mlproject.tracking.generator_facts import GeneratorFacts
from mlproject.tracking.study_facts import StudyFacts


def record_all() -> None:
    """Record every category, detector, generator and study of params.yaml; print what was done.

    Where the store is away a line says so and nothing else happens: the files stand, the next call logs.

    Raises:
        UserError: the experiment was deleted, or results are incomplete.
        mlflow.exceptions.MlflowException: the store answers, but refuses.
    """
    from mlflow.exceptions import MlflowException

    if not connection.reachable():
        print(connection.away_message("nothing is lost"))
        return
    try:
        _record(connection.dataset())
    except (MlflowException, OSError):
        if connection.reachable():
            raise
        print(connection.away_message("nothing is lost"))


def _record(dataset: str) -> None:
    run_ids = []
    for category in params.value("categories"):
        for model in params.value("detectors"):
            if not (artifacts.report_folder(category, model) / "metrics.json").is_file():
                print(f"{category} {model}: no results yet, left out (`dvc repro` makes them)")
                continue
            run_id = runs.record(dataset, category, model)
            version = register.register(dataset, category, model, run_id)
            what = "new" if version.new else "known"
            print(f"{category} {model}: {version.name} version {version.version} ({what})")
            run_ids.append(run_id)
    made = _record_generators(dataset) + _record_studies(dataset)
    if run_ids or made:
        runs.join(dataset, [*run_ids, *made])
    if run_ids:
        _print_links(dataset)


def _record_generators(dataset: str) -> list[str]:
    """Record every generator; return their runs. They make images, so they are no registered detectors."""
    run_ids = []
    for category in params.value("categories"):
        for generator in params.value("generators_used"):
            if not (artifacts.report_folder(category, generator) / "quality.json").is_file():
                print(f"{category} {generator}: no results yet, left out (`dvc repro` makes them)")
                continue
            run_ids.append(runs.log(dataset, GeneratorFacts.read(category, generator)))
            print(f"{category} {generator}: recorded")
    return run_ids


def _record_studies(dataset: str) -> list[str]:
    """Record every study; return their runs: metrics by level, the table, the figure, the answer in words."""
    run_ids = []
    for category in params.value("categories"):
        for study in params.value("studies_used"):
            if not (artifacts.study_report_folder(category, study) / "summary.json").is_file():
                print(f"{category} study {study}: no results yet, left out (`dvc repro` makes them)")
                continue
            run_ids.append(runs.log(dataset, StudyFacts.read(category, study)))
            print(f"{category} study {study}: recorded")
    return run_ids


def _print_links(dataset: str) -> None:
    if not connection.is_server():
        print("`make ui` opens:")
    print("\n".join(pages.links(connection.connect(), dataset, pages.address())))
