"""Rows of a benchmark's table: means over seeds with intervals, paired differences, mean ranks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from mlproject.benchmark.cell import CALIBRATION, TEST, Outcome
from mlproject.benchmark.plan import Pair
from mlproject.core.params import Threshold
from mlproject.evaluation import metrics, thresholds
from mlproject.studies.components import seed_intervals, tables

REFERENCES = ("pca", "patch_kde")  # models that the others are compared with
AREAS = ("pixel_auroc", "aupro")  # columns of `Outcome.pixels`
MEASURES = ("auroc", "f1", *AREAS)  # averaged over categories
SHOWN_BY_SEED = ("auroc", "f1", "aupro")


@dataclass(frozen=True)
class Evaluated:
    """All seeds of one (category, model).

    Attributes:
        outcomes: one a seed, in the seeds' order; all of the same test images.
        group: their scores and thresholds.
        pixels: (resamples, 2), the mean over seeds of `Outcome.pixels`.
    """

    pair: Pair
    outcomes: Sequence[Outcome]
    group: tables.Group
    pixels: np.ndarray

    @classmethod
    def of(cls, pair: Pair, outcomes: Sequence[Outcome]) -> "Evaluated":
        """Return the outcomes of a pair's cells, with their thresholds."""
        at = [tables.clean_threshold(outcome.scores, pair.threshold) for outcome in outcomes]
        group = tables.group("", pair.model, 0.0, TEST, [outcome.scores for outcome in outcomes], at)
        return cls(pair, outcomes, group, np.mean([outcome.pixels for outcome in outcomes], axis=0))

    def mean(self, name: str) -> float | None:
        """Return the mean over seeds of a measured value; None without one."""
        values = [outcome.measured[name] for outcome in self.outcomes]
        return None if None in values else float(np.mean(values))


def figures(outcome: Outcome, threshold: Threshold) -> dict[str, float | None]:
    """Return the measures of one cell: both areas, auroc, and those at the clean threshold."""
    test = outcome.scores[outcome.scores["subset"] == TEST]
    labels, scores = test["label"].to_numpy(), test["score"].to_numpy(dtype=np.float64)
    at = tables.clean_threshold(outcome.scores, threshold)
    assert at is not None  # every split has calibration images
    areas = {name: outcome.measured[name] for name in AREAS}
    return {"auroc": metrics.auroc(labels, scores), **areas, **metrics.classification(labels, scores, at)}


def rows(found: Sequence[Evaluated], resamples: int) -> list[dict[str, Any]]:
    """Return a row for each category and model; None where a measure is undefined.

    Args:
        resamples: of the bootstrap over images; all models of a category are evaluated on the same ones.
    """
    by_pair = {(one.pair.category, one.pair.model): one for one in found}
    made = []
    for one in found:
        others = [by_pair.get((one.pair.category, name)) for name in REFERENCES if name != one.pair.model]
        compared = {
            other.pair.model: {
                "auroc": _auroc_difference(one, other, resamples),
                "aupro": _aupro_difference(one, other),
            }
            for other in others
            if other
        }
        made.append(_row(one, resamples) | {"differences": compared})
    return made


def _row(one: Evaluated, resamples: int) -> dict[str, Any]:
    row = tables.row(one.group, resamples)
    kept = ("seeds", "n_good", "n_defective", "auroc", "auroc_low", "auroc_high", "auroc_spread")
    decided = ("f1", "recall", "balanced_accuracy", "false_alarm_rate", "all_defective_f1")
    n = min(int((outcome.scores["subset"] == CALIBRATION).sum()) for outcome in one.outcomes)
    asked, confidence = one.pair.threshold.false_alarm_rate, one.pair.threshold.confidence
    reasons = [outcome.measured["not_learnt_because"] for outcome in one.outcomes]
    seeds = [figures(outcome, one.pair.threshold) for outcome in one.outcomes]
    by_seed = {name: [seed[name] for seed in seeds if seed[name] is not None] for name in SHOWN_BY_SEED}
    values = {
        "category": one.pair.category,
        "model": one.pair.model,
        **{name: row[name] for name in (*kept, *decided)},
        **_f1_interval(one.group, resamples),
        "f1_spread": seed_intervals.spread(np.array(by_seed["f1"])),
        **_areas(one),
        "false_alarm_rate_asked": asked,
        "n_calibration": n,
        "supported": asked >= thresholds.smallest_false_alarm_rate(n, confidence),
        "training_seconds": one.mean("seconds"),
        "ms_per_image": one.mean("ms_per_image"),
        "parameters": one.outcomes[0].measured["parameters"],
        "not_learnt_because": next(filter(None, reasons), None),
        "outside_weights": one.outcomes[0].measured.get("outside_weights"),
        **{f"{name}_by_seed": values for name, values in by_seed.items()},
    }
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}


