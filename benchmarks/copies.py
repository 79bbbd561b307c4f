"""What the limits of `data/copies.py` lie between: photos saved again, and other photos of the same kind.

    python benchmarks/copies.py                      # the built-in sample's training images
    python benchmarks/copies.py --photos ../mvtec    # those of every category in this folder

Each photo is compared with itself, saved again in several ways, and with all others. A copy must lie below
both limits: by how many of 256 levels two small images differ at most, and which share of the energy of both
images' detail lies in the difference. Takes a minute a category.
"""

import argparse
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from mlproject.data import copies
from mlproject.data.checks import PREPARED_SIDE
from mlproject.data.decode import fit, open_image
from mlproject.data.sample import build

MOST = 200  # photos of a category


def main() -> None:
    """Print, for each category, how far copies are from their originals and how near other photos are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="holds <category>/train/good; default: the sample")
    given = parser.parse_args()
    print(f"limits: {copies.LARGEST_DIFFERENCE} levels and a share of {copies.LARGEST_SHARE:g}")
    for title, photos in _categories(given.photos):
        first = _thumbnails(photos)
        print(f"\n{title}, {len(photos)} photos       levels: median    most   share: median    most   found")
        for way, again in WAYS.items():
            second = _thumbnails([open_image(again(photo))[0] for photo in photos])
            levels, shares = _levels(first, second), _shares(first, second).diagonal()
            found = np.mean((levels <= copies.LARGEST_DIFFERENCE) & (shares <= copies.LARGEST_SHARE))
            numbers = f"{np.median(levels):14.0f} {levels.max():7.0f}"
            numbers += f" {np.median(shares):15.4f} {shares.max():7.4f}"
            print(f"  {way:24} {numbers} {found:7.1%}")
        rows, columns = np.triu_indices(len(first), 1)
        levels, shares = _levels(first[rows], first[columns]), _shares(first, first)[rows, columns]
        found = np.sum((levels <= copies.LARGEST_DIFFERENCE) & (shares <= copies.LARGEST_SHARE))
        least = f"at least {levels.min():.0f} levels and a share of {shares.min():.2f}"
        print(f"  {len(rows)} pairs of other photos: {least}; taken for copies: {found}", flush=True)


def _categories(folder: Path | None) -> Iterator[tuple[str, list[Image.Image]]]:
    if folder is None:
        for category in build.CATEGORIES:
            chosen = [p for p in build.pictures(category, seed=0) if p.subset == "train"][:MOST]
            yield category, [Image.fromarray(build.render(picture)[0]) for picture in chosen]
        return
    for place in sorted(folder.glob("*/train/good")):
        files = sorted(path for path in place.iterdir() if path.is_file())[:MOST]
        yield place.parents[1].name, [open_image(path.read_bytes())[0] for path in files]


def _thumbnails(photos: list[Image.Image]) -> np.ndarray:
    return np.stack([copies.thumbnail(fit(photo, PREPARED_SIDE)) for photo in photos])


def _levels(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return (n,) the largest difference of each pair of (n, 32, 32, 3) small images."""
    return np.abs(first.astype(np.int16) - second).max(axis=(1, 2, 3))


def _shares(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return (n, m): of each pair's detail, the share of its energy that is in the difference."""
    detail = copies._detail(np.concatenate([first, second]))
    a, b = detail[: len(first)], detail[len(first) :]
    energy = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)
    return 1 - 2 * (a @ b.T) / energy


def _saved(kind: str, side: float = 1, **how: int) -> Callable[[Image.Image], bytes]:
    """Return a function that saves a photo, its sides multiplied by `side`."""

    def save(photo: Image.Image) -> bytes:
        out = BytesIO()
        size = (round(photo.width * side), round(photo.height * side))
        photo.convert("RGB").resize(size).save(out, kind, **how)
        return out.getvalue()

    return save


WAYS = {
    "JPEG 95": _saved("JPEG", quality=95),
    "JPEG 60": _saved("JPEG", quality=60),
    "WebP 80": _saved("WEBP", quality=80),
    "0.7 of the side": _saved("PNG", 0.7),
    "0.7 of it, JPEG 75": _saved("JPEG", 0.7, quality=75),
    "twice the side": _saved("PNG", 2),
}

if __name__ == "__main__":
    main()
