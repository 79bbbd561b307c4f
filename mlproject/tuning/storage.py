"""Storage of a tuning's trials: a journal in its folder, or a database that several machines reach."""

import fcntl
import hashlib
import shutil
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

import optuna
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from mlproject.core.errors import UserError
from mlproject.core.files import written_file
from mlproject.tracking import connection
from mlproject.tuning.plan import Plan

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

IDENTITY = "identity"  # of a tuning: one whose journal was deleted and that was begun again is another
STARTUP_TRIALS = 8  # drawn at random before the sampler has something to go by
TABLES = 20  # more than Optuna makes: each may be another machine's at the moment that it is made
UNPRUNED_TRIALS = 5  # complete ones before any is given up


def open_tuning(plan: Plan) -> optuna.Study:
    """Return the Optuna study of a tuning, created if there is none.

    Raises:
        UserError: the database cannot be used; names it without its password.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    with readable_errors(plan.storage), locked(plan):
        tuning = optuna.create_study(
            storage=_database(plan.storage) if plan.storage else _journal(plan.folder),
            study_name=plan.name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS),
        )
        if IDENTITY not in tuning.user_attrs:
            tuning.set_user_attr(IDENTITY, uuid.uuid4().hex)
    return tuning


def sampler(tuning_seed: int, position: int) -> optuna.samplers.BaseSampler:
    """Return the sampler that draws the values of one trial.

    Its seed depends on the trial's position, not on earlier draws: an interrupted tuning that is continued
    draws the same values as an uninterrupted one. No two counted trials share a position: they would be
    drawn alike.
    """
    return optuna.samplers.TPESampler(
        seed=(tuning_seed * 1_000_003 + position) % 2**32,  # NumPy takes no larger seed
        n_startup_trials=STARTUP_TRIALS,
        multivariate=True,
        group=True,
    )


def _journal(folder: Path) -> optuna.storages.JournalStorage:
    journal = folder / "journal.log"
    _own(journal)
    return optuna.storages.JournalStorage(JournalFileBackend(str(journal), _JournalLock(journal)))


def _database(url: str) -> optuna.storages.RDBStorage:
    connect = partial(optuna.storages.RDBStorage, url, engine_kwargs={"pool_pre_ping": True})
    for _ in range(TABLES):
        # another machine may make the same tables at the same moment: then that one is there, so try on
        with suppress(IntegrityError, ProgrammingError):
            return connect()
    return connect()


class _JournalLock(JournalFileOpenLock):
    """A lock that the kernel takes from a process that is killed; Optuna's own then stay behind as files."""

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        self.path = journal.with_name(journal.name + ".flock")
        self.handle: IO[str] | None = None

    def acquire(self) -> bool:
        self.handle = self.path.open("w", encoding="utf-8")
        fcntl.flock(self.handle, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        if self.handle:
            self.handle.close()


def _own(file: Path) -> None:
    """Replace a link into DVC's cache by a copy: a journal is appended to, and the cache must not be."""
    if file.exists() and (file.is_symlink() or file.stat().st_nlink > 1):
        with written_file(file) as part:
            shutil.copyfile(file, part)


@contextmanager
def locked(plan: Plan) -> Iterator[None]:
    """Keep other processes from the same tuning: those of this machine, and all that share its PostgreSQL."""
    with (plan.folder / "lock").open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if plan.storage and make_url(plan.storage).get_backend_name() == "postgresql":
            with _advisory_lock(plan.storage, plan.name):
                yield
        else:
            yield


@contextmanager
def _advisory_lock(url: str, name: str) -> Iterator[None]:
    """Hold a lock of PostgreSQL's own, which it releases when the connection ends, however that happens."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    with create_engine(url, poolclass=NullPool).connect() as database:
        database.execute(text("select pg_advisory_lock(:key)"), {"key": key})
        yield


@contextmanager
def readable_errors(url: str | None) -> Iterator[None]:
    """Turn the errors of a database that cannot be reached into a UserError.

    Args:
        url: of the database; None: a journal, whose errors stay as they are.
    """
    try:
        yield
    except (SQLAlchemyError, ImportError, optuna.exceptions.StorageInternalError) as error:
        if url is None:
            raise
        cause = str(error.__cause__ or error).strip().splitlines()[0]
        raise UserError(
            f"The tuning's storage {shown(url)} cannot be used: {cause}\n"
            "Start the database or correct its address; the same command then continues the tuning."
        ) from None


def shown(url: str) -> str:
    """Return an address without user and password, wherever they stand in it."""
    try:
        make_url(url)
        return connection.without_password(url)
    except ArgumentError:
        return "(no address)"
