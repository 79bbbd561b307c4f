"""`mlproject extend`: a registered version with good photos added, or training images taken out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlproject.core.errors import UserError, quoted

if TYPE_CHECKING:
    from mlproject.registry.extension import Extended

NAMED = 3  # photos that a line names


def extend(
    model: Annotated[str, typer.Argument(help="bottle (its champion), bottle/7, models:/sample-bottle/7.")],
    add: Annotated[
        list[Path] | None, typer.Option(help="A photo of a good part, or a folder of them. Repeatable.")
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(help="A training image: its path as recorded, or the end of it. Repeatable."),
    ] = None,
) -> None:
    """Add good photos to a registered version, or take training images out: a new version, not promoted.

    What was fitted to all images at once stays. Threshold and test figures are measured again, on the images
    that the version was calibrated and tested on: they must be prepared here.
    """
    if not add and not remove:
        raise UserError("Give --add PHOTOS or --remove IMAGE, or both; each may be repeated.")
    from mlproject.registry import extension
    from mlproject.registry.address import find_version
    from mlproject.tracking import connection

    client = connection.open_registry()
    made = extension.extend(client, find_version(client, model), add or (), remove or ())
    typer.echo("\n".join(_told(made)))


def _told(made: "Extended") -> list[str]:
    """Return what was done, line by line."""
    parent, facts, registered = made.parent, made.facts, made.registered
    training, measured = facts.training, facts.metrics
    added, removed = (len(training["extends"][name]) for name in ("added", "removed"))
    before, now = parent.threshold["threshold"], facts.threshold["threshold"]
    lines = [
        f"{registered.name} version {registered.version} ({'new' if registered.new else 'known'}): "
        f"{parent.title} with {added} images added and {removed} taken out, {training['n_train']} in all.",
        f"Threshold {now:.6g} (it was {before:.6g}), from {measured['n_calibration']} good images.",
    ]
    if measured["auroc"] is not None:
        n_test = measured["n_good"] + measured["n_defective"]
        lines.append(
            f"AUROC {measured['auroc']:.3f} (it was {parent.metrics['auroc']:.3f}), from the same {n_test} "
            "test images."
        )
    if made.known:
        names = ", ".join(map(quoted, made.known[:NAMED])) + (" …" if made.known[NAMED:] else "")
        lines.append(f"Left out, learnt from or calibrated on already: {len(made.known)} ({names})")
    if training["n_train"] > (most := parent.detector.extendable_images):
        lines.append(
            f"This version cannot be extended again: of more than {most} training images it keeps only what "
            f"counts at each place. {parent.title} still can, and `dvc repro` trains on all photos."
        )
    lines.append(
        f"Not promoted: `mlproject promote {registered.name} --version {registered.version}` does that if it "
        "passes the gate."
    )
    return lines
