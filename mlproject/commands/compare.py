"""`mlproject compare`: champion and challenger, in numbers and in pictures."""

from typing import Annotated

import typer

from mlproject.core.errors import UserError


def compare(
    category: Annotated[str, typer.Argument(help="A category, or a registered model's full name.")],
    model: Annotated[
        str | None, typer.Option(help="Challenger: the newest version of this architecture.")
    ] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Challenger: this version.")] = None,
) -> None:
    """Show the champion and a challenger (default: the newest other version) on the same test images."""
    from mlproject.core import params
    from mlproject.registry import head_to_head_record, promotion, version_tags
    from mlproject.registry.address import find_version
    from mlproject.reports import head_to_head_text
    from mlproject.tracking import connection

    settings = params.load("promote", params.Promote)
    client = connection.open_registry()
    champion = find_version(client, category)
    chosen = promotion.choose(client, category, model, version)
    challenger = chosen or promotion.newest_other(client, champion)
    if str(challenger.version) == str(champion.version):
        raise UserError(f"{champion.name} version {champion.version} is the champion itself.")
    name = version_tags.category(champion)
    folder, pair = head_to_head_record.write(name, champion, challenger, settings.bootstrap)
    typer.echo(
        "\n".join(
            [
                *head_to_head_text.table(pair, settings.bootstrap),
                "",
                *head_to_head_text.decisions(pair, settings.bootstrap),
            ]
        )
    )
    place = head_to_head_record.log(client, folder, champion, challenger)
    typer.echo(f"\n{folder}/comparison.md; in MLflow: {place} of run {challenger.run_id}")
