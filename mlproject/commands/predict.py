"""`mlproject predict`: scores and verdicts of a registered model for photos of any folder."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlproject.core.errors import UserError, quoted

if TYPE_CHECKING:
    import pandas as pd

    from mlproject.data.buckets import Place
    from mlproject.engines import Cluster
    from mlproject.inference.predict import Prediction
    from mlproject.inference.regions import Marked
    from mlproject.models.components.heat_scale import HeatScale


def predict(
    model: Annotated[str, typer.Argument(help="bottle@champion, bottle/7, models:/sample-bottle/7.")],
    photos: Annotated[
        list[str], typer.Argument(help="Image files, folders and s3://bucket/folder, with all below them.")
    ],
    out: Annotated[Path | None, typer.Option(help="Results: a .csv, .json or .parquet file.")] = None,
    overlays: Annotated[Path | None, typer.Option(help="A new folder for photos with heat maps.")] = None,
    regions: Annotated[
        Path | None, typer.Option(help="Where defects are: a .json file, COCO's format.")
    ] = None,
    engine: Annotated[str, typer.Option(help="processes, or ray: the machines of a cluster.")] = "processes",
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT of the cluster; default: RAY_ADDRESS, else this machine.")
    ] = None,
) -> None:
    """Score photos; exit with 1 if some could not be scored, with 2 if none was.

    The heat maps of all photos share one colour scale, set by the model's good images. Regions are those of
    photos called defective, where the map is above 99.9 % of the good images' pixels.
    """
    from rich.console import Console
    from rich.progress import track

    from mlproject import engines
    from mlproject.data.photos import find
    from mlproject.inference.predict import predict_photos, verdict_line
    from mlproject.inference.results import check_writable, table, write

    cluster = engines.chosen(engine, address)
    if out:
        check_writable(out)
    if regions:
        check_writable(regions, (".json",))
    if out and regions and out.resolve() == regions.resolve():
        raise UserError(
            f"{quoted(out)}: --out and --regions are the same file. Name another for one of them."
        )
    if cluster and (out is None or overlays or regions):
        raise UserError("--engine ray writes a table alone: give --out, and neither --overlays nor --regions")
    paths, others = find(photos)
    if cluster and out:
        _over_cluster(model, photos, paths, others, out, cluster)
        return
    with ExitStack() as stack:
        draw, side = None, 0
        if overlays:
            from mlproject.reports.figures import overlays as drawings

            drawings.check_new(overlays)
            side = drawings.PICTURE_SIDE
        from mlproject.registry import loaded_version

        by = loaded_version.load(model)
        marks = _Marks.of(by.title, by.detector.heat_scale) if regions else None
        if overlays:
            draw = stack.enter_context(drawings.folder_of(overlays, paths, by.detector.heat_scale))
        predictions = predict_photos(
            by.detector, by.threshold, by.image_size, paths, side, maps=marks is not None
        )
        console = Console(stderr=True)
        rows = []
        for prediction in track(
            predictions, by.title, len(paths), console=console, disable=not console.is_terminal
        ):
            rows.append(prediction.row())
            boxes = marks.add(prediction) if marks else []
            if draw and prediction.picture is not None and prediction.anomaly_map is not None:
                draw(prediction.path, prediction.picture, prediction.anomaly_map, boxes)
            if out is None and not prediction.error:
                typer.echo(verdict_line(prediction.row()))
    if out:
        write(out, rows)
    if marks and regions:
        marks.write(regions)
    _conclude(by.title, table(rows), others)


def _over_cluster(
    model: str, photos: list[str], paths: "list[Place]", others: Counter[str], out: Path, cluster: "Cluster"
) -> None:
    from rich.console import Console
    from rich.progress import track

    from mlproject.inference.sharded_predict import Model, Run
    from mlproject.registry import loaded_version

    by = loaded_version.load(model)
    run = Run(Model.of(by.detector, by.threshold, by.image_size), paths, out)
    total, missing = len(run.shards), len(run.missing)
    typer.echo(f"{total} shards: {total - missing} were scored before, {missing} to do", err=True)
    console = Console(stderr=True)
    for _ in track(
        run.score(cluster, photos), by.title, missing, console=console, disable=not console.is_terminal
    ):
        pass
    _conclude(by.title, run.finish(), others)


@dataclass
class _Marks:
    """Regions of the photos so far.

    Attributes:
        level: of the map, from which a pixel belongs to a region.
    """

    title: str
    level: float
    photos: "list[Marked]"

    @classmethod
    def of(cls, title: str, scale: "HeatScale | None") -> "_Marks":
        if scale is None:
            raise UserError(
                "this version was made by a release that stored no colour scale: retrain it to get regions"
            )
        return cls(title, scale.usual, [])

    def add(self, prediction: "Prediction") -> list[tuple[float, ...]]:
        """Take a photo's regions; return their boxes as shares of its width and height."""
        from mlproject.inference.regions import Marked, find

        if prediction.error or prediction.anomaly_map is None:
            return []
        width, height = prediction.size
        found = find(prediction.anomaly_map, self.level, prediction.size) if prediction.defective else []
        self.photos.append(Marked(prediction.row()["path"], prediction.size, found))
        return [
            (left / width, top / height, (left + wide) / width, (top + high) / height)
            for left, top, wide, high in (region.box for region in found)
        ]

    def write(self, path: Path) -> None:
        from mlproject.core import files
        from mlproject.inference.regions import coco

        files.write_json(path, coco(f"{self.title}: map above {self.level:.6g}", self.photos))


def _conclude(title: str, rows: "pd.DataFrame", others: Counter[str]) -> None:
    """Print the counts on the error stream, and name each photo that could not be scored.

    Raises:
        Exit: there is one.
    """
    broken = rows[rows["error"].notna()]
    defective = int(rows["defective"].sum())
    typer.echo(f"{title}: {_photos(len(rows) - len(broken))} scored, {defective} defective", err=True)
    if others:
        counted = ", ".join(f"{count} {quoted(ending)}" for ending, count in sorted(others.items()))
        typer.echo(f"Left out, not photos: {counted}", err=True)
    if len(broken):
        typer.echo(f"{_photos(len(broken))} could not be scored:", err=True)
        for path, error in zip(broken["path"], broken["error"], strict=True):
            typer.echo(f"  {quoted(path)}: {error}", err=True)
        raise typer.Exit(2 if len(broken) == len(rows) else 1)


def _photos(count: int) -> str:
    return f"{count} photo{'' if count == 1 else 's'}"
