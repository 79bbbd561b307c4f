"""`mlproject feedback`: verdicts that a person corrected, as a versioned data set."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from mlproject.core import artifacts
from mlproject.core.errors import UserError, quoted


def feedback(
    corrected: Annotated[
        Path,
        typer.Argument(help="CSV of `mlproject verdicts` with a column truth: good, or a defect."),
    ],
    category: Annotated[str, typer.Argument(help="What the photos show: a category of params.yaml.")],
    masks: Annotated[
        Path | None,
        typer.Option(help="Folder with a mask NAME_mask.png of each defective photo NAME."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            help="The data set: made from data/raw, then added to. [default: data/corrected/<its name>]"
        ),
    ] = None,
) -> None:
    """Add photos whose verdict a person corrected or confirmed to a data set, and version it with `dvc add`.

    Half of the good ones are learnt from; the others, and all defective ones, are only tested on. Rows
    without a truth are left out.
    """
    from mlproject.core import params
    from mlproject.core.errors import unknown_name
    from mlproject.production import feedback as data_set

    categories = params.categories()
    if category not in categories:
        raise unknown_name(f"params.yaml: category {category}", category, categories)
    data = params.load("data", params.Data)
    into = into or artifacts.CORRECTED / data.dataset_name
    if into.resolve().name != data.dataset_name:
        raise UserError(
            f"--into {quoted(into)}: must end in /{data.dataset_name}. Registered models are named after the "
            f"data set's folder: a challenger meets its champion as {data.dataset_name}-{category} alone."
        )
    if not into.resolve().is_relative_to(Path.cwd()):
        raise UserError(f"--into {quoted(into)}: must lie in the project's folder, for DVC to version it.")
    if into.resolve().is_relative_to(artifacts.RAW.resolve()):
        raise UserError(
            f"--into {quoted(into)}: {artifacts.RAW} is made by the pipeline. Name another place."
        )
    _demand_versioned_state(into)
    added = data_set.extend_data_set(data_set.read(corrected, masks), category, categories, into)
    counts = ", ".join(f"{count} to {folder}" for folder, count in sorted(added.folders.items()))
    typer.echo(f"{into / category}: added {counts or 'nothing'}; {added.known} known, {added.moved} moved")
    if added.masks_left_out:
        typer.echo(
            "Masks are left out: a new defective photo has none (--masks); a category has all or none."
        )
    if added.masks_replaced:
        typer.echo(f"Masks of known photos that were replaced: {added.masks_replaced}")
    if added.masks_unused:
        typer.echo(
            f"The masks given are not used: {into / category} has none, and a category has all or none."
        )
    _dvc(f"{into} is written, but", "add", str(into))
    typer.echo(f"Versioned: {into}.dvc. Next:")
    if (data.source, Path(data.path)) != ("folder", into):
        typer.echo(f"  in params.yaml, set data.source: folder and data.path: {into}")
    message = f"Corrected verdicts of {category}"
    add = ["git", "add", "params.yaml", f"{into}.dvc", str(into.parent / ".gitignore")]
    typer.echo(f"  {shlex.join(add)} && git commit --message '{message}'")
    typer.echo(f"  mlproject run && mlproject promote {category} --model MODEL")


def _demand_versioned_state(into: Path) -> None:
    """Refuse a data set that is not the one that its .dvc file names: the new one would replace it.

    Raises:
        UserError: says how to bring it back, or that there is no .dvc file: a folder of photos is not ours.
            Or DVC fails.
    """
    versioned = into.with_name(f"{into.name}.dvc")
    if not versioned.is_file():
        if into.exists():
            raise UserError(
                f"--into {quoted(into)}: was not made by this command: there is no {versioned}. Name a place "
                f"where nothing is. To change it nevertheless, `dvc add {shlex.quote(str(into))}` first."
            )
        return
    if json.loads(_dvc("Nothing was changed:", "status", "--json", str(versioned)) or "{}"):
        raise UserError(
            f"{into}: is not what {versioned} names. `dvc checkout {versioned}` brings that back, `dvc pull "
            f"{versioned}` from a remote; `dvc add {into}` keeps what you changed by hand. To start "
            f"again from {artifacts.RAW}, remove both. Then run again."
        )


def _dvc(state: str, *arguments: str) -> str:
    """Run DVC and return what it prints.

    Args:
        state: of the data set, if DVC fails.

    Raises:
        UserError: it fails, for example because another one holds its lock.
    """
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)  # noqa: S603
    if done.returncode:
        said = done.stderr.rpartition("ERROR:")[2].strip() or "it says nothing"
        raise UserError(f"{state} `{shlex.join(['dvc', *arguments])}` failed: {said}")
    return done.stdout
