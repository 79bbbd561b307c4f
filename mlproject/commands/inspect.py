"""`mlproject inspect bottle@champion`."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlproject.judgement import Judge
    from mlproject.tracking.loaded import Offered


def inspect(
    model: Annotated[str, typer.Argument(help="A registered version: bottle@champion, bottle/7.")],
    host: Annotated[
        str, typer.Option(help="Where to listen; 0.0.0.0 shows it to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 7860,
) -> None:
    """Show a web page: an image, its reconstruction and heat map, the verdict, its score among good ones."""
    from mlproject import inspect_page

    inspect_page.require_packages()
    from mlproject.tracking import loaded

    offered = loaded.offered(model)
    judges = inspect_page.Judges({one.label: partial(_judge, one) for one in offered})
    judges.get(offered[0].label)  # what is wrong with it is said now, not on the page
    title = f"{offered[0].version.name}: what a model makes of one image"
    inspect_page.serve(judges, title, host, port, lambda where: typer.echo(f"{where}  (Ctrl-C ends it)"))


def _judge(offered: "Offered") -> "Judge":
    from mlproject.judgement import Judge
    from mlproject.tracking import loaded

    found = loaded.load_version(offered.version)
    return Judge(
        category=found.category,
        detector=found.detector,
        threshold=found.threshold,
        image_size=found.image_size,
        good_scores=loaded.good_scores(offered.version),
    )
