"""`mlproject verdicts`: the table of `mlproject watch` as a CSV, JSON or Parquet file."""

from pathlib import Path
from typing import Annotated

import typer

from mlproject.core.errors import UserError, quoted


def verdicts(
    table: Annotated[Path, typer.Argument(help="The SQLite file that `mlproject watch` writes.")],
    out: Annotated[Path, typer.Option(help="A .csv, .json or .parquet file.")],
) -> None:
    """Write all verdicts, oldest first, to a file that is replaced; a watch may run meanwhile."""
    from mlproject.inference.predict import check_writable, write
    from mlproject.production import verdict_table

    check_writable(out)
    with verdict_table.opened(table) as kept:
        rows = kept.rows()
    if not rows:
        raise UserError(f"{quoted(table)}: holds no verdict yet.")
    write(out, rows)
    typer.echo(f"{out}: {len(rows)} photo{'' if len(rows) == 1 else 's'}")
