"""Table of a benchmark as Markdown and CSV, with where it was measured, beside published numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import pandas as pd

from mlproject.reports.comparison_columns import BASELINE, outside_weights
from mlproject.reports.paper.markdown import bullets, escape, picture, table
from mlproject.reports.published_benchmarks import MEAN, METHODS, Published

Row = Mapping[str, Any]
READING = (
    "Protocol `clean`: the threshold comes from good images that chose neither weights nor epoch; of "
    "patch_kde also from those that it has learnt from, each scored by the others. No label and no test "
    "image is seen. All models of a category are evaluated on the whole test set, the same for every seed.",
    "A seed decides the weights and, as in the pipeline, which good images train, validate and calibrate. So "
    "models that draw nothing at random (pca, patch_kde) differ between seeds too, by their split alone.",
    "Each number is the mean over seeds; [brackets] are its 95% bootstrap interval over test images, good "
    "and defective drawn separately, the same draws for all. With fewer than 20 good or 20 defective images "
    "it is too narrow.",
    "Spread over seeds: the standard deviation, which the intervals do not hold. F1's is larger: each seed "
    "has other calibration images, so another threshold.",
    "Differences are paired: the same seeds, the same drawn images. They are not corrected for several "
    "comparisons; whether two models' own intervals overlap says nothing about their difference.",
    "F1 all defective: of calling every image defective. False alarms: the share of good images that may "
    "exceed the threshold, and the share of good test images that did.",
    "AUPRO: area under the per-region-overlap curve up to a false-positive rate of `evaluate.aupro_limit`.",
    "Training: seconds until a detector is ready to score, its threshold's images scored too. ms / image: to "
    "score prepared images. Both on one thread, with as many trainings at the same time as said below the "
    "table.",
    "Mean rank: by AUROC within each category, 1 is best, then the mean over categories.",
)


@dataclass(frozen=True)
class Made:
    """Where and when the trainings of a table were made.

    Attributes:
        command: that makes the table.
        machines: name of the processor and number of cores.
        dates: first and last, UTC.
        commits: short, marked -dirty where files had changes.
        at_once: numbers of trainings at the same time.
    """

    command: str
    machines: Sequence[str]
    dates: Sequence[str]
    commits: Sequence[str]
    at_once: Sequence[int]

    @classmethod
    def by(cls, command: str, measured: Sequence[Row]) -> Self:
        """Return it of all trainings of a benchmark."""
        ended = sorted(one["ended"] for one in measured)
        days = [datetime.fromtimestamp(at, UTC).date().isoformat() for at in (ended[0], ended[-1])]
        return cls(
            command,
            sorted({f"{one['machine']}, {one['cores']} cores" for one in measured}),
            list(dict.fromkeys(days)),
            sorted({one["commit"] or "no git" for one in measured}),
            sorted({one["at_once"] for one in measured}),
        )

    def in_words(self) -> str:
        """Return the line below each table."""
        at_once = " or ".join(map(str, self.at_once))
        trainings = "one training" if at_once == "1" else f"{at_once} trainings"
        return (
            f"*Measured on {escape('; '.join(self.machines))}; {' to '.join(self.dates)}; "
            f"commit {', '.join(self.commits)}; {trainings} at a time, one thread each.*"
        )


def number(value: float | None) -> str:
    """Write a share or an area with three decimals; `-` where there is none."""
    return "-" if value is None else f"{round(value, 3) + 0.0:.3f}"


def _interval(name: str) -> Callable[[Row], str]:
    def write(row: Row) -> str:
        if row[name] is None:
            return "-"
        return f"{number(row[name])} [{number(row[f'{name}_low'])}, {number(row[f'{name}_high'])}]"

    return write


def _difference(measure: str, other: str) -> Callable[[Row], str]:
    def write(row: Row) -> str:
        gap = row["differences"].get(other, {}).get(measure)
        if gap is None:
            return "-"
        value, low, high = (f"{round(gap[name], 3) + 0.0:+.3f}" for name in ("difference", "low", "high"))
        return f"{value} [{low}, {high}]"

    return write


def _alarms(row: Row) -> str:
    mark = "" if row["supported"] else " (too few calibration images)"
    return f"{row['false_alarm_rate_asked']:g} / {number(row['false_alarm_rate'])}{mark}"


def _model(row: Row) -> str:
    words = outside_weights(row)
    marks = [words] * bool(words) + ["has learnt nothing"] * bool(row.get("not_learnt_because"))
    return escape(row["model"]) + (f" ({', '.join(marks)})" if marks else "")


Columns = Mapping[str, Callable[[Row], str]]
NAMES: dict[str, Callable[[Row], str]] = {"category": lambda row: escape(row["category"]), "model": _model}
DETECTION: Columns = NAMES | {
    "AUROC [95%]": _interval("auroc"),
    "AUROC's spread over seeds": lambda row: number(row["auroc_spread"]),
    "F1 [95%]": _interval("f1"),
    "F1's spread over seeds": lambda row: number(row["f1_spread"]),
    "F1 all defective": lambda row: number(row["all_defective_f1"]),
    "false alarms asked / seen": _alarms,
}
LOCALISATION: Columns = NAMES | {
    "pixel AUROC [95%]": _interval("pixel_auroc"),
    "AUPRO [95%]": _interval("aupro"),
    "training, s": lambda row: f"{row['training_seconds']:.1f}",
    "ms / image": lambda row: f"{row['ms_per_image']:.1f}",
}
OVERALL: Columns = {
    "model": _model,
    "mean rank": lambda row: "-" if row["mean_rank"] is None else f"{row['mean_rank']:.2f}",
    "AUROC": lambda row: number(row["auroc"]),
    "F1": lambda row: number(row["f1"]),
    "pixel AUROC": lambda row: number(row["pixel_auroc"]),
    "AUPRO": lambda row: number(row["aupro"]),
    "training of all categories, s": lambda row: f"{row['training_seconds']:.1f}",
    "ms / image": lambda row: f"{row['ms_per_image']:.1f}",
}


def markdown(rows: Sequence[Row], overall: Sequence[Row], made: Made, figure: str) -> str:
    """Return benchmark.md.

    Args:
        rows: from `summary.rows`, a category's together.
        overall: from `summary.over_categories`.
        figure: path of the figure, relative to the file.
    """
    seeds, categories = rows[0]["seeds"], len({row["category"] for row in rows})
    blocks = [
        "# Benchmark",
        f"Made by `{made.command}` (categories: {categories}, models: {len(overall)}, seeds: {seeds}).",
    ]
    for title, columns, lines in (
        ("Means over categories", OVERALL, overall),
        ("Detection", DETECTION, rows),
        ("Differences", _differences(rows), rows),
        ("Localisation and cost", LOCALISATION, rows),
    ):
        if columns:
            words = 1 if lines is overall else 2
            cells = [[write(row) for write in columns.values()] for row in lines]
            blocks += [f"## {title}", table(tuple(columns), cells, words), made.in_words()]
    reasons = dict.fromkeys(
        f"{row['category']}, {row['model']}: has learnt nothing: {row['not_learnt_because']}"
        for row in rows
        if row["not_learnt_because"]
    )
    blocks += [bullets(map(escape, reasons))] if reasons else []
    blocks += [picture("AUROC, F1 and AUPRO of each model, with intervals and each seed", figure)]
    blocks += ["## How to read it", bullets(READING), *published([row["category"] for row in rows])]
    return "\n\n".join(blocks) + "\n"


def _differences(rows: Sequence[Row]) -> Columns:
    """Return the columns of paired differences; {} where there is nothing to compare with."""
    names = {name for row in rows for name in row["differences"]}
    others = sorted(names, key=lambda name: (name != BASELINE, name))
    if not others:
        return {}
    columns = {
        f"{label} minus {other} [95%]": _difference(measure, other)
        for other in others
        for label, measure in (("AUROC", "auroc"), ("AUPRO", "aupro"))
    }
    return NAMES | columns


def published(categories: Sequence[str]) -> list[str]:
    """Return the section of published numbers: MVTec AD's means, and those of the categories given."""
    shown = [name for name in dict.fromkeys(categories) if any(name in one.categories for one in METHODS)]
    columns = ["method", "pretrained weights"]
    columns += [f"{place}: image AUROC / pixel AUROC / AUPRO" for place in (MEAN, *shown)]
    cells = [
        (one.name, one.weights, *(_three(one, place) for place in (MEAN, *shown)), one.source)
        for one in METHODS
    ]
    return [
        "## Published numbers",
        "Results on MVTec AD that others published; **none of them was measured here**. Image sizes and "
        f"protocols differ from those above and from each other. {MEAN}: over all 15 categories. `-`: no "
        "number that could be cited. AUPRO up to a false-positive rate of 0.3.",
        table((*columns, "source"), cells, len(columns) + 1),
    ]


def _three(one: Published, place: str) -> str:
    values = (one.image.get(place), one.pixel.get(place), one.aupro.get(place))
    return " / ".join("-" if value is None else f"{value:.3f}" for value in values)


def csv(rows: Sequence[Row], made: Made) -> pd.DataFrame:
    """Return the rows as a flat table, nested names joined by dots, with where they were measured."""
    about = {
        "machines": "; ".join(made.machines),
        "dates": " to ".join(made.dates),
        "commits": ", ".join(made.commits),
        "at_once": " or ".join(map(str, made.at_once)),
    }
    flat = pd.json_normalize([dict(row) for row in rows], sep=".")
    for name in flat.columns:
        if name.endswith("_by_seed"):
            flat[name] = [" ".join(f"{value:.6g}" for value in values) for values in flat[name]]
    return flat.assign(**about)
