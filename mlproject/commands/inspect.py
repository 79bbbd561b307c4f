"""`mlproject inspect`: a web page that shows what a registered model makes of one image."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlproject.inference.inspect_view import ImageInspector
    from mlproject.registry.loaded_version import Offered


def inspect(
    model: Annotated[str, typer.Argument(help="A registered version: bottle@champion, bottle/7.")],
    host: Annotated[
        str, typer.Option(help="Where to listen; 0.0.0.0 shows it to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 7860,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Another name that leads here: box.lan, box.lan:8080."),
    ] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(help="CSV file: who looks marks what an image shows; `mlproject feedback` reads it."),
    ] = None,
) -> None:
    """Show a web page: an image, its reconstruction and heat map, the verdict, its score among good ones."""
    from mlproject.inference import inspect_server

    inspect_server.require_packages()
    from mlproject.registry import loaded_version

    keep = None
    if corrections:
        from mlproject.production.corrections import Corrections

        keep = Corrections(corrections).keep
    offered = loaded_version.offered(model)
    inspectors = inspect_server.Inspectors({one.label: partial(_inspector, one) for one in offered})
    inspectors.get(offered[0].label)  # a fault of this one is reported now, not on the page
    title = f"{offered[0].version.name}: what a model makes of one image"
    inspect_server.serve(
        inspectors,
        title,
        host,
        port,
        lambda where: typer.echo(f"{where}  (Ctrl-C ends it)"),
        name or (),
        keep,
    )


def _inspector(offered: "Offered") -> "ImageInspector":
    from mlproject.inference.inspect_view import ImageInspector
    from mlproject.registry import loaded_version

    found = loaded_version.load_version(offered.version)
    return ImageInspector(
        category=found.category,
        detector=found.detector,
        threshold=found.threshold,
        image_size=found.image_size,
        good_scores=loaded_version.good_scores(offered.version),
    )
