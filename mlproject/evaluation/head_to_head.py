"""Champion and challenger on the same test images: measures with intervals, and differing decisions."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlproject.evaluation import intervals, metrics, thresholds
from mlproject.evaluation.intervals import Interval

SEED = 0  # of the bootstrap


@dataclass(frozen=True)
class Side:
    """One of the two models.

    Attributes:
        title: such as "version 7 (kd_cae)".
        scores: (n,) float64, higher = more anomalous.
        threshold: defective where score > threshold.
        parts: name → (n,) partial scores.
    """

    title: str
    scores: np.ndarray
    threshold: float
    parts: dict[str, np.ndarray]

    @property
    def called(self) -> np.ndarray:
        """(n,) bool, called defective."""
        return thresholds.decide(self.scores, self.threshold)


@dataclass(frozen=True)
class HeadToHead:
    """Both models on the n images that both were tested on.

    >>> images = pd.DataFrame({"path": ["a.png", "b.png"], "defect": ["good", "hole"], "label": [0, 1]})
    >>> champion = Side("version 1 (pca)", np.array([0.2, 0.4]), threshold=0.5, parts={})
    >>> challenger = Side("version 2 (kd_cae)", np.array([0.2, 0.9]), threshold=0.5, parts={})
    >>> HeadToHead("bottle", images, champion, challenger).differ
    array([False,  True])

    Attributes:
        images: columns path, defect, label (1 = defective).
    """

    category: str
    images: pd.DataFrame
    champion: Side
    challenger: Side

    @property
    def labels(self) -> np.ndarray:
        """(n,) 0 good, 1 defective."""
        return self.images["label"].to_numpy()

    @property
    def differ(self) -> np.ndarray:
        """(n,) bool, decided differently."""
        return self.champion.called != self.challenger.called


class Measure(NamedTuple):
    """One measure of both models; None where the images do not determine it."""

    name: str
    champion: Interval | None
    challenger: Interval | None


def measures(pair: HeadToHead, resamples: int) -> list[Measure]:
    """Return AUROC, F1, recall and false alarms of both, each with its 95 % interval."""
    sides = (pair.champion, pair.challenger)
    by_side = [_of_side(pair.labels, side, resamples) for side in sides]
    return [Measure(name, by_side[0][name], by_side[1][name]) for name in by_side[0]]


def _of_side(labels: np.ndarray, side: Side, resamples: int) -> dict[str, Interval | None]:
    good, defective = side.called[labels == 0], side.called[labels == 1]
    value, ends = (
        metrics.auroc(labels, side.scores),
        metrics.auroc_interval(labels, side.scores, resamples, SEED),
    )
    return {
        "AUROC": Interval(value, *ends) if value is not None and ends[0] is not None else None,
        "F1": intervals.f1_interval(labels, side.called, resamples, SEED) if len(defective) else None,
        "recall": intervals.share_interval(int(defective.sum()), len(defective)) if len(defective) else None,
        "false alarms": intervals.share_interval(int(good.sum()), len(good)) if len(good) else None,
    }


def groups(pair: HeadToHead) -> dict[str, np.ndarray]:
    """Return title → rows of the images to show, the clearest first.

    Images that only one model decides correctly; if there are none, those whose ranks differ most.
    """
    right = {side.title: side.called == (pair.labels == 1) for side in (pair.champion, pair.challenger)}
    apart = np.abs(_ranks(pair.challenger.scores) - _ranks(pair.champion.scores))
    found = {}
    for name, side in (("challenger", pair.challenger), ("champion", pair.champion)):
        rows = np.flatnonzero(pair.differ & right[side.title])
        found[f"only the {name} is right"] = rows[np.argsort(-apart[rows], kind="stable")]
    if not any(len(rows) for rows in found.values()):
        return {"no image is decided differently; the ranks differ most here": np.argsort(-apart)[:6]}
    return found


def _ranks(scores: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(scores, kind="stable"), kind="stable")


def markdown(pair: HeadToHead, resamples: int, pictures: list[str]) -> str:
    """Return the head to head as Markdown.

    Args:
        pictures: names of the figures in the same folder.
    """
    labels = pair.labels
    lines = [
        f"# {pair.category}: {pair.challenger.title} beside the champion, {pair.champion.title}",
        "",
        f"On the {len(labels)} test images that both were tested on: {np.count_nonzero(labels == 0)} good, "
        f"{np.count_nonzero(labels)} defective. Brackets: 95% intervals (AUROC, F1: bootstrap; recall, false "
        "alarms: binomial).",
        "",
        *table(pair, resamples),
        "",
        *decisions(pair, resamples),
    ]
    for name in pictures:
        lines += ["", f"![{name.removesuffix('.png').replace('_', ' ')}]({name})"]
    return "\n".join(lines) + "\n"


def table(pair: HeadToHead, resamples: int) -> list[str]:
    """Return the measures as the lines of a Markdown table."""
    header = ["| | champion | challenger |", "| --- | --- | --- |"]
    titles = f"| version | {pair.champion.title} | {pair.challenger.title} |"
    rows = [
        f"| {name} | {_written(champion)} | {_written(challenger)} |"
        for name, champion, challenger in measures(pair, resamples)
    ]
    everything = f"{metrics.all_defective_f1(pair.labels):.3f}"
    return [*header, titles, *rows, f"| F1, all defective | {everything} | {everything} |"]


def decisions(pair: HeadToHead, resamples: int) -> list[str]:
    """Return sentences on how the two differ: AUROC with its paired interval, decisions by count."""
    counts = [f"{name}: {len(rows)}" for name, rows in groups(pair).items() if pair.differ.any()]
    said = [f"Decided differently: {np.count_nonzero(pair.differ)} of {len(pair.labels)}."]
    if counts:
        said[0] += f" {'; '.join(counts)}.".replace(" only", " Only", 1)
    if len(set(pair.labels.tolist())) == 2:
        gap = intervals.auroc_difference(
            pair.labels, pair.champion.scores, pair.challenger.scores, resamples, SEED
        )
        said.append(
            f"AUROC, challenger − champion: {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}] (paired)."
        )
    return said


def _written(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
