"""`mlproject predict`: scores and verdicts of a registered model for photos of any folder."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from mlproject.core.errors import quoted


def predict(
    model: Annotated[str, typer.Argument(help="bottle@champion, bottle/7, models:/sample-bottle/7.")],
    photos: Annotated[list[Path], typer.Argument(help="Image files, and folders with all below them.")],
    out: Annotated[Path | None, typer.Option(help="Results: a .csv, .json or .parquet file.")] = None,
    overlays: Annotated[Path | None, typer.Option(help="A new folder for photos with heat maps.")] = None,
) -> None:
    """Score photos; exit with 1 if some could not be scored, with 2 if none was.

    The heat maps of all photos share one colour scale, set by the model's good images.
    """
    from rich.console import Console
    from rich.progress import track

    from mlproject.data.photos import find
    from mlproject.inference.predict import check_writable, predict_photos, write

    if out:
        check_writable(out)
    paths, others = find(photos)
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
        predictions = predict_photos(by.detector, by.threshold, by.image_size, paths, side)
        console = Console(stderr=True)
        rows = []
        for prediction in track(
            predictions, by.title, len(paths), console=console, disable=not console.is_terminal
        ):
            rows.append(prediction.row())
            if draw and prediction.picture is not None and prediction.anomaly_map is not None:
                draw(prediction.path, prediction.picture, prediction.anomaly_map)
            if out is None and not prediction.error:
                typer.echo(_line(prediction.row()))
    if out:
        write(out, rows)
    broken = [row for row in rows if row["error"]]
    _print_summary(by.title, rows, broken, others)
    if broken:
        raise typer.Exit(2 if len(broken) == len(rows) else 1)


def _line(row: dict[str, Any]) -> str:
    sign, word = (">", "defective") if row["defective"] else ("≤", "good     ")
    return f"{word}  {row['score']:.6g} {sign} {row['threshold']:.6g}  {quoted(row['path'])}"


def _print_summary(
    title: str, rows: list[dict[str, Any]], broken: list[dict[str, Any]], others: Counter[str]
) -> None:
    """Print the counts on the error stream, and name each photo that could not be scored."""
    defective = sum(row["defective"] is True for row in rows)
    typer.echo(f"{title}: {_photos(len(rows) - len(broken))} scored, {defective} defective", err=True)
    if others:
        counted = ", ".join(f"{count} {quoted(ending)}" for ending, count in sorted(others.items()))
        typer.echo(f"Left out, not photos: {counted}", err=True)
    if broken:
        typer.echo(f"{_photos(len(broken))} could not be scored:", err=True)
    for row in broken:
        typer.echo(f"  {quoted(row['path'])}: {row['error']}", err=True)


def _photos(count: int) -> str:
    return f"{count} photo{'' if count == 1 else 's'}"
