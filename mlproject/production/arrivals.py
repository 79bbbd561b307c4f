"""Photos that arrive in folders and buckets: found by looking again and again, taken once they are whole."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mlproject.core import files
from mlproject.core.errors import UserError, quoted
from mlproject.data import buckets, photos
from mlproject.data.buckets import Place, Stored

Folder = Path | str  # a folder, or the address of one in a bucket


class State(NamedTuple):
    """Size and times of a file: as long as they stay, so does its content.

    Attributes:
        modified_ns: when its content was last written, nanoseconds since 1970; 0 of an object in a bucket.
        changed_ns: when it was last written, renamed or given other permissions; no program can set it. Of
            an object 60 bits of a hash of its etag: lists and single answers give its time differently.
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

    path: Place
    state: State
    found_at: float


class Arrivals:
    """New photos of folders and buckets.

    A photo is whole when its state is the same in two looks. Memory grows with the files that lie there.

    Args:
        folders: each with all below it, and addresses of buckets; linked folders stay closed.
        is_known: whether a photo in this state has its verdict from an earlier process.

    Attributes:
        missing: the folders that were not there at the last look, or may not be read → why.
    """

    def __init__(self, folders: Sequence[Folder], is_known: Callable[[Place, State], bool]) -> None:
        self.folders = folders
        self.is_known = is_known
        self.missing: dict[Folder, str] = {}
        self._waiting: dict[Place, Arrival] = {}
        self._done: dict[Place, State] = {}

    @property
    def waiting(self) -> int:
        """How many photos were seen and have no verdict."""
        return len(self._waiting)

    def look(self) -> list[Arrival]:
        """Return the photos without a verdict that are as they were at the last look, by name."""
        waiting, done, whole = {}, {}, []
        for path, state in self._found():
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

    def _found(self) -> Iterator[tuple[Place, State]]:
        """Yield what lies in the folders, and note in `missing` which of them could not be looked into."""
        self.missing = {}
        for folder in self.folders:
            if isinstance(folder, str):
                try:
                    yield from [
                        (found, _of_object(found)) for found in photos.in_bucket_folder(folder, Counter())
                    ]
                except buckets.BucketFault as error:
                    self.missing[folder] = str(error)
                continue
            if not os.access(folder, os.R_OK | os.X_OK):
                self.missing[folder] = f"{quoted(folder)}: is gone or may not be read"
            for path in sorted(photos.below(folder, Counter())):
                if state := state_of(path):  # else it went away meanwhile
                    yield path, state


def check_folders(folders: Sequence[str]) -> list[Folder]:
    """Return folders as absolute paths, so that a photo has the same name wherever a process starts.

    Raises:
        UserError: one is no folder, or lies in another one of them; a bucket refuses or is out of reach.
    """
    absolute = [_absolute(folder) for folder in folders]
    for given, folder in zip(folders, absolute, strict=True):
        if isinstance(folder, str):
            buckets.check(folder)
        elif not given or not folder.is_dir():
            raise UserError(f"{quoted(given)}: no such folder. Name folders that photos arrive in.")
        parents = [os.fspath(other).rstrip("/") for other in absolute if other is not folder]
        if any(f"{os.fspath(folder)}/".startswith(f"{other}/") for other in parents):
            raise UserError(f"{quoted(given)}: is in another folder that is watched. Name it once.")
    return absolute


def _absolute(folder: str) -> Folder:
    return folder.rstrip("/") if buckets.is_url(folder) else Path(os.path.abspath(folder))  # noqa: PTH100 # links stay


def _of_object(found: Stored) -> State:
    tag = hashlib.sha256(found.etag.encode()).hexdigest()
    return State(found.bytes, 0, int(tag[:15], 16))


def state_of(path: Place) -> State | None:
    """Return the state of a file, of a link itself if it leads nowhere; None if there is nothing.

    Raises:
        BucketFault: its bucket refuses or is out of reach.
    """
    if isinstance(path, Stored):
        try:
            return _of_object(buckets.find(path.url))
        except FileNotFoundError:
            return None
    for look in (os.stat, os.lstat):
        try:
            found = look(path)
        except OSError:
            continue
        return State(found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return None


def content_hash(path: Place) -> str:
    """Return the SHA-256 of a regular file's content, as hexadecimal digits; "" of anything else.

    Raises:
        OSError: it cannot be read.
        BucketFault: its bucket refuses or is out of reach.
    """
    if isinstance(path, Stored):
        return hashlib.sha256(buckets.read(path)).hexdigest()
    if not path.is_file():
        return ""  # reading a FIFO would never end
    return files.sha256(path)
