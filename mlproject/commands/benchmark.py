"""`mlproject benchmark`: train and evaluate categories × models × seeds, and compare them in one table."""

from pathlib import Path
from typing import Annotated

import typer

OUT = Path("reports/benchmark")


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
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for benchmark.md, .csv and .png.")] = OUT,
) -> None:
    """Train and evaluate categories × models × seeds; a second call trains only what changed."""
    from mlproject.benchmark import run

    run.benchmark(categories, models, seeds, workers, out)
