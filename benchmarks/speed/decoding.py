"""Decoding and resizing of 1024 px photos, against Pillow in one process."""

import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.speed import inputs
from benchmarks.speed.measure import Group, Row, Side
from benchmarks.speed.worker import Measured

SIZE = 256  # of the resized squares, pixels


def groups(tiny: bool) -> list[Group]:
    """Return a group for each format."""
    made = []
    for ending, least in (("png", 1.9), ("jpg", 4.0)):
        options = {
            "n": 2 if tiny else 16,
            "repeats": 1 if tiny else 3,
            "side": 64 if tiny else 1024,
            "ending": ending,
        }
        sides = {
            "ours": Side("as `prepare` and `predict` do", "decoding:ours", options),
            "pillow": Side("Pillow, one after another", "decoding:pillow", options),
        }
        what = f"decode 1024 px {'PNG' if ending == 'png' else 'JPEG'}, resize to {SIZE}"
        row = Row(what, "ours", "pillow", "images/s", least)
        made.append(Group(f"decoding-{ending}", sides, (row,)))
    return made


def ours(n: int, repeats: int, side: int, ending: str, scratch: str) -> Measured:
    """Images a second of `photos.decoded`, on all cores."""
    from mlproject.data import photos

    paths = inputs.photos(Path(scratch, ending), n, side, ending) * repeats

    def once() -> float:
        started = time.perf_counter()
        for photo in photos.decoded(paths, SIZE):
            assert photo.pixels is not None, photo.error
        return len(paths) / (time.perf_counter() - started)

    return Measured(once)


def pillow(n: int, repeats: int, side: int, ending: str, scratch: str) -> Measured:
    """Images a second of a loop over Pillow that resizes in the same way."""
    paths = inputs.photos(Path(scratch, ending), n, side, ending) * repeats

    def once() -> float:
        started = time.perf_counter()
        for path in paths:
            with Image.open(path) as image:
                square = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS, reducing_gap=2.0)
                np.asarray(square)
        return len(paths) / (time.perf_counter() - started)

    return Measured(once)
