"""`mlproject rollback`: the champion before the last promotion is champion again."""

from typing import Annotated

import typer


def rollback(
    category: Annotated[str, typer.Argument(help="A category, or a registered model's full name.")],
) -> None:
    """Make the previous champion of a category champion again; it passed the gate before."""
    from mlproject.registry import aliases
    from mlproject.registry.address import find_model
    from mlproject.tracking import connection

    client = connection.open_registry()
    name = find_model(client, category).name
    before, after = aliases.rollback(client, name)
    typer.echo(f"Champion: {name} version {after} (was: {before}).")
