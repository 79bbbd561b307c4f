"""`mlproject tune`: search for better settings of one model on one category."""

from typing import Annotated

import typer


def tune(
    category: Annotated[str, typer.Option(help="A category of params.yaml that is prepared.")],
    model: Annotated[str, typer.Option(help="A model of params.yaml.")],
    trials: Annotated[int | None, typer.Option(min=1, help="How many in all; default: tune.trials.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="The most that a trial trains; default: tune.epochs.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trials at the same time; default: tune.workers.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the search; default: params.yaml's seed.")
    ] = None,
    objective: Annotated[str | None, typer.Option(help="proxy or labelled; default: tune.objective.")] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="MLPROJECT_STUDY_STORAGE", help="URL of a database; default: a file of the search's own."
        ),
    ] = None,
    engine: Annotated[str, typer.Option(help="processes, or ray: the machines of a cluster.")] = "processes",
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT of the cluster; default: RAY_ADDRESS, else this machine.")
    ] = None,
) -> None:
    """Search for better settings; the best go to data/tuned/CATEGORY/MODEL.yaml. A second call continues."""
    from mlproject import engines
    from mlproject.tuning import run

    run.tune(
        category,
        model,
        engines.chosen(engine, address),
        trials=trials,
        epochs=epochs,
        workers=workers,
        seed=seed,
        objective=objective,
        storage=storage,
    )
