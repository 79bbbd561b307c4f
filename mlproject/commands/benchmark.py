"""`mlproject benchmark`: train and evaluate categories × models × seeds, and compare them in one table."""

from pathlib import Path
from typing import Annotated

import typer

from mlproject.core import artifacts


def benchmark(
    categories: Annotated[
        str | None, typer.Option(help="Names with commas between; default: params.yaml's categories.")
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            help="Names with commas between; default: params.yaml's detectors, without supervised ones."
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="How many, such as 3, or a list with a comma in it, such as 0,5 or 7,")
    ] = "3",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trainings at the same time; default: one a core.")
    ] = None,
    engine: Annotated[str, typer.Option(help="processes, or ray: the machines of a cluster.")] = "processes",
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT of the cluster; default: RAY_ADDRESS, else this machine.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for benchmark.md, .csv and .png.")] = artifacts.BENCHMARK,
) -> None:
    """Train and evaluate categories × models × seeds; a second call trains only what changed."""
    from mlproject import engines
    from mlproject.benchmark import run

    run.benchmark(categories, models, seeds, workers, out, engines.chosen(engine, address))
