"""Photos of any folder or bucket, found and decoded one after another, in constant memory."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from mlproject.core.errors import UserError, quoted
from mlproject.core.parallel import in_order, usable_cores
from mlproject.data import buckets, heic
from mlproject.data.buckets import Place, Stored
from mlproject.data.decode import UndecodableImage, fit, open_image
from mlproject.data.layout import IMAGE_SUFFIXES

SUFFIXES = (*IMAGE_SUFFIXES, *heic.SUFFIXES)
LARGEST_FILE = 300_000_000  # bytes; an uncompressed RGB photo of decode.MAX_PIXELS has 268 million
UNREADABLE = "cannot be read"  # begins the error of a file that the system did not let be read


class Found(NamedTuple):
    """What lies in the folders and buckets given.

    Attributes:
        paths: photos, and what may hide some: a link that leads nowhere, a linked folder, a folder that
            cannot be read. `decoded` says what is wrong with each.
        others: ending, "without an ending" or "hidden" → how many files were left out.
    """

    paths: list[Place]
    others: Counter[str]


@dataclass(frozen=True)
class Photo:
    """A file and its pixels, or the reason why it has none.

    Attributes:
        path: as it was found.
        pixels: (s, s, 3) uint8 at the prepared size; None if it could not be decoded.
        picture: (h, w, 3) uint8, the upright photo, its longer side at most as asked; None if not asked for.
        size: width and height of the upright photo, pixels.
        error: why it could not be decoded, else empty.
    """

    path: Place
    pixels: np.ndarray | None = None
    picture: np.ndarray | None = None
    size: tuple[int, int] = (0, 0)
    error: str = ""


def find(given: Sequence[Path | str]) -> Found:
    """Return the files given, and every photo below the folders given, by name; linked folders stay closed.

    Args:
        given: files, folders, and addresses ``s3://bucket/folder``, or of an object.

    Raises:
        UserError: nothing is there under a name, or there is no photo at all.
        BucketFault: a bucket refuses or is out of reach.
    """
    found: dict[Place, None] = {}
    others: Counter[str] = Counter()
    for name in given:
        path = Path(name)
        if not str(name):  # Path takes it for the working directory
            raise UserError("An empty name is given. Name image files, or folders that hold some.")
        if buckets.is_url(name):
            found |= dict.fromkeys(_at_url(str(name), others))
        elif path.is_dir():
            found |= dict.fromkeys(sorted(below(path, others)))
        elif os.path.lexists(path):
            found[path] = None
        else:
            raise UserError(f"{quoted(path)}: not found. Name image files, or folders that hold some.")
    if not found:
        named = ", ".join(map(quoted, given))
        raise UserError(f"{named}: no images ({', '.join(SUFFIXES)}), in no folder below either.")
    return Found(list(found), others)


def _at_url(url: str, others: Counter[str]) -> Iterator[Stored]:
    if PurePosixPath(url).suffix.lower() not in SUFFIXES:
        yield from in_bucket_folder(url, others)
        return
    try:
        yield buckets.find(url)
    except FileNotFoundError:
        raise UserError(f"{quoted(url)}: not found. Name what lies in a bucket.") from None


def in_bucket_folder(url: str, others: Counter[str]) -> Iterator[Stored]:
    """Yield the photos of a bucket's folder, by name, and count the rest in `others`.

    Raises:
        BucketFault: the bucket refuses or is out of reach.
    """
    for stored in buckets.below(url):
        names = stored.url.removeprefix(url).split("/")
        ending = PurePosixPath(names[-1]).suffix.lower()
        if any(name.startswith(".") for name in names):
            others["hidden"] += 1
        elif ending in SUFFIXES:
            yield stored
        elif names[-1]:  # else it stands for a folder
            others[ending or "without an ending"] += 1


def below(folder: Path, others: Counter[str]) -> Iterator[Path]:
    """Yield what `Found.paths` holds of one folder, and count the rest in `others`."""
    unreadable: list[Path] = []
    for where, folders, files in os.walk(
        folder, onerror=lambda error: unreadable.append(Path(error.filename))
    ):
        above = Path(where)
        hidden = [name for name in (*folders, *files) if name.startswith(".")]
        others.update(["hidden"] * len(hidden))
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (above / name for name in folders if (above / name).is_symlink())
        for path in (above / name for name in files if not name.startswith(".")):
            if path.suffix.lower() in SUFFIXES:
                yield path
            else:
                others[path.suffix.lower() or "without an ending"] += 1
    yield from unreadable


def decoded(paths: Iterable[Place], size: int, picture_side: int = 0, ahead: int = 32) -> Iterator[Photo]:
    """Yield the photos in order, decoded by as many threads as there are cores, at most `ahead` in advance.

    Args:
        size: side of the prepared square, pixels.
        picture_side: longest side of `Photo.picture`; 0 for none.

    Raises:
        BucketFault: a bucket refuses or is out of reach.
    """
    with ThreadPoolExecutor(usable_cores()) as pool:
        tasks = (pool.submit(_decode, path, size, picture_side) for path in paths)
        yield from in_order(tasks, ahead)


def _decode(path: Place, size: int, picture_side: int) -> Photo:
    try:
        image, _ = open_image(_content(path))
        picture = _picture(image, picture_side) if picture_side else None
        return Photo(path, fit(image, size), picture, image.size)
    except buckets.BucketFault:
        raise
    except UndecodableImage as error:
        return Photo(path, error=str(error))
    except OSError as error:
        return Photo(path, error=f"{UNREADABLE} ({error.strerror or error})")
    except Exception as error:  # noqa: BLE001  # whatever a decoder raises is this photo's error alone
        return Photo(path, error=f"cannot be decoded ({type(error).__name__}: {error})")


def _content(path: Place) -> bytes:
    """Return a file's content: of a regular file alone, for a FIFO never ends.

    Raises:
        UndecodableImage: it is something else, or larger than LARGEST_FILE.
        OSError: it cannot be read.
        BucketFault: its bucket refuses or is out of reach.
    """
    if isinstance(path, Stored):
        return _object(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UndecodableImage("the link leads nowhere" if path.is_symlink() else "not found") from None
    if stat.S_ISDIR(status.st_mode):
        os.scandir(path).close()  # says what is wrong with a folder that cannot be read
        raise UndecodableImage("a link to a folder is not followed: name the folder itself")
    if not stat.S_ISREG(status.st_mode):
        raise UndecodableImage("it is not a regular file")
    _check_size(status.st_size)
    return path.read_bytes()


def _object(stored: Stored) -> bytes:
    _check_size(stored.bytes)
    try:
        return buckets.read(stored)
    except FileNotFoundError:
        raise UndecodableImage("not found") from None


def _check_size(size: int) -> None:
    if size > LARGEST_FILE:
        raise UndecodableImage(f"it has {size:,} bytes, {LARGEST_FILE:,} are allowed")


def _picture(image: Image.Image, longest: int) -> np.ndarray:
    shrunk = image.convert("RGB")
    shrunk.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.array(shrunk)
