"""`mlproject tune`: look for better settings of one model on one category."""

from typing import Annotated

import typer


def tune(
    category: Annotated[str, typer.Option(help="A category of params.yaml that is prepared.")],
    model: Annotated[str, typer.Option(help="A model of params.yaml.")],
    trials: Annotated[int | None, typer.Option(min=1, help="How many in all; else tune.trials.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="The most a trial trains; else tune.epochs.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; else tune.workers.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the study; else params.yaml's seed.")] = None,
    objective: Annotated[str | None, typer.Option(help="proxy or labelled; else tune.objective.")] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="MLPROJECT_STUDY_STORAGE", help="URL of a database; else a file of the study's own."
        ),
    ] = None,
) -> None:
    """Look for better settings; the best go to data/tuned/CATEGORY/MODEL.yaml. Called again, it goes on."""
    from mlproject.tuning import run

    run.tune(
        category,
        model,
        trials=trials,
        epochs=epochs,
        workers=workers,
        seed=seed,
        objective=objective,
        storage=storage,
    )
