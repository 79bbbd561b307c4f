"""Corrections by a person who looks at photos: kept in the table that `mlproject feedback` reads."""

import hashlib
from io import StringIO
from pathlib import Path

import pandas as pd

from mlproject.core import files
from mlproject.core.errors import UserError, quoted
from mlproject.core.tables import write_table
from mlproject.inference.results import check_writable
from mlproject.production import feedback


class Corrections:
    """A CSV file with a row for each photo that was looked at.

    Of a photo that is in the table already, such as that of `mlproject verdicts`, the truth is filled in. Any
    other one is kept in a folder next to it, `<name>-photos`, and gets a row.

    Raises:
        UserError: it could not be written, or is a file that is no such table.
    """

    def __init__(self, path: Path) -> None:
        check_writable(path, (".csv",))
        self.path = path.absolute()
        self.photos = _photos(self.path)
        self._read()

    def keep(self, photo: bytes, name: str, truth: str) -> str:
        """Keep what a photo shows, instead of what was said of it before; return what was done.

        Args:
            photo: content of an image file.
            name: of that file.
            truth: ``good``, or the type of its defect.

        Raises:
            UserError: the truth is none, the photo could not be learnt from, or the disk is full.
        """
        sha256 = hashlib.sha256(photo).hexdigest()
        made = feedback.Correction(name, sha256, truth.strip())
        feedback.check_truth(made.truth, "What it shows")
        feedback.check_photo(made, photo, quoted(name))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with files.locked(self.photos):  # against others who mark at the same time
            table = self._read()
            known = table["sha256"] == sha256
            if not known.any():
                path = self.photos / f"{sha256[:16]}{made.suffix}"
                with files.written_file(path) as part:
                    part.write_bytes(photo)
                table.loc[len(table)] = dict.fromkeys(table, "") | {"path": str(path), "sha256": sha256}
                known = table["sha256"] == sha256
            table.loc[known, feedback.TRUTH] = made.truth
            write_table(self.path, table)
        marked = int((table[feedback.TRUTH] != "").sum())
        return f"{name} is kept as {made.truth}; {marked} marked in {self.path.name}."

    def _read(self) -> pd.DataFrame:
        if not self.path.is_file():
            return pd.DataFrame(columns=list(feedback.COLUMNS), dtype=str)
        table = feedback.read_table(self.path)
        missing = [name for name in feedback.COLUMNS if name not in table and name != feedback.TRUTH]
        if missing:
            raise UserError(
                f"{quoted(self.path)}: has no column {missing[0]}. Name a new file, or one that "
                "`mlproject verdicts` wrote."
            )
        return table if feedback.TRUTH in table else table.assign(**{feedback.TRUTH: ""})


def renew(path: Path, verdicts: pd.DataFrame) -> int:
    """Write verdicts in place of a CSV file, with what people added to it; return how many truths it has.

    That is the column truth and all others that `verdicts` lacks. A photo of which something stands there but
    that has no verdict keeps its row, after the others.

    Args:
        verdicts: with columns path and sha256.

    Raises:
        UserError: the file in its place is no table, or the disk is full.
    """
    text = StringIO(verdicts.to_csv(index=False))
    table = pd.read_csv(text, dtype=str, keep_default_na=False)
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    with files.locked(_photos(path.absolute())):
        before = _before(path)
        added = [name for name in before if name not in table]
        marked = before[(before[added] != "").any(axis=1)]
        for name in added:
            table[name] = _said(table, marked, name)
        others = marked[~marked["sha256"].isin(table["sha256"])]
        write_table(path, pd.concat([table, others]).fillna(""))
    return int((before[feedback.TRUTH] != "").sum()) if feedback.TRUTH in before else 0


def _before(path: Path) -> pd.DataFrame:
    """Return a table of verdicts; one without rows where there is no file yet."""
    if not path.is_file():
        return pd.DataFrame(columns=["path", "sha256"], dtype=str)
    table = feedback.read_table(path)
    unlike = [name for name in table if name.strip().lower() == feedback.TRUTH != name]
    if unlike or not {"path", "sha256"} <= {*table}:
        raise UserError(
            f"{quoted(path)}: is no table that `mlproject verdicts` wrote, with commas and the columns path, "
            f"sha256 and {feedback.TRUTH}. Nothing was replaced. Save it so, or name another file."
        )
    return table


def _said(table: pd.DataFrame, marked: pd.DataFrame, column: str) -> list[str]:
    """Return what people said of each row: of its own path, else of its content where they agree on it."""
    marked = marked[marked[column] != ""]
    own = dict(zip(zip(marked["path"], marked["sha256"], strict=True), marked[column], strict=True))
    said = marked[marked["sha256"] != ""].groupby("sha256")[column].agg(set)
    agreed = {sha256: next(iter(values)) for sha256, values in said.items() if len(values) == 1}
    places = zip(table["path"], table["sha256"], strict=True)
    return [own.get((path, sha256), agreed.get(sha256, "")) for path, sha256 in places]


def _photos(table: Path) -> Path:
    return table.with_name(f"{table.stem}-photos")
