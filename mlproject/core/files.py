"""Read and write files and folders: an output appears whole or not at all, and errors are for people.

While an output is written it lies next to its place as `<name>.<8 random digits>.part`. One process at a
time writes an output, so whatever has such a name when the lock is taken was left by a killed process.
"""

import fcntl
import glob
import hashlib
import json
import os
import secrets
import shutil
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from mlproject.core.errors import REFUSALS, UserError, quoted, refusal

# While SQLite writes a part, it keeps further files next to it.
PARTS = (".part", ".part-journal", ".part-wal", ".part-shm")
QUIET_SECONDS = 1.0  # of waiting for another process before a line says so


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write into; it replaces `folder` when the block ends without an error.

    On an error the old folder stays as it was. Another process that writes the same folder is waited for.

    Raises:
        UserError: the disk is full, or the folder may not be written to.
    """
    with _temporary(folder, Path.mkdir) as part:
        yield part
        _demand_part(part, folder)
        old = _temporary_name(folder)
        try:
            if folder.exists():
                folder.rename(old)
            part.rename(folder)
        except BaseException:  # Ctrl-C too
            if old.exists() and not folder.exists():
                old.rename(folder)
            raise
        _remove(old)


@contextmanager
def written_file(path: Path) -> Iterator[Path]:
    """Yield the name of an empty file to write to; it replaces `path` when the block ends without an error.

    On an error the old file stays as it was. Another process that writes the same file is waited for. Of a
    link, what it leads to is replaced, unless that is read-only, as what lies in DVC's cache.

    Raises:
        UserError: the disk is full, or the file may not be written to.
    """
    path = _followed(path)
    with _temporary(path, Path.touch) as part:
        yield part
        _demand_part(part, path)
        part.replace(path)


def demand_files(folder: Path, names: Iterable[str | Path]) -> None:
    """Check before a folder is published that everything written into it is still there.

    Raises:
        UserError: another program removed a file meanwhile.
    """
    for name in names:
        if not (folder / name).is_file():
            raise UserError(
                f"{folder / name}: was removed by another program while its folder was being written. "
                "Nothing was written. Run again."
            )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from writing `path`; while one does, wait and say for which.

    The kernel releases the lock of a killed process. The lock's file `<name>.lock.part` lies next to `path`
    and is removed afterwards. Not to be taken twice by one thread.
    """
    lock = path.with_name(f"{path.name}.lock.part")
    while True:
        handle = lock.open("a+", encoding="utf-8")
        _wait_for(handle, path)
        if _is_at(lock, handle):
            break
        handle.close()  # its last holder has removed it: take the next one
    try:
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {socket.gethostname()}")
        handle.flush()
        yield
    finally:
        lock.unlink(missing_ok=True)
        handle.close()


@contextmanager
def _temporary(path: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """Yield a new file or folder next to `path` that no other process uses, under the lock of `path`."""
    part = _temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            for left in path.parent.glob(f"{glob.escape(path.name)}.{'[0-9a-f]' * 8}.part*"):
                if left.name.endswith(PARTS):
                    _remove(left)
            try:
                make(part)
                if path.exists() and (mode := _mode(path)) & stat.S_IWUSR and mode != _mode(part):
                    part.chmod(mode)
                yield part
            finally:
                for ending in PARTS:
                    _remove(part.with_suffix(ending))
    except OSError as error:
        place = Path(error.filename) if isinstance(error.filename, str) else path
        if place.is_relative_to(part):
            place = path / place.relative_to(part)
        elif not place.is_relative_to(path.parent) and error.errno not in REFUSALS:
            raise  # about another file: not this output's
        raise refusal(place, error) from None


def _followed(path: Path) -> Path:
    """Return where a link leads; the path itself if it is none, or leads to what is read-only."""
    with suppress(OSError):  # whoever writes meets it again
        if path.is_symlink() and (not path.exists() or _mode(path) & stat.S_IWUSR):
            return Path(os.path.realpath(path))
    return path


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _temporary_name(path: Path) -> Path:
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")


def _demand_part(part: Path, path: Path) -> None:
    if not part.exists():
        raise UserError(
            f"{path}: {part.name} was removed by another program. Nothing was written. Run again."
        )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _wait_for(handle: IO[str], path: Path) -> None:
    """Take the lock of an open file; after a second of waiting, say who holds it."""
    silent_until = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < silent_until:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.02)
    handle.seek(0)
    holder = handle.read() or "another process"
    print(f"{path}: is being written by {holder}; waiting until that ends", file=sys.stderr, flush=True)
    fcntl.flock(handle, fcntl.LOCK_EX)


def _is_at(path: Path, handle: IO[str]) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write bytes, whole or not at all."""
    with written_file(path) as part:
        part.write_bytes(data)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an .npy file, whole or not at all."""
    with written_file(path) as part, part.open("wb") as file:
        np.save(file, array)


def path_text(path: str | os.PathLike[str]) -> str:
    """Return a path as tables hold it: bytes of a name that are no UTF-8 are escaped, each in its own way."""
    return os.fsencode(path).decode(errors="backslashreplace")


def sha256(path: Path) -> str:
    """Return a file's sha256 as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_place(path: Path) -> None:
    """Refuse, before the work begins, a file that could not be written at its end.

    Raises:
        UserError: it is a folder, or its folder may not be written to.
    """
    if path.is_dir():
        raise UserError(f"{quoted(path)}: is a folder. Name a file.")
    check_folder_of(path)


def check_folder_of(path: Path) -> None:
    """Refuse a file or folder that could not be written at the work's end.

    Raises:
        UserError: the folder that it lies in, or the nearest that there is, may not be written to.
    """
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UserError(f"{quoted(path)}: {above} may not be written to. Name another place.")


def read_json(path: Path, required: Iterable[str] = ()) -> Any:
    """Read JSON.

    Args:
        required: keys that the file must have.

    Raises:
        UserError: the file is missing (says which command makes it), holds no JSON or lacks a key.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise missing(path) from None
    except ValueError as error:
        raise damaged(path, f"not valid JSON ({error})") from None
    for key in required:
        if not isinstance(content, dict) or key not in content:
            raise damaged(path, f"incomplete: it has no {key}")
    return content


def read_array(path: Path) -> np.ndarray:
    """Map an .npy file into memory, read-only.

    Raises:
        UserError: the file is missing or truncated.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise missing(path) from None
    except (ValueError, EOFError) as error:
        raise damaged(path, f"no readable array ({error})") from None


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Read every array of a safetensors file.

    Raises:
        UserError: the file is missing or truncated.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(path.read_bytes())
    except FileNotFoundError:
        raise missing(path) from None
    except (ValueError, SafetensorError) as error:
        raise damaged(path, f"no readable weights file ({error})") from None


def damaged(path: Path, what: str) -> UserError:
    """Return the error for a file of a stage that is not what it should be."""
    return UserError(
        f"{path}: is {what}. Delete it; `dvc repro` then makes it again, or `dvc pull` brings it back."
    )


def missing(path: Path) -> UserError:
    """Return the error for a file of a stage that is not there."""
    return UserError(f"{path}: not found. `dvc repro` makes it, `dvc pull` brings it back.")
