"""Results of an extended version, measured again and written as the stages train, score and evaluate do."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlproject.core import files, params
from mlproject.core.tables import write_table
from mlproject.data import prepared
from mlproject.evaluation import brightness, shortcuts, thresholds
from mlproject.evaluation.measures import Tested, measure
from mlproject.models.components import map_size
from mlproject.models.components.detector import Detector, Scored
from mlproject.registry.extension_parent import STEPS, Parent
from mlproject.tracking.extended_facts import ExtendedFacts
from mlproject.training import code_hash, loop

FROM_PARENT = ("category", "model", "supervised", "tuned_on_labels", "reconstructs", "n_labelled_defective")


@dataclass(frozen=True)
class Change:
    """How the training images differ from the parent's.

    Attributes:
        keep: (n,) bool, which of the parent's stay.
        added: `extension_parent.COLUMNS` of the added photos.
        pixels: (m, s, s, 3) uint8, of the same.
        uncopied: (m,) bool, which of the same have no copy among them.
        files: where they lie.
    """

    keep: np.ndarray
    added: pd.DataFrame
    pixels: np.ndarray
    uncopied: np.ndarray
    files: tuple[Path, ...]


def write(
    folder: Path, parent: Parent, change: Change, data: prepared.Prepared, rows: np.ndarray
) -> ExtendedFacts:
    """Extend the parent's detector, calibrate and test it, and write every file of the result.

    Args:
        data: prepared images, among them those of `Parent.not_trained`.
        rows: where these are.
    """
    started = time.perf_counter()
    detector = parent.detector.extended(change.pixels, change.keep)
    seconds = time.perf_counter() - started
    subset, images = parent.not_trained["subset"].to_numpy(), data.images[rows]
    validation, calibration = (images[subset == role] for role in ("validation", "calibration"))
    if len(calibration):
        unseen = detector.measure(calibration)
        detector.calibrate(validation, unseen.parts, unseen.maps)
    else:  # with split.calibration: cross
        detector.calibrate(validation)
    scored = detector.score(images)
    left_out = _left_out(parent, change, detector)
    threshold = _threshold(parent, detector, scored, left_out)
    test = subset == "test"
    matched = _matched_scores(detector, data, images[test])
    measured = _metrics(parent, scored, threshold, data, rows, matched)
    training = _training(parent, change, detector, scored, seconds)
    detector.save(folder / "model")
    write_table(folder / "scores/scores.csv", _scores(parent, change, left_out, scored, test, matched))
    files.write_json(folder / "scores/threshold.json", threshold)
    files.write_json(folder / "report/metrics.json", measured)
    files.write_json(folder / "shortcuts.json", parent.shortcuts)  # of the test images, whatever the model
    files.write_json(folder / "prepared.json", parent.prepared)
    files.write_json(folder / STEPS, {"steps": [*parent.steps, training["extends"]]})
    files.write_json(folder / "training/run.json", training)
    history = {"epoch": [1], "validation_loss": [training["best_validation_loss"]]}
    write_table(folder / "training/history.csv", pd.DataFrame(history))
    served = {"model": "model", "threshold": "scores/threshold.json"}
    served |= {"prepared": "prepared.json", "extension": STEPS}
    return ExtendedFacts.read_from(
        folder / "training",
        folder / "scores",
        folder / "report",
        folder / "shortcuts.json",
        {name: folder / path for name, path in served.items()},
        parent=parent.title,
        parent_lineage=parent.lineage,
        parent_parameters=parent.parameters,
        photos=change.files,
    )


def _left_out(parent: Parent, change: Change, detector: Detector) -> pd.DataFrame:
    """Return score and parts of the training images, each without itself; NaN of those that have copies."""
    parts = detector.left_out_parts()
    table = pd.DataFrame(parts).assign(score=detector.combination.apply(parts))  # type: ignore[union-attr]
    table.loc[~np.concatenate([parent.sets_threshold[change.keep], change.uncopied])] = np.nan
    return table


def _threshold(parent: Parent, detector: Detector, scored: Scored, left_out: pd.DataFrame) -> dict[str, Any]:
    """Return threshold.json by the parent's rule."""
    sets_it = parent.not_trained["subset"].isin(detector.threshold_roles).to_numpy()
    known = left_out.dropna()
    good = detector.threshold_scores(
        {name: np.concatenate([known[name], values[sets_it]]) for name, values in scored.parts.items()}
    )
    rule = params.Threshold(
        false_alarm_rate=parent.threshold["false_alarm_rate_asked"],
        confidence=parent.threshold.get("confidence"),
        strict=False,
    )
    return thresholds.of_detector(good, detector, rule)


