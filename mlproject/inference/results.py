"""Write verdicts as CSV, JSON or Parquet; apart from `predict` because pandas is slow to import."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mlproject.core import files, tables
from mlproject.core.errors import quoted, unknown_name

ENDINGS = (".csv", ".json", ".parquet")
TYPES = {"score": "float64", "defective": "boolean", "error": "string"}  # of columns that may lack values


def check_writable(path: Path, endings: Sequence[str] = ENDINGS) -> None:
    """Refuse, before anything is scored, a results file that could not be written at the end.

    Raises:
        UserError: its ending is none of `endings`, or as `files.check_place`.
    """
    if path.suffix.lower() not in endings:
        raise unknown_name(f"{quoted(path)}: the ending {path.suffix or '(none)'}", path.suffix, endings)
    files.check_place(path)


def table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return rows of `Prediction.row` as a table; what a row lacks is missing there too."""
    return pd.DataFrame(rows).astype(TYPES)


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of `Prediction.row`, whole or not at all, at full precision; the ending decides the format.

    Raises:
        UserError: the disk is full, or may not be written to.
    """
    if path.suffix.lower() == ".json":
        text = json.dumps(list(rows), indent=1, ensure_ascii=False, allow_nan=False)
        files.write_text(path, text + "\n")
    else:
        write_table(path, table(rows))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write what `table` returned, as `write` does."""
    match path.suffix.lower():
        case ".csv":
            tables.write_table(path, table)
        case ".json":
            write(path, table.astype(object).where(table.notna(), None).to_dict("records"))
        case _:
            with files.written_file(path) as part:
                table.to_parquet(part, index=False)
