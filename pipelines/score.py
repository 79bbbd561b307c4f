"""Stage score: score every image with a trained detector; set the threshold from good images.

Training images are scored as new images are, without themselves, by a detector that can tell such scores.
"""

import numpy as np
import pandas as pd

from mlproject import models
from mlproject.core import artifacts, files, params, script
from mlproject.core.tables import read_table, write_table
from mlproject.data import prepared, split
from mlproject.evaluation import brightness, thresholds
from mlproject.models.components import detector as base
from mlproject.models.components import map_size
from mlproject.training import run_settings

CHUNK = 256  # images in memory at once


def main(category: str, model: str) -> None:
    """Write scores.csv, threshold.json, maps.npy and, of a model that reconstructs, reconstructions.npy."""
    data = prepared.load(category)
    detector = models.load(artifacts.model_folder(category, model))
    folder = artifacts.scores_folder(category, model)
    n_train = len(data.rows(split="train"))  # they come first: slices stay mapped, nothing is read yet
    train_images, test_images = data.images[:n_train], data.images[n_train:]

    scored = detector.score(test_images)
    matched = brightness.match_brightness(test_images, brightness.mean_brightness(train_images))
    test = pd.DataFrame(
        {"score": scored.scores, "score_brightness_matched": detector.score(matched).scores} | scored.parts
    )
    table = pd.concat([_good(detector, data, train_images), test], ignore_index=True)
    about = data.manifest[["path", "defect", "label"]].copy()
    about.insert(1, "subset", _subsets(data))
    about.insert(2, "half", _halves(data))
    tuned = run_settings.tuned_on_labels(category, model, data.data_hash, params.seed())
    if detector.supervised or tuned:  # it has learnt from these, or its settings were chosen by them
        about.loc[about["half"] == "pool", "subset"] = "pool"
    table = pd.concat([about, table[["score", "score_brightness_matched", *detector.part_names]]], axis=1)

    write_table(folder / "scores.csv", table)
    threshold = thresholds.of_detector(
        _calibration_scores(table, detector, category),
        detector,
        run_settings.threshold_settings(category, model),
    )
    files.write_json(folder / "threshold.json", threshold)
    files.write_array(folder / "maps.npy", map_size.at_prepared_size(scored.maps, data.images.shape[1]))
    if scored.reconstructions is not None:
        files.write_array(folder / "reconstructions.npy", scored.reconstructions)


def _good(detector: base.Detector, data: prepared.Prepared, images: np.ndarray) -> pd.DataFrame:
    """Return scores and parts of the good images of train/, in the manifest's order.

    NaN of a training image that would be scored without itself, and has copies.
    """
    left_out = detector.left_out_parts()
    if not left_out:
        return _score_only(detector, images)
    assert detector.combination is not None
    rows = _roles(data).train
    table = pd.DataFrame(left_out).assign(score=detector.combination.apply(left_out))
    table.loc[~thresholds.uncopied(data.originals(rows))] = np.nan
    others = np.setdiff1d(np.arange(len(images)), rows)
    whole = pd.concat([table, _score_only(detector, images[others])])
    return whole.set_axis(np.concatenate([rows, others])).sort_index()


def _score_only(detector: base.Detector, images: np.ndarray) -> pd.DataFrame:
    """Return scores and parts; maps of training images are not kept, there may be many."""
    tables = []
    for start in range(0, len(images), CHUNK):
        scored = detector.score(images[start : start + CHUNK])
        tables.append(
            pd.DataFrame({"score": scored.scores, "score_brightness_matched": np.nan} | scored.parts)
        )
    return pd.concat(tables, ignore_index=True)


def _subsets(data: prepared.Prepared) -> list[str]:
    """Return train, validation, calibration, test, or copy (which has no role) for each row."""
    subsets = data.manifest["split"].replace("train", "copy").to_numpy(object)
    for role, rows in vars(_roles(data)).items():
        subsets[rows] = role
    return subsets.tolist()


def _roles(data: prepared.Prepared) -> split.Roles:
    """Return the same split as in training."""
    return data.roles(params.load("split", params.Split), params.seed())


def _halves(data: prepared.Prepared) -> np.ndarray:
    """Return pool or held_out for each test image, none for the others: see `data/labelled_pool.py`."""
    halves = np.full(len(data.manifest), "none", dtype=object)
    halves[data.labelled_pool(params.seed())] = "pool"
    halves[data.held_out(params.seed())] = "held_out"
    return halves


def _calibration_scores(table: pd.DataFrame, detector: base.Detector, category: str) -> np.ndarray:
    """Return (n,) scores of the good images that set the threshold: see `Detector.threshold_roles`."""
    chosen = read_table(artifacts.out_of_fold_file(category, detector.name))
    if chosen.empty:
        chosen = table[table["subset"].isin(detector.threshold_roles)].dropna(subset="score")
    return detector.threshold_scores(
        {name: chosen[name].to_numpy(dtype=np.float64) for name in detector.part_names}
    )


if __name__ == "__main__":
    script.run(main)
