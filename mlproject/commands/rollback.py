"""`mlproject rollback`: the champion before the last promotion is champion again."""

from typing import Annotated

import typer


def rollback(
    category: Annotated[str, typer.Argument(help="A category, or a registered model's full name.")],
) -> None:
    """Make the previous champion champion again; say so if it was promoted in spite of the gate."""
    from mlproject.registry import aliases
    from mlproject.registry.address import find_model
    from mlproject.tracking import connection

    client = connection.open_registry()
    name = find_model(client, category).name
    before, after = aliases.rollback(client, name)
    failed = client.get_model_version(name, after).tags.get(aliases.FORCED)
    forced = f" Its promotion was forced, although not: {failed}." if failed else ""
    typer.echo(f"Champion: {name} version {after} (was: {before}).{forced}")
