"""`mlproject predict`: a registered model judges photos, wherever they are."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer


def predict(
    model: Annotated[str, typer.Argument(help="bottle@champion, bottle/7, models:/sample-bottle/7.")],
    photos: Annotated[list[Path], typer.Argument(help="Image files, and folders with all below them.")],
    out: Annotated[Path | None, typer.Option(help="Results: a .csv, .json or .parquet file.")] = None,
    overlays: Annotated[Path | None, typer.Option(help="A new folder for photos with heat maps.")] = None,
) -> None:
    """Judge photos; exit with 1 if some could not be judged, with 2 if none was.

    The heat maps of all photos share one colour scale, set by the model's good images.
    """
    from rich.console import Console
    from rich.progress import track

    from mlproject.data import photos as files
    from mlproject.inference import predict as judging

    if out:
        judging.check_writable(out)
    paths = files.find(photos)
    with ExitStack() as stack:
        draw, side = None, 0
        if overlays:
            from mlproject.reports.figures import overlays as drawings

            drawings.check_new(overlays)
            side = drawings.PICTURE_SIDE
        from mlproject.registry import loaded_version

        by = loaded_version.load(model)
        if overlays:
            draw = stack.enter_context(drawings.folder_of(overlays, paths, by.detector.heat_scale))
        verdicts = judging.judge(by.detector, by.threshold, by.image_size, paths, side)
        console = Console(stderr=True)
        rows = []
        for verdict in track(
            verdicts, by.title, len(paths), console=console, disable=not console.is_terminal
        ):
            rows.append(verdict.row())
            if draw and verdict.picture is not None and verdict.anomaly_map is not None:
                draw(verdict.path, verdict.picture, verdict.anomaly_map)
            if out is None and not verdict.error:
                typer.echo(_line(verdict.row()))
    if out:
        judging.write(out, rows)
    broken = [row for row in rows if row["error"]]
    _summary(by.title, rows, broken)
    if broken:
        raise typer.Exit(2 if len(broken) == len(rows) else 1)


def _line(row: dict[str, Any]) -> str:
    sign, word = (">", "defective") if row["defective"] else ("≤", "good     ")
    return f"{word}  {row['score']:.6g} {sign} {row['threshold']:.6g}  {row['path']}"


def _summary(name: str, rows: list[dict[str, Any]], broken: list[dict[str, Any]]) -> None:
    """Say on the error stream how many are what, and name each file that could not be judged."""
    defective = sum(row["defective"] is True for row in rows)
    judged = len(rows) - len(broken)
    typer.echo(f"{name}: {judged} photos judged, {defective} defective", err=True)
    if broken:
        typer.echo(f"{len(broken)} could not be judged:", err=True)
    for row in broken:
        typer.echo(f"  {row['path']}: {row['error']}", err=True)
