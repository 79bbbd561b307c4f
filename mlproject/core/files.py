"""Read and write files and folders: a result appears whole or not at all, and errors are for people."""

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlproject.core.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Yield an empty folder `<folder>.part` to write into, which replaces `folder` when all went well.

    What a killed run left under that name is removed by the next one.

    Raises:
        UserError: the disk is full or may not be written to.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        if folder.exists():
            shutil.rmtree(folder)
        part.replace(folder)
    except OSError as error:
        if error.errno not in (*_FULL, errno.EACCES, errno.EROFS):
            raise
        remedy = "Free some space" if error.errno in _FULL else "Set its permissions"
        where = error.filename or folder
        raise UserError(
            f"{where}: {error.strerror}. Nothing was written. {remedy}, then run again."
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON through a temporary name."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text through a temporary name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        UserError: the file is missing: says which command makes it.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: not found. `dvc repro` makes it, `dvc pull` brings it back.") from None


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write CSV through a temporary name; floats keep all their digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    table.to_csv(part, index=False)
    part.replace(path)


def read_table(path: Path) -> pd.DataFrame:
    """Read CSV; text columns stay text (a defect called "001" is a name).

    Raises:
        UserError: the file is missing.
    """
    try:
        return pd.read_csv(
            path, dtype={"path": str, "category": str, "defect": str}, keep_default_na=False, na_values=[""]
        )
    except FileNotFoundError:
        raise UserError(f"{path}: not found. `dvc repro` makes it, `dvc pull` brings it back.") from None


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an .npy file through a temporary name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.save(file, array)
    part.replace(path)


def read_array(path: Path) -> np.ndarray:
    """Map an .npy file into memory, read-only.

    Raises:
        UserError: the file is missing.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path}: not found. `dvc repro` makes it, `dvc pull` brings it back.") from None
