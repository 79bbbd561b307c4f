"""Photos of any folder, found and decoded one after another, in constant memory."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mlproject.core.errors import UserError
from mlproject.data.decode import UndecodableImage, fit, open_image
from mlproject.data.layout import IMAGE_SUFFIXES
from mlproject.data.prepare import cores, in_order


@dataclass(frozen=True)
class Photo:
    """A file, and what became of it.

    Attributes:
        path: as it was found.
        pixels: (s, s, 3) uint8 at the prepared size; None if it could not be decoded.
        picture: (h, w, 3) uint8, the upright photo, its longer side at most as asked; None if not asked for.
        error: why it could not be decoded, else empty.
    """

    path: Path
    pixels: np.ndarray | None = None
    picture: np.ndarray | None = None
    error: str = ""


def find(given: Sequence[Path]) -> list[Path]:
    """Return the files given, and every image below the folders given, by name; hidden ones left out.

    Raises:
        UserError: nothing is there under a name, or there is no image at all.
    """
    found: dict[Path, None] = {}
    for path in given:
        if path.is_dir():
            found |= dict.fromkeys(sorted(_below(path)))
        elif path.exists():
            found[path] = None
        else:
            raise UserError(f"{path}: not found. Name image files, or folders that hold some.")
    if not found:
        named = ", ".join(map(str, given))
        raise UserError(f"{named}: no images ({', '.join(IMAGE_SUFFIXES)}), in no folder below either.")
    return list(found)


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in IMAGE_SUFFIXES and not hidden and path.is_file():
            yield path


def decoded(paths: Iterable[Path], size: int, picture_side: int = 0, ahead: int = 32) -> Iterator[Photo]:
    """Yield the photos in order, decoded by as many threads as there are cores, at most `ahead` in advance.

    Args:
        size: side of the prepared square, pixels.
        picture_side: longest side of `Photo.picture`; 0 for none.
    """
    with ThreadPoolExecutor(cores()) as pool:
        tasks = (pool.submit(_decode, path, size, picture_side) for path in paths)
        yield from in_order(tasks, ahead)


def _decode(path: Path, size: int, picture_side: int) -> Photo:
    try:
        image, _ = open_image(path.read_bytes())
        picture = _picture(image, picture_side) if picture_side else None
        return Photo(path, fit(image, size), picture)
    except UndecodableImage as error:
        return Photo(path, error=str(error))
    except OSError as error:
        return Photo(path, error=f"cannot be read ({error.strerror})")


def _picture(image: Image.Image, longest: int) -> np.ndarray:
    shrunk = image.convert("RGB")
    shrunk.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.array(shrunk)
