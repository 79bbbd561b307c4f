"""`mlproject promote`: a version becomes champion if it passes the gate."""

from typing import Annotated

import typer

from mlproject.core.errors import UserError


def promote(
    category: Annotated[str, typer.Argument(help="A category, or a registered model's full name.")],
    model: Annotated[str | None, typer.Option(help="The newest version of this architecture.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="This version.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote although a check fails.")] = False,
    why: Annotated[str | None, typer.Option(help="The reason for --force; it stays on the version.")] = None,
) -> None:
    """Make a version of a category champion, if it passes every check; exit with 1 if it does not."""
    if force != bool(why and why.strip()):
        raise UserError('--force and --why go together: --force --why "the old one misses cracks"')
    from mlproject.core import params
    from mlproject.registry import gate, promotion, version_tags
    from mlproject.tracking import connection

    settings = params.load("promote", params.Promote)
    client = connection.open_registry()
    challenger = promotion.choose(client, category, model, version)
    if challenger is None:
        raise UserError("Give --model or --version; `mlproject compare` shows two versions side by side.")
    against = promotion.champion(client, challenger.name)
    title = f"{challenger.name} version {challenger.version} ({version_tags.architecture(challenger)})"
    if against and str(against.version) == str(challenger.version):
        typer.echo(f"{title} is the champion already.")
        return
    typer.echo(f"{title}, against {f'version {against.version}' if against else 'chance: no champion yet'}")
    made = []
    for check in promotion.checks(challenger, against, settings):
        typer.echo(check.line())
        made.append(check)
    failed = gate.failed(made)
    if failed and not force:
        typer.echo(f"Not promoted: {', '.join(failed)}. Nothing was changed.")
        raise typer.Exit(1)
    promotion.promote(client, challenger, against, made, why)
    forced = f" by force, although not: {', '.join(failed)}" if failed else ""
    back = f"; `mlproject rollback {category}` returns to version {against.version}" if against else ""
    typer.echo(f"Champion{forced}: {title}{back}.")
