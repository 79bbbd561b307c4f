"""Cost of large work, from rates that were measured before: writes docs/sizing.md.

Usage: python benchmarks/sizing.py. Reads docs/results/benchmark/benchmark.csv (`mlproject benchmark`) and
docs/results/speed.json (`make bench`); run it again after either. tests/docs/test_sizing.py checks that.
"""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mlproject.core import files
from mlproject.core.tables import read_table

BENCHMARK, SPEED = Path("docs/results/benchmark/benchmark.csv"), Path("docs/results/speed.json")
PAGE = Path("docs/sizing.md")
CATEGORIES, MODELS, SEEDS = 15, 6, 3
MVTEC_IMAGES = 5354  # of all categories, as its authors count them
TO_SCORE = 10_000_000
CORES = 2  # of the machine that was measured
WITHOUT_EPOCHS = ("patch_kde", "pca")  # computed at once: a GPU shortens nothing that takes long
FACTORS = (5, 20)  # how much quicker than a core a GPU may train a network
MACHINES = 50
HOUR = 3600.0


def page(cells: pd.DataFrame, speed: dict[str, Any]) -> str:
    """Return the page.

    Args:
        cells: benchmark.csv, a row a category and model.
        speed: `groups` of speed.json.
    """
    parts = (
        _head(cells, speed),
        _rates(cells, speed),
        _trainings(cells, speed),
        _scoring(cells, speed),
        _limits(speed),
    )
    return "\n".join(parts)


def _head(cells: pd.DataFrame, speed: dict[str, Any]) -> str:
    machine, date = cells["machines"].iloc[0], cells["dates"].iloc[0]
    other = speed["decoding-png"]["machine"].split(",")[0]
    return f"""# Sizing

<!-- Written by python benchmarks/sizing.py: do not edit. -->
How long large jobs take: many trainings, or millions of photos. **Bold** figures were measured on small jobs,
by [the benchmark](results/benchmark/benchmark.md) and for [Speed and memory](speed.md); *figures in italics*
are extrapolated from them. Trainings and their images' scores were measured on {machine}, {date},
while it was busy with other work: an idle machine takes less time. All else was measured on {other}.
Where both add up, the machines count as equal. No GPU was measured.
"""


def _rates(cells: pd.DataFrame, speed: dict[str, Any]) -> str:
    rows = []
    for model, group in cells.groupby("model", sort=False):
        trained, scored = group["training_seconds"].mean(), group["ms_per_image"].mean()
        rows.append(
            (f"{model}: a training; an image", f"**{trained:.0f} s**; **{scored:.0f} ms**, on one core")
        )
    for kind, title in (("png", "PNG"), ("jpg", "JPEG")):
        rate = _median(speed, f"decoding-{kind}", "ours")
        rows.append((f"{title} of 1024 px, decoded and shrunk", f"**{rate:.0f} images/s** on {CORES} cores"))
    return _section("What was measured", "", ("what", "measured"), rows)


def _trainings(cells: pd.DataFrame, speed: dict[str, Any]) -> str:
    n_test = (cells["n_good"] + cells["n_defective"]).mean()
    whole = (cells["training_seconds"] + cells["ms_per_image"] * n_test / 1000).groupby(cells["model"]).mean()
    dearest = str(whole.idxmax())
    names = [*whole.index, *[dearest] * (MODELS - len(whole))]
    hours = {name: whole[name] * CATEGORIES * SEEDS / HOUR for name in whole.index}
    at_once = sum(hours[name] for name in names if name in WITHOUT_EPOCHS)
    networks = sum(hours[name] for name in names if name not in WITHOUT_EPOCHS)
    decoding = MVTEC_IMAGES / _median(speed, "decoding-png", "ours") / HOUR  # on all cores
    rows = [
        ("one such core", at_once + networks + decoding * CORES),
        (f"a laptop with {CORES} such cores, `--workers {CORES}`", (at_once + networks) / CORES + decoding),
    ]
    for factor in FACTORS:
        one = at_once / CORES + networks / factor + decoding
        rows.append((f"{CORES} such cores and a GPU, if it trains networks {factor} times as quickly", one))
        rows.append((f"8 such machines, each with a GPU {factor} times as quick, `--engine ray`", one / 8))
    count, rest = CATEGORIES * MODELS * SEEDS, MODELS - len(whole)
    about = f"""{count} trainings, each with its test images scored. {len(whole)} models were measured,
on images of bottle and transistor; {rest} more is taken to cost as much as {dearest}, the slowest. How much
a GPU gains is assumed, not measured: it speeds up the networks only, {networks:.1f} h of the first row.
Trainings are independent, so several machines divide the time, at best down to that of one training
({whole.max() / 60:.0f} min here).
"""
    title = f"{CATEGORIES} categories × {MODELS} models × {SEEDS} seeds"
    return _section(title, about, ("on", "time"), [(where, f"*{_time(time)}*") for where, time in rows])


