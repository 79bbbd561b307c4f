"""Drill: two hundred files of twenty kinds in one folder; `predict` must score, name or count each of them.

    python tests/drills two_hundred_files [FILES OF EACH KIND]

Prints how many were tried, survived and lost.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from mlproject import models
from mlproject.core import params
from mlproject.data.photos import find
from mlproject.inference.predict import predict_photos
from mlproject.models.components.detector import Detector
from mlproject.training.run_options import RunOptions

SIDE = 32
SCORED, NAMED, COUNTED = "scored", "named", "counted"


def picture(number: int) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def saved(image: Image.Image, kind: str, **how: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def _sixteen_bit(image: Image.Image) -> bytes:
    return saved(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), "PNG")


def _turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(image, "JPEG", exif=exif)


def _without_palette(image: Image.Image) -> bytes:
    """A paletted PNG whose PLTE chunk has another name."""
    return saved(image.convert("P"), "PNG").replace(b"PLTE", b"pLTe", 1)


def _huge(image: Image.Image) -> bytes:
    """A BMP that says it is 60,000 pixels wide and high."""
    data = bytearray(saved(image, "BMP"))
    data[18:26] = (60_000).to_bytes(4, "little") * 2
    return bytes(data)


def _of(data: Callable[[Image.Image], bytes]) -> Callable[[Path, int], object]:
    return lambda path, number: path.write_bytes(data(picture(number)))


def _link(path: Path, number: int) -> None:
    path.symlink_to(f"nowhere {number}")


# kind → ending, what must become of it, how it is made
KINDS: dict[str, tuple[str, str, Callable[[Path, int], object]]] = {
    "png": (".png", SCORED, _of(lambda image: saved(image, "PNG"))),
    "jpeg": (".jpg", SCORED, _of(lambda image: saved(image, "JPEG"))),
    "bmp": (".BMP", SCORED, _of(lambda image: saved(image, "BMP"))),
    "tiff": (".tif", SCORED, _of(lambda image: saved(image, "TIFF"))),
    "webp": (".webp", SCORED, _of(lambda image: saved(image, "WEBP"))),
    "grey": (".png", SCORED, _of(lambda image: saved(image.convert("L"), "PNG"))),
    "sixteen bit": (".png", SCORED, _of(_sixteen_bit)),
    "transparent": (".png", SCORED, _of(lambda image: saved(image.convert("RGBA"), "PNG"))),
    "palette": (".png", SCORED, _of(lambda image: saved(image.convert("P"), "PNG"))),
    "cmyk": (".jpeg", SCORED, _of(lambda image: saved(image.convert("CMYK"), "JPEG"))),
    "turned": (".jpg", SCORED, _of(_turned)),
    "one pixel": (".png", SCORED, _of(lambda image: saved(image.crop((0, 0, 1, 1)), "PNG"))),
    "truncated": (".png", NAMED, _of(lambda image: saved(image, "PNG")[:200])),
    "empty": (".jpg", NAMED, _of(lambda image: b"")),
    "gif": (".png", NAMED, _of(lambda image: saved(image, "GIF"))),
    "without palette": (".png", NAMED, _of(_without_palette)),
    "huge": (".bmp", NAMED, _of(_huge)),
    "link": (".png", NAMED, _link),
    "pipe": (".png", NAMED, lambda path, number: os.mkfifo(path)),
    "notes": (".txt", COUNTED, _of(lambda image: b"notes")),
}


def detector() -> Detector:
    """Return a small model of noise."""
    settings = params.load_file()["models"]["pca"] | {"image_size": SIDE, "components": 3}
    made = models.create("pca", settings)
    images = np.stack([np.asarray(picture(number)) for number in range(12)])
    made.fit(images[:8], images[8:], RunOptions(seed=0))
    made.calibrate(images[8:])
    return made


def drill(folder: Path, of_each: int) -> Iterator[tuple[str, str]]:
    """Yield each file's kind, and what is wrong with what became of it: empty if nothing."""
    made = {}
    for kind, (ending, _, make) in KINDS.items():
        for number in range(of_each):
            path = folder / f"{kind} {number}{ending}"
            make(path, number)
            made[path] = kind
    paths, others = find([folder])
    model = detector()
    by_path = {prediction.path: prediction for prediction in predict_photos(model, 0.5, SIDE, paths)}
    counted = Counter(path.suffix for path, kind in made.items() if KINDS[kind][1] == COUNTED)
    for path, kind in made.items():
        found = by_path.get(path)
        if found is None:
            fate = COUNTED if others == counted else "missing"
        else:
            fate = NAMED if found.error else SCORED if np.isfinite(found.score) else "without a score"
        expected = KINDS[kind][1]
        yield path.name, "" if fate == expected else f"{fate}, not {expected}"


def tries(arguments: list[str]) -> Iterator[tuple[str, str]]:
    """Run the drill with ten files of each kind, or as many as said."""
    with tempfile.TemporaryDirectory() as folder:
        yield from drill(Path(folder), int(arguments[0]) if arguments else 10)
