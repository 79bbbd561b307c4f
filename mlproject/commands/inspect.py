"""`mlproject inspect bottle@champion`."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlproject.inference.inspect_view import Judge
    from mlproject.registry.loaded_version import Offered


def inspect(
    model: Annotated[str, typer.Argument(help="A registered version: bottle@champion, bottle/7.")],
    host: Annotated[
        str, typer.Option(help="Where to listen; 0.0.0.0 shows it to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 7860,
) -> None:
    """Show a web page: an image, its reconstruction and heat map, the verdict, its score among good ones."""
    from mlproject.inference import inspect_server

    inspect_server.require_packages()
    from mlproject.registry import loaded_version

    offered = loaded_version.offered(model)
    judges = inspect_server.Judges({one.label: partial(_judge, one) for one in offered})
    judges.get(offered[0].label)  # what is wrong with it is said now, not on the page
    title = f"{offered[0].version.name}: what a model makes of one image"
    inspect_server.serve(judges, title, host, port, lambda where: typer.echo(f"{where}  (Ctrl-C ends it)"))


def _judge(offered: "Offered") -> "Judge":
    from mlproject.inference.inspect_view import Judge
    from mlproject.registry import loaded_version

    found = loaded_version.load_version(offered.version)
    return Judge(
        category=found.category,
        detector=found.detector,
        threshold=found.threshold,
        image_size=found.image_size,
        good_scores=loaded_version.good_scores(offered.version),
    )
