"""`mlproject export`: a registered model as one ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from mlproject.core.errors import UserError


def export(
    model: Annotated[str, typer.Argument(help="A registered version: bottle@champion, bottle/7.")],
    out: Annotated[Path, typer.Argument(help="The file to write, such as model.onnx.")],
) -> None:
    """Write a registered model as one ONNX file, threshold included, for machines without this project."""
    if out.suffix != ".onnx":
        raise UserError(f"{out}: the file's name must end in .onnx")
    from mlproject.core.files import check_place
    from mlproject.inference import onnx_export

    check_place(out)
    onnx_export.require_packages()
    from mlproject.registry import loaded_version

    found = loaded_version.load(model)
    detector, size = found.detector, found.image_size
    examples = onnx_export.examples_for(detector, size, found.example)
    difference = onnx_export.write(out, detector, found.threshold, size, examples, found.lineage())
    typer.echo(
        f"{out}: {found.title}, {out.stat().st_size / 2**20:.1f} MiB. ONNX Runtime scored "
        f"{len(examples)} images as the detector does; largest relative difference {difference:.1e}."
    )
    typer.echo(f"In: images (n, {size}, {size}, 3) uint8 RGB. Out: {', '.join(onnx_export.OUTPUTS)}.")
