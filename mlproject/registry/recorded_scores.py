"""The scores of its training and test images that travel with a registered model, by their files' hashes."""

import pandas as pd

from mlproject.core import artifacts, files
from mlproject.core.tables import read_table
from mlproject.tracking.detector_facts import DetectorFacts

RECORDED = "recorded.csv"
TESTED = ("test", "pool")  # subsets that are not train/good; "pool": labelled images that may be trained on


def recorded_scores(facts: DetectorFacts) -> pd.DataFrame:
    """Return scores.csv, training images included, with each file's sha256.

    A hash is left empty where the prepared images are others by now.
    """
    scores = read_table(facts.files["scores/scores.csv"])
    if "sha256" in scores:
        return scores
    hashes = file_hashes(facts.training["category"], facts.training["data_hash"])
    return scores.assign(sha256=scores["path"].map(hashes))


def file_hashes(category: str, data_hash: str) -> dict[str, str]:
    """Return path → sha256 of a category's images as prepared; nothing if these have another data hash."""
    folder = artifacts.PREPARED / category
    if not (folder / "manifest.csv").is_file():
        return {}
    if files.read_json(folder / "prepared.json").get("data_hash") != data_hash:
        return {}
    manifest = read_table(folder / "manifest.csv")
    return dict(zip(manifest["path"], manifest["sha256"], strict=True))
