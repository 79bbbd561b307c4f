"""`mlproject generate`: images of a trained generator as PNG files, all of them or none."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlproject.core.errors import UserError

if TYPE_CHECKING:
    from mlproject.generators.base import Generator

OVERHEAD = 4096  # bytes for each file in addition to its pixels: one block of a file system


def generate(
    category: Annotated[str, typer.Argument(help="A category whose generator `dvc repro` has trained.")],
    out: Annotated[Path, typer.Argument(help="A new folder for the images.")],
    generator: Annotated[str, typer.Option(help="A generator of params.yaml.")] = "dcgan",
    count: Annotated[int, typer.Option(min=1, help="How many images.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other images.")] = 0,
) -> None:
    """Write images that a trained generator makes, as PNG files, all of them or none."""
    from mlproject import generators
    from mlproject.core import artifacts
    from mlproject.core.wording import counted

    write(generators.load(artifacts.model_folder(category, generator)), count, out, seed)
    typer.echo(f"{counted(count, 'image', 'images')} in {out}")


def write(generator: "Generator", count: int, folder: Path, seed: int) -> None:
    """Write `count` images as 000000.png, … into a folder that is new or empty.

    Raises:
        UserError: the folder holds something, may not be written to, or its disk has no room: nothing is
            written.
    """
    from PIL import Image

    from mlproject.core.files import check_folder_of, written_whole

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: already exists. Name a new folder, or empty this one.")
    check_folder_of(folder)
    first = generator.sample(1, seed)[0]
    _demand_room(count, first.nbytes, folder)
    with written_whole(folder) as part:
        for number, image in enumerate(generator.stream(count, seed)):
            Image.fromarray(image).save(part / f"{number:06d}.png")


def _demand_room(count: int, bytes_each: int, folder: Path) -> None:
    """Raise a UserError unless the disk holds the images even if PNG compresses nothing."""
    existing = next(parent for parent in folder.absolute().parents if parent.exists())
    needed, free = count * (bytes_each + OVERHEAD), shutil.disk_usage(existing).free
    if needed > free:
        fit = max(0, free // (bytes_each + OVERHEAD))
        raise UserError(
            f"{folder}: {count} images need up to {needed / 1e9:,.2f} GB, its disk has {free / 1e9:,.2f} GB "
            f"free. Nothing was written. Ask for at most {fit}, or name a folder on another disk."
        )
