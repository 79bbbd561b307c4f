"""Photos that arrive in folders: found by looking again and again, taken once they are whole."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mlproject.core.errors import UserError, quoted
from mlproject.data import photos


class State(NamedTuple):
    """Size and times of a file: as long as they stay, so does its content.

    Attributes:
        modified_ns: when its content was last written, nanoseconds since 1970.
        changed_ns: when it was last written, renamed or given other permissions; no program can set it.
    """

    bytes: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True)
class Arrival:
    """A photo as it was found.

    Attributes:
        found_at: when it was first seen, seconds since 1970.
    """

    path: Path
    state: State
    found_at: float


class Arrivals:
    """New photos of folders.

    A photo is whole when its state is the same in two looks. Memory grows with the files that lie there.

    Args:
        folders: each with all below it; linked folders stay closed.
        is_known: whether a photo in this state has its verdict from an earlier process.
    """

    def __init__(self, folders: Sequence[Path], is_known: Callable[[Path, State], bool]) -> None:
        self.folders = folders
        self.is_known = is_known
        self._waiting: dict[Path, Arrival] = {}
        self._done: dict[Path, State] = {}

    @property
    def waiting(self) -> int:
        """How many photos were seen and have no verdict."""
        return len(self._waiting)

    def look(self) -> list[Arrival]:
        """Return the photos without a verdict that are as they were at the last look, by name."""
        waiting, done, whole = {}, {}, []
        for path in self._paths():
            state = state_of(path)
            if state is None:
                continue  # it went away meanwhile
            before = self._waiting.get(path)
            if before and before.state == state:
                waiting[path] = before
                whole.append(before)
            elif self._done.get(path) == state or (path not in self._done and self.is_known(path, state)):
                done[path] = state
            else:
                waiting[path] = Arrival(path, state, before.found_at if before else time.time())
        self._waiting, self._done = waiting, done
        return whole

    def finish(self, arrival: Arrival) -> None:
        """Take note that a photo has its verdict: it is no arrival until its state changes."""
        self._waiting.pop(arrival.path, None)
        self._done[arrival.path] = arrival.state

    def missing_folders(self) -> list[Path]:
        """Return the folders that are not there, or may not be read."""
        return [folder for folder in self.folders if not os.access(folder, os.R_OK | os.X_OK)]

    def _paths(self) -> list[Path]:
        return [path for folder in self.folders for path in sorted(photos.below(folder, Counter()))]


def check_folders(folders: Sequence[Path]) -> list[Path]:
    """Return folders as absolute paths, so that a photo has the same name wherever a process starts.

    Raises:
        UserError: one is no folder, or lies in another one of them.
    """
    absolute = [Path(os.path.abspath(folder)) for folder in folders]  # noqa: PTH100 # links stay
    for given, folder in zip(folders, absolute, strict=True):
        if not folder.is_dir():
            raise UserError(f"{quoted(given)}: no such folder. Name folders that photos arrive in.")
        if any(folder.is_relative_to(other) for other in absolute if other is not folder):
            raise UserError(f"{quoted(given)}: is in another folder that is watched. Name it once.")
    return absolute


def state_of(path: Path) -> State | None:
    """Return the state of a file, of a link itself if it leads nowhere; None if there is nothing."""
    for look in (os.stat, os.lstat):
        try:
            found = look(path)
        except OSError:
            continue
        return State(found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return None


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a regular file's content, as hexadecimal digits; "" of anything else.

    Raises:
        OSError: it cannot be read.
    """
    if not path.is_file():
        return ""  # reading a FIFO would never end
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
