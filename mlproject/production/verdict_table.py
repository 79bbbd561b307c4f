"""Table of verdicts in an SQLite file: each photo once, whichever process is killed at whatever moment."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from mlproject.core import files
from mlproject.core.errors import UserError, quoted
from mlproject.production.arrivals import State

FORMAT = 2  # of the file, its `user_version`
LONGEST_WAIT = 30.0  # seconds for another process that writes
FRAME_MAPS = "CREATE TABLE frame_maps (id INTEGER PRIMARY KEY, map BLOB NOT NULL)"  # by a verdict's id
TABLES = (
    """CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL, sha256 TEXT NOT NULL,
    score REAL, threshold REAL NOT NULL, defective INTEGER, error TEXT,
    model TEXT NOT NULL, version TEXT NOT NULL, architecture TEXT NOT NULL,
    brightness REAL, sharpness REAL,
    found_at TEXT NOT NULL, scored_at TEXT NOT NULL,
    bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL,
    UNIQUE (path, sha256))""",
    "CREATE INDEX verdicts_of_version ON verdicts (model, version, id)",
    """CREATE TABLE drift (
    model TEXT NOT NULL, version TEXT NOT NULL, number INTEGER NOT NULL,
    last_id INTEGER NOT NULL, scored_at TEXT NOT NULL,
    p_value REAL NOT NULL, alarm INTEGER NOT NULL,
    p_score REAL, p_brightness REAL, p_sharpness REAL, p_defective REAL, p_place REAL,
    UNIQUE (model, version, number))""",
    FRAME_MAPS,
)
FROM_1 = (FRAME_MAPS, "ALTER TABLE drift ADD COLUMN p_place REAL")  # make a file of format 1 one of format 2


@dataclass(frozen=True)
class Verdict:
    """One row of the table `verdicts`.

    Attributes:
        path: absolute, as `files.path_text`.
        sha256: of the file's content; "" if it could not be read.
        score: higher = more anomalous; None if the photo could not be decoded, `error` says why.
        defective: score > threshold; None likewise.
        model: name of the registered model.
        brightness: mean of the photo as the detector took it, in [0, 1].
        sharpness: variance of its Laplacian, of grey values in [0, 1].
        found_at: when the photo was first seen, ISO 8601, UTC.
        scored_at: when it was scored, likewise.
        bytes, modified_ns, changed_ns: `arrivals.State` of the file.
    """

    path: str
    sha256: str
    score: float | None
    threshold: float
    defective: bool | None
    error: str | None
    model: str
    version: str
    architecture: str
    brightness: float | None
    sharpness: float | None
    found_at: str
    scored_at: str
    bytes: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True)
class Window:
    """One row of the table `drift`: see `evaluation/drift.py`.

    Attributes:
        number: of the window, 1 for the first photos of this version.
        last_id: of the verdict that filled it.
        p_score, p_brightness, p_sharpness, p_defective, p_place: of each test; None where it was not made.
    """

    model: str
    version: str
    number: int
    last_id: int
    scored_at: str
    p_value: float
    alarm: bool
    p_score: float | None
    p_brightness: float | None
    p_sharpness: float | None
    p_defective: float | None
    p_place: float | None


@dataclass(frozen=True)
class Scored:
    """A photo with a score, as the drift tests take it.

    Attributes:
        frame_map: the bytes of `frame_map.frame_map`; None if they were not kept.
    """

    id: int
    scored_at: str
    score: float
    brightness: float
    sharpness: float
    frame_map: bytes | None


EXPORTED = (
    *("path", "score", "threshold", "defective", "error", "sha256", "model", "version", "architecture"),
    *("brightness", "sharpness", "found_at", "scored_at"),
)


class VerdictTable:
    """The verdicts in one file.

    Photos are the same where path and content are: there is one row for each, however many processes write.
    Rows are committed one by one, in SQLite's write-ahead log: a process that is killed loses no row and
    leaves no half one. Where the machine itself stops, the last rows may be gone; their photos are scored
    again.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def add(self, verdict: Verdict) -> int | None:
        """Keep a verdict and return its id; return None if this photo has one, which stays."""
        made = self._insert("verdicts", verdict)
        if made is None:
            state = State(verdict.bytes, verdict.modified_ns, verdict.changed_ns)
            self.renew(verdict.path, verdict.sha256, state)
        return made

    def renew(self, path: str, sha256: str, state: State) -> bool:
        """Keep the state that a photo's file has now; return False if there is no verdict on it."""
        change = (
            "UPDATE verdicts SET bytes = ?, modified_ns = ?, changed_ns = ? WHERE path = ? AND sha256 = ?"
        )
        return self.database.execute(change, (*state, path, sha256)).rowcount > 0

    def states(self, path: str) -> list[State]:
        """Return the states in which files of this path have verdicts."""
        chosen = "SELECT bytes, modified_ns, changed_ns FROM verdicts WHERE path = ?"
        return [State(*row) for row in self.database.execute(chosen, (path,))]

    def counts(self) -> dict[str, int]:
        """Return how many photos are good, defective and unreadable."""
        chosen = "SELECT defective, COUNT(*) FROM verdicts GROUP BY defective"
        found = dict(self.database.execute(chosen).fetchall())
        return {"good": found.get(0, 0), "defective": found.get(1, 0), "unreadable": found.get(None, 0)}

    def last_scored_at(self) -> str | None:
        """Return when the newest row was written; None in an empty table."""
        newest = "SELECT scored_at FROM verdicts ORDER BY id DESC LIMIT 1"
        found = self.database.execute(newest).fetchone()
        return found[0] if found else None

    def scored(self, model: str, version: str, after: int, most: int) -> list[Scored]:
        """Return a version's photos with a score, oldest first.

        Args:
            after: only those with a greater id.
            most: -1 for all.
        """
        chosen = (
            "SELECT id, scored_at, score, brightness, sharpness, map "
            "FROM verdicts LEFT JOIN frame_maps USING (id) "
            "WHERE model = ? AND version = ? AND id > ? AND score IS NOT NULL ORDER BY id LIMIT ?"
        )
        return [Scored(*row) for row in self.database.execute(chosen, (model, version, after, most))]

    def add_map(self, number: int, frame_map: bytes) -> None:
        """Keep the map of the photo whose verdict has that id, in place of a deleted verdict's."""
        self.database.execute("REPLACE INTO frame_maps VALUES (?, ?)", (number, frame_map))

    def forget_maps(self, model: str, version: str, after: int, last: int) -> None:
        """Remove the maps of a version's photos with an id above `after`, up to `last`."""
        chosen = "SELECT id FROM verdicts WHERE model = ? AND version = ? AND id > ? AND id <= ?"
        self.database.execute(f"DELETE FROM frame_maps WHERE id IN ({chosen})", (model, version, after, last))  # noqa: S608

    def add_window(self, window: Window) -> None:
        """Keep what was found of a window; if another process was first, its row stays."""
        self._insert("drift", window)

    def last_window(self, model: str, version: str) -> Window | None:
        """Return a version's newest window; None before it is full."""
        names = ", ".join(field.name for field in fields(Window))
        chosen = f"SELECT {names} FROM drift WHERE model = ? AND version = ? ORDER BY number DESC LIMIT 1"  # noqa: S608
        found = self.database.execute(chosen, (model, version)).fetchone()
        return Window(*found) if found else None

    def alarms(self) -> int:
        """Return how many windows were alarms, of all versions."""
        (found,) = self.database.execute("SELECT COUNT(*) FROM drift WHERE alarm").fetchone()
        return int(found)

    def rows(self) -> list[dict[str, Any]]:
        """Return all verdicts, oldest first: what `Prediction.row` has, then where each comes from."""
        chosen = f"SELECT {', '.join(EXPORTED)} FROM verdicts ORDER BY id"  # noqa: S608
        found = [dict(zip(EXPORTED, row, strict=True)) for row in self.database.execute(chosen)]
        for row in found:
            row["defective"] = None if row["defective"] is None else bool(row["defective"])
        return found

    def _insert(self, table: str, row: Verdict | Window) -> int | None:
        """Return the new row's id; None where one with the same key is there."""
        names = [field.name for field in fields(row)]
        marks = ", ".join("?" * len(names))
        insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
        done = self.database.execute(insert, astuple(row))
        return done.lastrowid if done.rowcount else None


