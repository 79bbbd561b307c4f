"""`mlproject rollback`: the champion before the last promotion is champion again."""

from typing import Annotated

import typer


def rollback(
    category: Annotated[str, typer.Argument(help="A category, or a registered model's full name.")],
) -> None:
    """Make the previous champion of a category champion again. No check is made: it passed before."""
    from mlproject.tracking import aliases, store
    from mlproject.tracking.address import find_model

    client = store.open_registry()
    name = find_model(client, category).name
    before, after = aliases.rollback(client, name)
    typer.echo(f"Champion: {name} version {after} (was: {before}).")
