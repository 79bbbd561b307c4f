"""What the limits of `data/copies.py` lie between: photos saved again, and other photos of the same kind.

    python benchmarks/copies.py                    # the sample, and parts without a texture
    python benchmarks/copies.py --photos ../mvtec    # those of every category in this folder

Each photo is compared with itself, saved again in several ways, and with all others. A copy must lie below
both limits: by how many of 256 levels two small images differ at most, and which share of the energy of both
images' detail lies in the difference. Of those that do, two with noise of their own are told apart: the last
column is the share of copies that are lost by that. Takes a minute a category.
"""

import argparse
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from mlproject.data import copies, sensor_noise
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
        pixels = [fit(photo, PREPARED_SIDE) for photo in photos]
        first, noise = _thumbnails(pixels), [sensor_noise.of(one) for one in pixels]
        print(f"\n{title}, {len(photos)} photos")
        print(f"{'levels: median    most   share: median    most   found    lost':>83}")
        for way, again in WAYS.items():
            saved = [fit(open_image(again(photo))[0], PREPARED_SIDE) for photo in photos]
            second, others = _thumbnails(saved), [sensor_noise.of(one) for one in saved]
            lost = np.mean([sensor_noise.separate(a, b) for a, b in zip(noise, others, strict=True)])
            levels, shares = _levels(first, second), _shares(first, second).diagonal()
            found = np.mean((levels <= copies.LARGEST_DIFFERENCE) & (shares <= copies.LARGEST_SHARE))
            numbers = f"{np.median(levels):14.0f} {levels.max():7.0f}"
            numbers += f" {np.median(shares):15.4f} {shares.max():7.4f}"
            print(f"  {way:24} {numbers} {found:7.1%} {lost:7.1%}")
        rows, columns = np.triu_indices(len(first), 1)
        levels, shares = _levels(first[rows], first[columns]), _shares(first, first)[rows, columns]
        alike = (levels <= copies.LARGEST_DIFFERENCE) & (shares <= copies.LARGEST_SHARE)
        pairs = zip(rows[alike], columns[alike], strict=True)
        told = sum(sensor_noise.separate(noise[a], noise[b]) for a, b in pairs)
        least = f"at least {levels.min():.0f} levels and a share of {shares.min():.2f}"
        level = np.median([one.spread for one in noise])
        print(f"  {len(rows)} pairs of other photos: {least}; alike: {alike.sum()}, ", end="")
        print(f"of which told apart by their noise, of {level:.2f} levels: {told}", flush=True)


def _categories(folder: Path | None) -> Iterator[tuple[str, list[Image.Image]]]:
    if folder is None:
        for category in build.CATEGORIES:
            chosen = [p for p in build.pictures(category, seed=0) if p.subset == "train"][:MOST]
            yield category, [Image.fromarray(build.render(picture)[0]) for picture in chosen]
        for spread in (1, 2, 4, 8):
            yield f"no texture, noise {spread}", [_without_texture(number, spread) for number in range(100)]
        return
    for place in sorted(folder.glob("*/train/good")):
        files = sorted(path for path in place.iterdir() if path.is_file())[:MOST]
        yield place.parents[1].name, [open_image(path.read_bytes())[0] for path in files]


def _without_texture(number: int, spread: float) -> Image.Image:
    """Draw an ellipse with the same pattern as all others, moved by up to a pixel, with noise of its own."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:512, :512] - 256 - rng.uniform(-1, 1, (2, 1, 1))
    pattern = 120 + 40 * np.sin(x / 9) * np.cos(y / 13) + 30 * np.sin((x + y) / 31)
    part = ((x / 200) ** 2 + (y / 140) ** 2 < 1) * pattern * (1 + rng.uniform(-0.02, 0.02))
    photo = part[..., None] * [1, 0.9, 0.8] + rng.normal(0, spread, (512, 512, 3))
    return Image.fromarray(photo.clip(0, 255).astype(np.uint8))


def _thumbnails(pixels: list[np.ndarray]) -> np.ndarray:
    return np.stack([copies.thumbnail(one) for one in pixels])


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
    "JPEG 50": _saved("JPEG", quality=50),
    "JPEG 60": _saved("JPEG", quality=60),
    "WebP 80": _saved("WEBP", quality=80),
    "0.7 of the side": _saved("PNG", 0.7),
    "0.7 of it, JPEG 75": _saved("JPEG", 0.7, quality=75),
    "twice the side": _saved("PNG", 2),
}

if __name__ == "__main__":
    main()
