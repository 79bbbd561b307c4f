"""`mlproject verdicts`: the table of `mlproject watch` as a CSV, JSON or Parquet file."""

from pathlib import Path
from typing import Annotated

import typer

from mlproject.core.errors import UserError, quoted


def verdicts(
    table: Annotated[Path, typer.Argument(help="The SQLite file that `mlproject watch` writes.")],
    out: Annotated[Path, typer.Option(help="A .csv, .json or .parquet file.")],
) -> None:
    """Write all verdicts, oldest first, to a file that is replaced; a watch may run meanwhile.

    What people have marked in the column truth of a CSV file stays.
    """
    from mlproject.inference import results
    from mlproject.production import corrections, verdict_table

    results.check_writable(out)
    with verdict_table.opened(table) as kept:
        rows = kept.rows()
    if not rows:
        raise UserError(f"{quoted(table)}: holds no verdict yet.")
    marked = 0
    if out.suffix.lower() == ".csv":
        marked = corrections.renew(out, results.table(rows))
    else:
        results.write(out, rows)
    kept_truths = f"; {marked} marked before stay marked" if marked else ""
    typer.echo(f"{out}: {len(rows)} photo{'' if len(rows) == 1 else 's'}{kept_truths}")
