"""Set-up of a model, and files to verdicts, against anomalib's PatchCore and PaDiM."""

import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed import inputs
from benchmarks.speed.measure import PEAK, Group, Row, Side
from benchmarks.speed.worker import Measured

SIZE = 256  # of the photos, pixels
TEXTURE = "texture"  # patch_kde, of a texture: places share their kernels
NAMES = {
    "kd_cae": "KD-CAE",
    "patch_kde": "patch_kde",
    TEXTURE: "patch_kde of a texture",
    "padim": "PaDiM",
    "patchcore": "PatchCore",
}
BATCHES = (1, 32)


def groups(tiny: bool) -> list[Group]:
    """Return the set-up, and files to verdicts one at a time and many at once."""
    return [_setup(tiny), *(_verdicts(batch, tiny) for batch in BATCHES)]


def _setup(tiny: bool) -> Group:
    options = {"n": 6 if tiny else 200, "side": 64 if tiny else SIZE}
    sides = {"patch_kde": Side("patch_kde", "scoring:setup", options)}
    for name in ("patchcore", "padim"):
        sides[name] = Side(f"anomalib {NAMES[name]}", f"anomalib_models:{name}_setup", options, peers=True)
    rows = (
        Row("set-up of 200 images, patch_kde", "patch_kde", "patchcore", "images/s", 50),
        Row("set-up of 200 images, patch_kde", "patch_kde", "padim", "images/s", 1),
    )
    note = (
        "PatchCore's set-up time is extrapolated from 8 images through its network and 20 steps of its "
        "coreset, which takes 20,480 steps of equal cost."
    )
    return Group("setup", sides, rows, rounds=3, note=note)


def _verdicts(batch: int, tiny: bool) -> Group:
    options = {"n": 4 if tiny or batch == 1 else 32, "side": 64 if tiny else SIZE, "batch": batch}
    good = {"good": 8 if tiny else 160}
    sides = {
        name: Side(NAMES[name], "scoring:verdicts", options | good | {"model": name})
        for name in ("kd_cae", "patch_kde", TEXTURE)
    }
    for name in ("padim", "patchcore"):
        made = options | {"model": name}
        sides[name] = Side(f"anomalib {NAMES[name]}", "anomalib_models:verdicts", made, peers=True)
    pairs = [(a, b, least) for a, least in (("kd_cae", 20), ("patch_kde", 4)) for b in ("padim", "patchcore")]
    how = "one at a time" if batch == 1 else "many at once"
    rows = [Row(f"files to verdicts, {how}, {NAMES[a]}", a, b, "images/s", least) for a, b, least in pairs]
    rows.append(Row(f"files to verdicts, {how}, {NAMES[TEXTURE]}", TEXTURE, "padim", "images/s"))
    if batch > 1:
        rows += [Row(f"memory, many at once, {NAMES[a]}", a, b, PEAK, at_most=0.333) for a, b, _ in pairs]
    return Group(f"verdicts-{batch}", sides, tuple(rows), rounds=1 if tiny else 5 if batch == 1 else 3)


def fitted(model: str, images: np.ndarray, good: int) -> Any:
    """Return a detector with the settings of params.yaml, fitted for one epoch: as fast as a trained one.

    Args:
        images: (n, s, s, 3) uint8; the first `good` train, the others set the threshold.
    """
    from mlproject import models
    from mlproject.core import params
    from mlproject.training.run_options import RunOptions

    changed = {"window": "all"} if model == TEXTURE else {}
    model = "patch_kde" if model == TEXTURE else model
    settings = params.value("models")[model] | changed
    quick = {"epochs": 1, "patience": 1, "image_size": min(images.shape[1], settings["image_size"])}
    detector = models.create(
        model, settings | {key: value for key, value in quick.items() if key in settings}
    )
    detector.fit(images[:good], images[good:], RunOptions(seed=0))
    detector.calibrate(images[good:])
    return detector


def with_held_out(good: int) -> int:
    """Return how many images `fitted` takes for so many to train on."""
    return good + max(2, good // 20)


def save_fitted(model: str, good: int, side: int, folder: Path) -> None:
    """Fit and save; at full size in a process of its own: this one's peak is to be that of scoring."""
    if side == SIZE:
        fitting = multiprocessing.get_context("spawn").Process(target=_save, args=(model, good, side, folder))
        fitting.start()
        fitting.join()
    else:
        _save(model, good, side, folder)


def _save(model: str, good: int, side: int, folder: Path) -> None:
    fitted(model, inputs.arrays(with_held_out(good), side, alike=inputs.PART), good).save(folder)


def setup(n: int, side: int, scratch: str) -> Measured:
    """Training images a second, from files to a model of patch_kde with its threshold's scores."""
    from mlproject.data import photos

    count = with_held_out(n)
    paths = inputs.photos(Path(scratch, f"photos-{count}"), count, side)

    def once() -> float:
        started = time.perf_counter()
        decoded = (photo.pixels for photo in photos.decoded(paths, side))
        fitted("patch_kde", np.stack([pixels for pixels in decoded if pixels is not None]), n)
        return n / (time.perf_counter() - started)

    return Measured(once)


def verdicts(model: str, good: int, n: int, side: int, batch: int, scratch: str) -> Measured:
    """Photos a second from files to verdicts, as `mlproject predict` makes them.

    Args:
        batch: photos asked for in one call; many are taken as they come.
    """
    from mlproject import models
    from mlproject.inference import predict

    folder = Path(scratch, model)
    save_fitted(model, good, side, folder)
    detector = models.load(folder)
    paths = inputs.photos(Path(scratch, f"photos-{n}"), n, side)
    calls = [paths[i : i + 1] for i in range(n)] if batch == 1 else [paths]
    repeats = max(1, (96 if model == "kd_cae" else 32) // n) if side == SIZE else 1

    def once() -> float:
        started = time.perf_counter()
        for _ in range(repeats):
            for asked in calls:
                for prediction in predict.predict_photos(detector, 0.0, side, asked):
                    assert prediction.defective is not None
        return repeats * n / (time.perf_counter() - started)

    once()
    return Measured(once)
