"""Figures of scores: their distributions (paper, Fig. 4), ROC and precision-recall."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlproject.reports.figures import drawing
from mlproject.reports.figures.cases import number
from mlproject.reports.figures.score_axis import ScoreAxis

GROUPS = (
    ("train", drawing.GREY),
    ("validation", drawing.GREY),
    ("calibration", drawing.BLUE),
    ("pool", drawing.GREY),
    ("test good", drawing.GREEN),
    ("test defective", drawing.RED),
)
BINS = 40


def grouped(scores: pd.DataFrame) -> pd.Series:
    """Return each row's group: its subset, with test split by label."""
    kind = scores["label"].map({0: "test good", 1: "test defective"})
    return scores["subset"].where(scores["subset"] != "test", kind)


@drawing.style()
def error_distribution(
    name: str, scores: pd.DataFrame, threshold: float, part_thresholds: Mapping[str, float]
) -> Figure:
    """Return the distribution of the score for each set of images, and of each part if there are several.

    Args:
        name: category and model, for the title.
        scores: one row per image: subset, label, score and a column for each part; without a score where a
            training image has a copy, which is then left out.
        threshold: of the score.
        part_thresholds: part → its threshold.
    """
    scores = scores.dropna(subset="score")
    panels: dict[str, tuple[str, float]] = {"score (decides)": ("score", threshold)}
    if len(part_thresholds) == 1:
        (part,) = part_thresholds
        panels = {f"score = {_words(part)}": ("score", threshold)}
    else:
        panels |= {_words(part): (part, limit) for part, limit in part_thresholds.items()}
    figure = drawing.new(max(7.5, 4.6 * len(panels) + 1), 4.6, f"Distribution of scores: {name}")
    group = grouped(scores)
    names = [(text, colour) for text, colour in GROUPS if (group == text).any()]
    grid, compressed = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], False
    for axes, (title, (column, limit)) in zip(grid, panels.items(), strict=True):
        values = scores[column].to_numpy(dtype=np.float64)
        defective = (scores["label"] == 1).to_numpy()
        along = ScoreAxis.of(values[~defective], values[defective], limit)
        compressed |= along.compressed
        _ridges(axes, [(values[group == text], colour) for text, colour in names], along, limit)
        axes.axvline(limit, color="black", linewidth=1.3, linestyle="--")
        start, at, end = along.places(np.array([along.low, limit, along.high]))
        side = "left" if at < (start + end) / 2 else "right"
        axes.text(limit, len(names) - 0.12, f" threshold {number(limit)} ", ha=side, fontsize=9)
        axes.set_xlabel(title)
    labels = [f"{text}\n({int((group == text).sum())})" for text, _ in names]
    grid[0].set_yticks(np.arange(len(names))[::-1] + 0.1, labels)
    drawing.caption(
        figure,
        "Height: share of the set's images; ticks: single images. Right of the line is called defective."
        + ("\nShaded: the axis is compressed, so that every image is shown." if compressed else ""),
    )
    return figure


def counts_up_to(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the number of values in each (left, right]: an image exactly at the threshold is called good."""
    return np.histogram(-values, -edges[::-1])[0][::-1]


def _ridges(axes: Axes, sets: list[tuple[np.ndarray, str]], along: ScoreAxis, threshold: float) -> None:
    """Draw one histogram per set, the first on top."""
    edges = along.bin_edges(threshold, BINS)
    for line, (values, colour) in enumerate(sets):
        base = len(sets) - 1 - line
        counts = counts_up_to(values, edges)
        heights = base + 0.72 * counts / max(1, counts.max())
        axes.stairs(heights, edges, baseline=base, fill=True, color=colour, alpha=0.55)
        axes.plot(values, np.full(len(values), base - 0.07), "|", color=colour, markersize=6, alpha=0.7)
    along.along_x(axes)
    axes.set(ylim=(-0.2, len(sets) + 0.15))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _words(part: str) -> str:
    return part.replace("_", " ")


@drawing.style()
def curves(result: Mapping[str, Any], roc: pd.DataFrame, precision_recall: pd.DataFrame) -> Figure:
    """Return ROC and precision-recall with the decision in use and with calling everything defective.

    Args:
        result: content of metrics.json.
        roc: columns false_positive_rate, recall.
        precision_recall: columns recall, precision.
    """
    figure = drawing.new(9.6, 5.2, f"ROC and precision-recall: {result['category']}, {result['model']}")
    left, right = figure.subplots(1, 2)
    _roc(left, result, roc)
    _precision_recall(right, result, precision_recall)
    for axes in (left, right):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), aspect="equal")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14))
    return figure


def _roc(axes: Axes, result: Mapping[str, Any], roc: pd.DataFrame) -> None:
    interval = f"{result['auroc']:.2f} [{result['auroc_low']:.2f}, {result['auroc_high']:.2f}]"
    axes.plot(roc["false_positive_rate"], roc["recall"], color=drawing.BLUE, label=f"AUROC {interval}")
    axes.plot([0, 1], [0, 1], ":", color=drawing.GREY, label="chance")
    clean = result["clean"]
    axes.plot(
        clean["false_alarm_rate"],
        clean["recall"],
        "o",
        color=drawing.RED,
        clip_on=False,
        label="threshold in use (clean)",
    )
    axes.set(xlabel="false-alarm rate (good called defective)", ylabel="recall (defects found)")
    axes.set_title(f"ROC: {result['n_good']} good, {result['n_defective']} defective test images")


def _precision_recall(axes: Axes, result: Mapping[str, Any], table: pd.DataFrame) -> None:
    precision = f"average precision {result['average_precision']:.2f}"
    axes.plot(
        table["recall"], table["precision"], color=drawing.BLUE, drawstyle="steps-post", label=precision
    )
    baseline, clean = result["all_defective_f1"], result["clean"]
    recall = np.linspace(baseline / (2 - baseline), 1, 200)
    axes.plot(recall, baseline * recall / (2 * recall - baseline), ":", color=drawing.GREY)
    share = result["n_defective"] / (result["n_defective"] + result["n_good"])
    everything = f"everything called defective: F1 {baseline:.2f}\n(dotted: as good as that; beat it above)"
    axes.plot(1, share, "s", color=drawing.GREY, clip_on=False, label=everything)
    use = f"threshold in use (clean): F1 {clean['f1']:.2f}"
    axes.plot(clean["recall"], clean["precision"], "o", color=drawing.RED, clip_on=False, label=use)
    axes.set(xlabel="recall (defects found)", ylabel="precision (alarms that are right)")
    axes.set_title("Precision-recall")