def _matched_scores(detector: Detector, data: prepared.Prepared, test: np.ndarray) -> np.ndarray:
    """Return the scores of the test images, their brightness matched to that of the prepared good images."""
    usual = brightness.mean_brightness(data.images[: len(data.rows(split="train"))])
    return detector.score(brightness.match_brightness(test, usual)).scores


def _metrics(
    parent: Parent,
    scored: Scored,
    threshold: dict[str, Any],
    data: prepared.Prepared,
    rows: np.ndarray,
    matched: np.ndarray,
) -> dict[str, Any]:
    """Return metrics.json, measured on the parent's test images.

    Args:
        matched: (t,) scores of the test images, their brightness matched.
    """
    about = parent.not_trained[parent.not_trained["subset"] == "test"]
    test = about.index.to_numpy()
    of_test = rows[test] - len(data.rows(split="train"))  # test rows are the last ones
    masks = data.masks[of_test]
    tested = Tested(
        labels=about["label"].to_numpy(),
        defects=about["defect"].to_numpy(dtype=object),
        masks=masks,
        masked=data.manifest["has_mask"].to_numpy()[rows[test]] == 1,
        scores=scored.scores[test],
        matched_scores=matched,
        maps=map_size.at_prepared_size(scored.maps[test], masks.shape[1]),
    )
    statistics = {name: values[of_test] for name, values in shortcuts.of_test_images(data).items()}
    return {
        **{name: parent.metrics[name] for name in FROM_PARENT if name in parent.metrics},
        **measure(tested, threshold, params.load("evaluate", params.Evaluate)),
        "follows_shortcut": shortcuts.follows(tested.scores, statistics),
    }


def _scores(
    parent: Parent,
    change: Change,
    left_out: pd.DataFrame,
    scored: Scored,
    test: np.ndarray,
    matched: np.ndarray,
) -> pd.DataFrame:
    """Return scores.csv with each file's sha256."""
    trained = pd.concat([parent.trained[change.keep], change.added], ignore_index=True)
    trained = trained.assign(score=left_out["score"], score_brightness_matched=np.nan)
    trained = trained.assign(**{name: left_out[name] for name in scored.parts})
    measured = parent.not_trained.assign(score=scored.scores, score_brightness_matched=np.nan, **scored.parts)
    measured.loc[test, "score_brightness_matched"] = matched
    return pd.concat([trained, measured], ignore_index=True)


def _training(
    parent: Parent, change: Change, detector: Detector, scored: Scored, seconds: float
) -> dict[str, Any]:
    """Return run.json: the parent's, with what the extension changed."""
    import torch

    added, removed = (
        images[["path", "sha256"]].to_dict("records")
        for images in (change.added, parent.trained[~change.keep])
    )
    step = {
        "parent": parent.title,
        "parent_files": parent.lineage["files"],
        "added": added,
        "removed": removed,
    }
    n_train = int(change.keep.sum()) + len(change.added)
    validation = (parent.not_trained["subset"] == "validation").to_numpy()
    return parent.training | {
        "n_train": n_train,
        "data_hash": _hash(parent.training["data_hash"], added, removed),
        "code": code_hash.code_hash(f"mlproject.models.{detector.name}"),
        "versions": loop.versions(),
        "threads": torch.get_num_threads(),
        "best_validation_loss": float(scored.scores[validation].mean()),
        "seconds": seconds,
        "images_per_second": n_train / seconds,
        "ended": time.time(),
        "extends": step,
    }


def _hash(parent: str, added: list[dict[str, str]], removed: list[dict[str, str]]) -> str:
    """Return the sha256 that tells the images: of the parent's own, and of what was added and removed."""
    lines = [
        f"{sign} {image['path']} {image['sha256']}\n"
        for sign, images in (("+", added), ("-", removed))
        for image in images
    ]
    return hashlib.sha256("".join([f"{parent}\n", *sorted(lines)]).encode()).hexdigest()
