"""Check a category's photos for what cannot be decoded, or decodes and is wrong."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mlproject.core.errors import quoted
from mlproject.core.parallel import in_order, usable_cores
from mlproject.data import copies
from mlproject.data.decode import UndecodableImage, decode_mask, fit, open_image, orientation
from mlproject.data.layout import Entry

FEW_LEVELS = 32  # of 256; 12-bit values in a 16-bit file leave 16
MOSTLY_MARKED = 0.5  # share of a mask from which it is taken for inverted
ASPECT_FACTOR = 2.0  # how much wider or taller than the category's median
SIDE_FACTOR = 8.0  # how much smaller or larger than the category's median
MASK_SIDE = 256
PREPARED_SIDE = 256  # at which copies are looked for
NAMED = 3  # findings of one kind that are listed by name


@dataclass(frozen=True)
class Finding:
    """Something about a file that a person should look at.

    Attributes:
        kind: findings of one kind are listed together.
        path: relative to the category's folder.
        text: what was found, with its number, and what to do.
    """

    kind: str
    path: str
    text: str


@dataclass(frozen=True)
class _Photo:
    entry: Entry
    size: tuple[int, int]
    digest: str
    thumbnail: np.ndarray


def check_category(folder: Path, entries: Sequence[Entry]) -> list[Finding]:
    """Return what is suspicious about the images and masks of a category folder, in the order of `entries`.

    A file that cannot be decoded yields no other finding; stage prepare will refuse it.
    """
    with ThreadPoolExecutor(usable_cores()) as pool:
        tasks = (pool.submit(_look, folder, entry) for entry in entries)
        looked = list(in_order(tasks, ahead=32))
    photos = [photo for photo, _ in looked if photo]
    findings = [finding for _, found in looked for finding in found]
    return [*findings, *_sizes(photos), *_copies(folder, photos)]


def summary(folder: Path, findings: Sequence[Finding]) -> list[str]:
    """Return one line a finding; of each kind the first few, then how many more there are."""
    lines = []
    for kind in dict.fromkeys(finding.kind for finding in findings):
        alike = [finding for finding in findings if finding.kind == kind]
        lines += [f"{quoted(folder / finding.path)}: {finding.text}" for finding in alike[:NAMED]]
        if len(alike) > NAMED:
            lines.append(f"{quoted(folder)}: {len(alike) - NAMED} more files like that ({kind})")
    return lines


def _undecodable(path: str, error: UndecodableImage) -> Finding:
    return Finding("not decoded", path, f"cannot be decoded ({error}): remove or replace it")


def _look(folder: Path, entry: Entry) -> tuple[_Photo | None, list[Finding]]:
    findings = []
    data = (folder / entry.path).read_bytes()
    try:
        image, mode = open_image(data)
    except UndecodableImage as error:
        return None, [_undecodable(entry.path, error)]
    pixels = np.asarray(image)
    if mode.startswith("I;16"):
        levels = len(np.unique(pixels))
        if 1 < levels <= FEW_LEVELS:
            text = (
                f"a 16-bit file that uses only {levels} of 256 grey levels (12-bit camera values?): "
                "export it with values from 0 to 65535"
            )
            findings.append(Finding("few grey levels", entry.path, text))
    if entry.mask:
        findings += _mask_findings(folder, entry, data, image.size)
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    return _Photo(entry, image.size, digest, copies.thumbnail(_prepared(image))), findings


def _prepared(image: Image.Image) -> np.ndarray:
    return fit(image, PREPARED_SIDE)


def _mask_findings(folder: Path, entry: Entry, data: bytes, size: tuple[int, int]) -> Iterator[Finding]:
    assert entry.mask is not None
    mask_data = (folder / entry.mask).read_bytes()
    try:
        share = float(decode_mask(mask_data, MASK_SIDE, size).mean())
    except UndecodableImage as error:
        yield _undecodable(entry.mask, error)
        return
    if share == 0:
        yield Finding("empty mask", entry.mask, "marks nothing (0 %), though its image is defective")
    elif share > MOSTLY_MARKED:
        text = f"marks {share:.0%} of the image: is it inverted? The defect must be the bright part"
        yield Finding("inverted mask", entry.mask, text)
    turned = orientation(data)
    if turned != 1 and orientation(mask_data) == 1:
        text = (
            f"is shown turned (EXIF orientation {turned}), its mask has no such tag: "
            "the mask must be drawn on the photo as shown"
        )
        yield Finding("turned by EXIF", entry.path, text)


def _sizes(photos: Sequence[_Photo]) -> Iterator[Finding]:
    """Yield the photos whose shape or size is far from the category's median."""
    if not photos:
        return
    widths, heights = np.array([photo.size for photo in photos], dtype=float).T
    aspect, side = np.median(widths / heights), np.median(np.sqrt(widths * heights))
    for photo, width, height in zip(photos, widths, heights, strict=True):
        aspect_factor, side_factor = width / height / aspect, np.sqrt(width * height) / side
        if not (
            1 / ASPECT_FACTOR <= aspect_factor <= ASPECT_FACTOR
            and 1 / SIDE_FACTOR <= side_factor <= SIDE_FACTOR
        ):
            text = (
                f"is {width:.0f} × {height:.0f} pixels, unlike most others of its category (about "
                f"{side * np.sqrt(aspect):.0f} × {side / np.sqrt(aspect):.0f}); all become squares"
            )
            yield Finding("unusual size", photo.entry.path, text)


def _copies(folder: Path, photos: Sequence[_Photo]) -> Iterator[Finding]:
    if not photos:
        return
    train = [photo for photo in photos if photo.entry.split == "train"]
    if len(train) > 1 and len({photo.digest for photo in train}) == 1:
        text = f"all {len(train)} training photos are equal to this one: there is nothing to learn from them"
        yield Finding("equal training photos", train[0].entry.path, text)
        return
    found = copies.originals(
        np.stack([photo.thumbnail for photo in photos]),
        [photo.digest for photo in photos],
        photo=lambda number: _prepared(open_image((folder / photos[number].entry.path).read_bytes())[0]),
    )
    for photo, number in zip(photos, found, strict=True):
        first = photos[number]
        if first is not photo:
            equal = first.digest == photo.digest
            how = "the same image as" if equal else "nearly the same image as"
            text = f"is {how} {quoted(first.entry.path)}"
            yield Finding("copies", photo.entry.path, f"{text}: {_consequence(photo.entry, first.entry)}")


def _consequence(copy: Entry, original: Entry) -> str:
    if copy.split != original.split:
        return "what is trained on must not be tested on"
    if copy.label != original.label:
        return "an image is good or defective, not both"
    return "the two have one role, and say no more than one"
