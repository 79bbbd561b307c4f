"""Read and write tables as CSV; apart from `files` because pandas is slow to import."""

from pathlib import Path

import pandas as pd

from mlproject.core import files


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write CSV, whole or not at all; floats keep all their digits."""
    with files.written_file(path) as part:
        table.to_csv(part, index=False, encoding="utf-8", chunksize=1000)


def read_table(path: Path) -> pd.DataFrame:
    """Read CSV; text columns stay text (a defect called "001" is a name).

    Raises:
        UserError: the file is missing or holds no table.
    """
    try:
        return pd.read_csv(
            path, dtype={"path": str, "category": str, "defect": str}, keep_default_na=False, na_values=[""]
        )
    except FileNotFoundError:
        raise files.missing(path) from None
    except ValueError as error:
        raise files.damaged(path, f"no readable table ({error})") from None