def _scoring(cells: pd.DataFrame, speed: dict[str, Any]) -> str:
    rows = []
    for model, group in cells.groupby("model", sort=False):
        scored = group["ms_per_image"].mean() / 1000 / CORES
        png, jpeg = (
            TO_SCORE * (scored + 1 / _median(speed, f"decoding-{kind}", "ours")) / HOUR
            for kind in ("png", "jpg")
        )
        rows.append((str(model), f"*{png:.0f} h*", f"*{jpeg:.0f} h*", f"*{_time(jpeg / MACHINES)}*"))
    about = "Decoding and scoring, one after the other. Images share nothing, so machines divide the time.\n"
    columns = (
        "model",
        f"{CORES} cores, PNG of 1024 px",
        f"{CORES} cores, JPEG",
        f"{MACHINES} such machines, JPEG",
    )
    return _section(f"{TO_SCORE:,} images to score", about, columns, rows)


def _time(hours: float) -> str:
    """Return hours as text, below a tenth minutes."""
    return f"{hours:.1f} h" if hours >= 0.1 else f"{hours * 60:.0f} min"


def _limits(speed: dict[str, Any]) -> str:
    small, large = (_median(speed, f"density-{n}", "ours") for n in (256, 2000))
    outputs = speed["dvc"]["facts"]["repro"].split(";")[0]
    memory = speed["kd_cae"]["peaks"]["float32"] / 1000
    rows = [
        (
            "`dvc repro`",
            "it reads params.yaml again for each stage; one runs at a time",
            f"**{_median(speed, 'dvc', 'repro'):.1f} s** with nothing to do, {outputs}",
        ),
        (
            "KD-CAE's kernel density",
            "exact, so its time grows with the training images",
            f"queries/s: **{small:,.0f}** with 256 training images, **{large:,.0f}** with 2,000, "
            f"*{large / 50:,.0f} with 100,000*",
        ),
        ("training KD-CAE", "memory, which hardly grows with the images", f"**{memory:.1f} GB**"),
        ("`mlflow.db`", "one writer at a time: machines need [shared services](shared-services.md)", ""),
        (
            "MLflow's server",
            "one request for each file, and the log-in is verified each time, unless "
            "`auth_cache_ttl_seconds` is set",
            "",
        ),
        (
            "a search of more than 10,000 trials",
            "MLflow is asked for 10,000 runs at most, so a later call records some trials twice",
            "",
        ),
        ("extending a patch_kde", "above this number not all descriptors are kept", "250 training images"),
    ]
    return _section("Where each part breaks first", "", ("part", "what gives way", "figure"), rows)


def _section(title: str, about: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    table = [columns, ["---"] * len(columns), *rows]
    lines = [f"| {' | '.join(cells)} |" for cells in table]
    return "\n".join([f"## {title}", "", *([about] if about else []), *lines, ""])


def _median(speed: dict[str, Any], group: str, side: str) -> float:
    return statistics.median(speed[group]["values"][side])


def main() -> None:
    """Write the page."""
    files.write_text(PAGE, page(read_table(BENCHMARK), files.read_json(SPEED)["groups"]))


if __name__ == "__main__":
    main()
