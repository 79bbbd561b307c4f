"""`mlproject watch`: photos scored as they arrive in folders and buckets, verdicts kept in a table."""

import signal
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Annotated

import typer


def watch(
    model: Annotated[str, typer.Argument(help="bottle@champion, bottle/7, models:/sample-bottle/7.")],
    folders: Annotated[
        list[str],
        typer.Argument(help="Folders, or s3://bucket/folder, that photos arrive in, all below included."),
    ],
    table: Annotated[Path, typer.Option(help="SQLite file for the verdicts; made if absent.")] = Path(
        "verdicts.db"
    ),
    every: Annotated[
        float, typer.Option(min=0.01, help="Seconds between two looks; a file at rest for so long is whole.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Score what is there, then end.")] = False,
    run_length: Annotated[
        int, typer.Option(min=100, help="Photos in which one false alarm of drift is allowed on average.")
    ] = 10_000,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve /health and /metrics; 0: a free port.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; 0.0.0.0 shows it to the network.")
    ] = "127.0.0.1",
) -> None:
    """Score photos as they arrive, until Ctrl-C or SIGTERM; each gets one row in the table.

    A photo is its path and its content. Started again, it goes on where it stopped. Between two looks, once a
    minute at most, it asks whether the model's alias has moved, and uses the new version from then on.
    `mlproject verdicts` writes the table as CSV.
    """
    from mlproject.core.files import check_place
    from mlproject.production import arrivals, status_page, verdict_table
    from mlproject.production.watch import Watch
    from mlproject.registry import model_in_use

    watched = arrivals.check_folders(folders)
    check_place(table)
    used = model_in_use.load(model)
    with ExitStack() as stack:
        kept = stack.enter_context(verdict_table.opened(table, new=True))
        figures = status_page.Figures(kept, every)
        line = Watch(
            model=used,
            newer=lambda now: model_in_use.newer(model, now),
            folders=watched,
            table=kept,
            run_length=run_length,
            figures=figures,
            stop=_stop_event(),
            tell=typer.echo,
        )
        if port is not None:
            address = stack.enter_context(status_page.served(figures, host, port))
            typer.echo(f"{address}/health and {address}/metrics", err=True)
        typer.echo(f"{used.version.title}, verdicts in {table}{'' if once else '; Ctrl-C ends it'}", err=True)
        line.run(every, once=once)
        counts = ", ".join(f"{count} {name}" for name, count in kept.counts().items())
        left = line.arrivals.waiting
        typer.echo(f"{table}: {counts}{f'; {left} not yet whole' if left else ''}", err=True)


def _stop_event() -> Event:
    """Return an event that the first Ctrl-C or SIGTERM sets; the second one ends the process at once."""
    stop = Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return stop