def _f1_interval(group: tables.Group, resamples: int) -> dict[str, float | None]:
    """Return the 95 % interval of the mean F1, on the same draws as the AUROC's."""
    defective = group.labels == 1
    n_defective = int(defective.sum())
    if not n_defective or n_defective == len(defective):
        return {"f1_low": None, "f1_high": None}
    pairs = zip(group.scores, group.thresholds, strict=True)
    called = np.array([thresholds.decide(scores, at) for scores, at in pairs if at is not None])
    rng = np.random.default_rng(metrics.BOOTSTRAP_SEED)
    good, bad = (metrics.resample_counts(rng, int(rows.sum()), resamples) for rows in (~defective, defective))
    alarms, hits = called[:, ~defective] @ good.T, called[:, defective] @ bad.T
    low, high = seed_intervals.interval((2 * hits / (hits + alarms + n_defective)).mean(axis=0))
    return {"f1_low": low, "f1_high": high}


def _areas(one: Evaluated) -> dict[str, float | None]:
    """Return both pixel-level areas with their intervals."""
    values: dict[str, float | None] = {}
    for column, name in enumerate(AREAS):
        ends = seed_intervals.interval(one.pixels[:, column]) if len(one.pixels) else (None, None)
        values |= {name: one.mean(name), f"{name}_low": ends[0], f"{name}_high": ends[1]}
    return values


def _auroc_difference(one: Evaluated, other: Evaluated, resamples: int) -> dict[str, float] | None:
    found = tables.comparison(one.group, other.group, other.pair.model, resamples)
    return found and {name: found[name] for name in ("difference", "low", "high")}


def _aupro_difference(one: Evaluated, other: Evaluated) -> dict[str, float] | None:
    """Return AUPRO of `one` minus that of `other`, paired: both were drawn the same images."""
    values = one.mean("aupro"), other.mean("aupro")
    if values[0] is None or values[1] is None:
        return None
    column = AREAS.index("aupro")
    low, high = seed_intervals.interval(one.pixels[:, column] - other.pixels[:, column])
    return {"difference": values[0] - values[1], "low": low, "high": high}


def over_categories(made: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each model: means over categories, its mean rank by AUROC, and its cost.

    Args:
        made: from `rows`; every model on every category.

    Returns:
        model, categories, the means of `MEASURES` (None where a category has none), mean_rank (1 is best;
        equal AUROCs share their mean rank), training_seconds (of one seed, all categories), ms_per_image.
    """
    names = list(dict.fromkeys(row["model"] for row in made))
    ranks: dict[str, list[float]] = {name: [] for name in names}
    for category in dict.fromkeys(row["category"] for row in made):
        own = [row for row in made if row["category"] == category]
        if all(row["auroc"] is not None for row in own):
            for row, rank in zip(own, rankdata([-row["auroc"] for row in own]), strict=True):
                ranks[row["model"]].append(float(rank))
    found = []
    for name in names:
        own = [row for row in made if row["model"] == name]
        values = {measure: [row[measure] for row in own] for measure in (*MEASURES, "ms_per_image")}
        means = {key: None if None in value else float(np.mean(value)) for key, value in values.items()}
        rank = float(np.mean(ranks[name])) if ranks[name] else None
        seconds = sum(row["training_seconds"] for row in own)
        about = {"model": name, "categories": len(own), "mean_rank": rank}
        about["outside_weights"] = own[0].get("outside_weights")
        found.append(about | means | {"training_seconds": seconds})
    return found
