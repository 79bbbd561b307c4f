"""Champion and challenger on the same test images: measures with intervals, and differing decisions."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlproject.evaluation import intervals, metrics, thresholds
from mlproject.evaluation.intervals import Interval
from mlproject.evaluation.metrics import BOOTSTRAP_SEED


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
        metrics.auroc_interval(labels, side.scores, resamples, BOOTSTRAP_SEED),
    )
    return {
        "AUROC": Interval(value, *ends) if value is not None and ends[0] is not None else None,
        "F1": (
            intervals.f1_interval(labels, side.called, resamples, BOOTSTRAP_SEED) if len(defective) else None
        ),
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