@contextmanager
def opened(path: Path, *, new: bool = False) -> Iterator[VerdictTable]:
    """Yield the table in a file.

    Args:
        new: make the file if it is not there.

    Raises:
        UserError: it is not there, is none of this release's tables, or cannot be read or written, also
            within the block.
    """
    files.check_place(path)
    if not new and not path.is_file():
        raise UserError(f"{quoted(path)}: not found. `mlproject watch` makes it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        database = sqlite3.connect(path, timeout=LONGEST_WAIT, isolation_level=None)
        try:
            _make_tables(database, path, new)  # first: another program's file stays as it is
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            yield VerdictTable(database)
        finally:
            database.close()
    except sqlite3.Error as error:
        again = " Photos whose verdict was not kept are scored again by the next run." if new else ""
        raise UserError(f"{quoted(path)}: {error}.{again}") from None


def _make_tables(database: sqlite3.Connection, path: Path, new: bool) -> None:
    database.execute("BEGIN IMMEDIATE")
    (found,) = database.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    ours = {"verdicts", "drift"} <= tables  # other programs number their formats too
    if found == 0 and not tables and new:
        for statement in TABLES:
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {FORMAT}")
    elif found == 1 and ours:
        for statement in (*FROM_1, f"PRAGMA user_version = {FORMAT}"):
            database.execute(statement)
    elif found != FORMAT or not ours:
        database.execute("ROLLBACK")
        raise UserError(f"{quoted(path)}: is no table of verdicts of this release. Name another file.")
    database.execute("COMMIT")
