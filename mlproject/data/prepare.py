"""Each image decoded once: a category of data/raw becomes the files that `prepared` maps into memory."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import pandas as pd

from mlproject.core import files
from mlproject.core.errors import UserError
from mlproject.core.files import written_whole
from mlproject.core.parallel import in_order, usable_cores
from mlproject.core.tables import write_table
from mlproject.data import copies
from mlproject.data.decode import UndecodableImage, decode_mask, fit, open_image, stated_size
from mlproject.data.layout import Entry, read_layout, refused

T = TypeVar("T")
LOOKED_AT = 50  # images that tell how large a category's photos are
FILES = ("images.npy", "masks.npy", "manifest.csv", "prepared.json")


def prepare_category(
    raw: Path,
    out: Path,
    image_size: int,
    workers: int | None = None,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, str]:
    """Decode every image of the category folder `raw` once and write the four files into `out`.

    Memory grows by a row of the manifest an image. `out` appears whole or not at all.

    Args:
        image_size: side of the stored squares, pixels, at most: that of the usual photo of a category.
        workers: threads; by default one for each core that this process may use. Pillow decodes and
            resizes without the interpreter's lock, and threads, unlike processes, start at once and
            hand their pixels over without a copy.
        on_image: called with images done and images in all.

    Returns:
        Path of each image that is a copy of an earlier one → that one's path; see `copies.originals`.

    Raises:
        UserError: raw is not in the layout, a file cannot be decoded, a mask has another size than its
            image, or an image is both in train and in test, or both good and defective.
    """
    entries = read_layout(raw)
    good = [entry.path for entry in entries if entry.split == "train"]
    size = stored_side(image_size, (stated_size(_read(raw / path)) for path in looked_at(good)))
    with written_whole(out) as part, tempfile.TemporaryFile(dir=part) as file:
        thumbnails = _ThumbnailFile(file)
        with ThreadPoolExecutor(workers or usable_cores()) as pool:
            tasks = (pool.submit(_decode, raw, entry, size) for entry in entries)
            results = in_order(tasks, ahead=32)
            rows = _write_arrays(part, entries, size, results, thumbnails, on_image)
        _refuse_conflicts(raw, rows, size)
        photo = partial(_written, part / "images.npy")
        first = copies.originals(thumbnails, [row.pixel_digest for row in rows], part, photo)
        write_table(part / "manifest.csv", _manifest(raw.name, rows, first))
        files.write_json(part / "prepared.json", _facts(raw, rows, size))
        files.demand_files(part, FILES)
    return {
        row.entry.path: rows[number].entry.path
        for row, number in zip(rows, first, strict=True)
        if rows[number] is not row
    }


@dataclass(frozen=True, slots=True)
class _Row:
    """What stays of an image once its pixels are written."""

    entry: Entry
    width: int
    height: int
    mode: str
    sha256: str
    mask_sha256: str  # empty where there is no mask
    size: int  # of the file, bytes
    pixel_digest: bytes


class _ThumbnailFile:
    """The thumbnails on disk: memory would grow by 3 kB an image."""

    _BYTES = 3 * copies.SIDE**2  # of one

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def append(self, thumbnail: np.ndarray) -> None:
        self._file.write(thumbnail.data)

    def __getitem__(self, rows: slice) -> np.ndarray:
        self._file.seek(rows.start * self._BYTES)
        data = self._file.read((rows.stop - rows.start) * self._BYTES)
        return np.frombuffer(data, dtype=np.uint8).reshape(-1, copies.SIDE, copies.SIDE, 3)


def looked_at(good: Sequence[T]) -> Sequence[T]:
    """Return those of the good training images, in the manifest's order, that tell how large photos are."""
    return good[:: max(1, len(good) // LOOKED_AT)]


def stored_side(image_size: int, sizes: Iterable[tuple[int, int]]) -> int:
    """Return the side at which a category is stored: no more than its photos usually have.

    Args:
        image_size: the most, pixels.
        sizes: width and height of photos; 0, 0 of one that cannot be read.
    """
    sides = [min(size) for size in sizes if min(size)]
    return min(image_size, int(np.median(sides))) if sides else image_size


def _decode(raw: Path, entry: Entry, size: int) -> tuple[_Row, np.ndarray, np.ndarray | None]:
    """Return the row, the (S, S, 3) pixels and the (S, S) mask of one image."""
    data = _read(raw / entry.path)
    try:
        image, mode = open_image(data)
        pixels = fit(image, size)
    except UndecodableImage as error:
        raise error.in_file(raw / entry.path) from None
    mask, mask_sha256 = None, ""
    if entry.mask:
        mask_data = _read(raw / entry.mask)
        mask_sha256 = hashlib.sha256(mask_data).hexdigest()
        try:
            mask = decode_mask(mask_data, size, image.size)
        except UndecodableImage as error:
            raise error.in_file(raw / entry.mask) from None
    row = _Row(
        entry,
        image.width,
        image.height,
        mode,
        hashlib.sha256(data).hexdigest(),
        mask_sha256,
        len(data),
        hashlib.sha256(pixels.data).digest(),
    )
    return row, pixels, mask


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise refused(path, f"cannot be read ({error.strerror})", "Correct that") from None


def _write_arrays(
    part: Path,
    entries: list[Entry],
    size: int,
    results: Iterator[tuple[_Row, np.ndarray, np.ndarray | None]],
    thumbnails: _ThumbnailFile,
    on_image: Callable[[int, int], None],
) -> list[_Row]:
    """Write images.npy, masks.npy and thumbnails row by row: a mapped file would count as memory."""
    rows: list[_Row] = []
    blank = np.zeros((size, size), dtype=np.uint8)
    tested = sum(entry.split == "test" for entry in entries)
    with (part / "images.npy").open("wb") as images, (part / "masks.npy").open("wb") as masks:
        _write_header(images, (len(entries), size, size, 3))
        _write_header(masks, (tested, size, size))
        for entry, (row, pixels, mask) in zip(entries, results, strict=True):
            images.write(pixels.data)
            if entry.split == "test":
                masks.write((blank if mask is None else mask).data)
            thumbnails.append(copies.thumbnail(pixels))
            rows.append(row)
            on_image(len(rows), len(entries))
    return rows


def _written(path: Path, number: int) -> np.ndarray:
    """Return one image of a file that is mapped no longer than it takes: it would count as memory."""
    return np.array(np.load(path, mmap_mode="r")[number])


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _refuse_conflicts(raw: Path, rows: list[_Row], size: int) -> None:
    """Refuse an image that is in train and in test, or good and defective in test.

    Images are the same when their files are, or their prepared pixels.
    """
    train = [row for row in rows if row.entry.split == "train"]
    good, defective = (
        [row for row in rows if row.entry.split == "test" and row.entry.label == label] for label in (0, 1)
    )
    _refuse_pairs(raw, [*good, *defective], train, size, "What is trained on must not be tested on.")
    _refuse_pairs(raw, defective, good, size, "An image is good or defective, not both.")


def _refuse_pairs(raw: Path, rows: list[_Row], others: list[_Row], size: int, rule: str) -> None:
    paths = {row.pixel_digest: row.entry.path for row in others}
    pairs = [
        (row.entry.path, paths[row.pixel_digest])
        for row in sorted(rows, key=lambda row: row.entry.path)
        if row.pixel_digest in paths
    ]
    if pairs:
        first, second = pairs[0]
        more = f" ({len(pairs) - 1} more such pairs)" if len(pairs) > 1 else ""
        raise UserError(
            f"{raw / first}: is the same image as {raw / second}, compared at {size}×{size} pixels{more}. "
            f"{rule} Nothing was written. Remove one, then run again; with "
            "data.source: folder, the file below data.path."
        )


def _manifest(category: str, rows: list[_Row], first: np.ndarray) -> pd.DataFrame:
    """Return manifest.csv.

    Args:
        first: (n,) of each row, the row of the first image that it is a copy of.
    """
    return pd.DataFrame(
        {
            "path": [row.entry.path for row in rows],
            "category": category,
            "split": [row.entry.split for row in rows],
            "defect": [row.entry.defect for row in rows],
            "label": [row.entry.label for row in rows],
            "width": [row.width for row in rows],
            "height": [row.height for row in rows],
            "mode": [row.mode for row in rows],
            "sha256": [row.sha256 for row in rows],
            "has_mask": [int(row.mask_sha256 != "") for row in rows],
            "bytes": [row.size for row in rows],
            "original": [rows[number].entry.path for number in first],
        }
    )


def _facts(raw: Path, rows: list[_Row], size: int) -> dict[str, Any]:
    lines = [f"{row.entry.path} {row.sha256}\n" for row in rows]
    lines += [f"{row.entry.mask} {row.mask_sha256}\n" for row in rows if row.entry.mask]
    data_hash = hashlib.sha256()
    for line in sorted(lines):
        data_hash.update(line.encode())
    counts = [(row.entry.split, row.entry.label) for row in rows]
    return {
        "category": raw.name,
        "image_size": size,
        "data_hash": data_hash.hexdigest(),
        "pixels_hash": hashlib.sha256(b"".join(row.pixel_digest for row in rows)).hexdigest(),
        "n_train": counts.count(("train", 0)),
        "n_test_good": counts.count(("test", 0)),
        "n_test_defective": counts.count(("test", 1)),
    }
