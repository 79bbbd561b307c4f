"""MLflow's SQLite file as it may be found: locked by another program, or moved together with its project."""

import sqlite3
from contextlib import closing
from pathlib import Path

from mlproject.core.errors import UserError

SHORT, LONG = 1.0, 60.0  # seconds to wait for the lock: silently, then with a message
MLRUNS = "mlruns"
# table, column: all that hold absolute paths of artifacts
PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def wait_for_lock(path: Path) -> None:
    """Wait while another program keeps the file locked; a message says so.

    Raises:
        UserError: it was still locked after `LONG` seconds.
    """
    with closing(sqlite3.connect(path, timeout=SHORT, isolation_level=None)) as database:
        if _can_write(database):
            return
        print(f"{path} is locked by another program: waiting up to {LONG:g} seconds", flush=True)
        database.execute(f"PRAGMA busy_timeout = {int(LONG * 1000)}")
        if not _can_write(database):
            raise UserError(
                f"{path} is still locked by another program after {LONG:g} seconds. Nothing was recorded: "
                "end that program, then run the command again."
            )


def _can_write(database: sqlite3.Connection) -> bool:
    """Take and release the lock; return False where another program holds it."""
    try:
        database.execute("BEGIN IMMEDIATE")
        database.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        return "locked" not in str(error)  # what else is wrong with it, MLflow says
    return True


def follow_project(path: Path) -> None:
    """Make a file that was moved or copied with its project refer to the artifacts next to it.

    MLflow records absolute paths: a moved project would not find its files, and a copied one would write
    into the original's.
    """
    here = path.parent / MLRUNS
    if not here.is_dir():
        return
    with closing(sqlite3.connect(path)) as database, database:
        for old in _other_places(database, here):
            for table, column in PATHS:
                change = f"UPDATE {table} SET {column} = ? || substr({column}, ?)"  # noqa: S608 - of PATHS
                length = len(old) + 1
                database.execute(
                    f"{change} WHERE substr({column}, 1, ?) = ?", (str(here), length, length, f"{old}/")
                )


def _other_places(database: sqlite3.Connection, here: Path) -> set[str]:
    """Return the artifact folders of other projects that have the same experiments as the folder `here`."""
    try:
        found = database.execute("SELECT artifact_location FROM experiments").fetchall()
    except sqlite3.DatabaseError:  # no tables yet
        return set()
    places = [Path(place) for (place,) in found if place]
    return {
        str(place.parent)
        for place in places
        if place.is_absolute() and place.parent.name == MLRUNS and (here / place.name).is_dir()
        if not (place.parent.is_dir() and place.parent.samefile(here))
    }
