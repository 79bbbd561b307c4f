"""Rate and memory of what reads many images, at more and more of them, against itself at 100."""

import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from benchmarks.speed import inputs, scoring
from benchmarks.speed.measure import PEAK, Group, Row, Side
from benchmarks.speed.worker import Measured

SIDE = 64  # pixels, of photos and squares: what grows does not depend on it
ENOUGH = 2.0  # seconds that a measurement lasts at least, at full size
COUNTS = {
    "prepare": (100, 1000, 10_000, 100_000),
    "predict": (100, 1000, 10_000, 100_000),
    "patch_kde_setup": (100, 1000, 10_000),
}
WORDS = {"prepare": "prepare", "predict": "predict, KD-CAE", "patch_kde_setup": "patch_kde set-up"}
FLAT_RATE, FLAT_MEMORY = 0.9, 1.1


def groups(tiny: bool) -> list[Group]:
    """Return a group for each of them."""
    return [_group(name, counts, tiny) for name, counts in COUNTS.items()]


def _group(name: str, counts: tuple[int, ...], tiny: bool) -> Group:
    if tiny:
        counts = tuple(n // 50 for n in counts[:2])
    seconds = 0 if tiny else ENOUGH
    sides = {str(n): Side(f"{n:,} images", f"growth:{name}", {"n": n, "seconds": seconds}) for n in counts}
    rows: list[Row] = []
    for n in counts[1:]:
        pair = (str(n), str(counts[0]))
        rows.append(Row(f"{WORDS[name]}, {n:,} images", *pair, "images/s", at_least=FLAT_RATE))
        rows.append(Row(f"{WORDS[name]}, {n:,} images", *pair, PEAK, at_most=FLAT_MEMORY))
    return Group(f"growth-{name}", sides, tuple(rows), rounds=1)


def prepare(n: int, seconds: float, scratch: str) -> Measured:
    """Images a second of `prepare_category`."""
    from mlproject.data.prepare import prepare_category

    category = Path(scratch, f"raw-{n}", "made_up")
    inputs.photos(category / "train/good", n, SIDE)
    for number, name in enumerate(("good", "dent")):
        (category / "test" / name).mkdir(parents=True)
        image = inputs.arrays(1, SIDE, seed=n + number)[0]
        Image.fromarray(image).save(category / "test" / name / "0.png")
    out = Path(scratch, f"prepared-{n}")
    return _rate(n, seconds, lambda: prepare_category(category, out, SIDE))


def predict(n: int, seconds: float, scratch: str) -> Measured:
    """Photos a second from files to verdicts."""
    from mlproject.inference.predict import predict_photos

    detector = scoring.fitted("kd_cae", inputs.arrays(scoring.with_held_out(16), SIDE), 16)
    paths = inputs.photos(Path(scratch, "photos"), 100, SIDE)

    def once() -> None:
        repeated = [paths[i % len(paths)] for i in range(n)]
        rows = [found.row() for found in predict_photos(detector, 0.0, SIDE, repeated)]
        assert len(rows) == n

    return _rate(n, seconds, once)


def patch_kde_setup(n: int, seconds: float, scratch: str) -> Measured:
    """Training images a second of patch_kde's `fit`."""
    good = max(n, 6)
    images = inputs.arrays(scoring.with_held_out(good), SIDE, alike=inputs.PART)
    return _rate(good, seconds, lambda: scoring.fitted("patch_kde", images, good))


def _rate(n: int, seconds: float, function: Callable[[], object]) -> Measured:
    """Return images a second of a function of n images, called until enough time has passed."""

    def once() -> float:
        started, calls = time.perf_counter(), 0
        while not calls or time.perf_counter() - started < seconds:
            function()
            calls += 1
        return calls * n / (time.perf_counter() - started)

    return Measured(once)
