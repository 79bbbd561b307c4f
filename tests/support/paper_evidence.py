"""What the report is made of, by hand: one category of the paper's, one that it does not have."""

from typing import Any

import pandas as pd

from mlproject.reports.paper.evidence import Evidence, Study

LAYERS = [
    {"part": "", "kind": "input", "layer": "image", "shape": [3, 8, 8], "parameters": 0},
    {
        "part": "encoder",
        "kind": "convolution",
        "layer": "conv 3×3, ReLU",
        "shape": [4, 8, 8],
        "parameters": 112,
    },
]
EQUAL = {"difference": 0.0, "low": -0.1, "high": 0.1, "p": 1.0, "p_holm": 1.0, "shown": "unclear"}


def row(category: str, model: str, f1: float = 0.91, **changed: Any) -> dict[str, Any]:
    """A row of comparison.json."""
    at = {"threshold": 0.01, "f1": f1, "balanced_accuracy": 0.9, "precision": 0.9, "recall": 0.8}
    at |= {"false_alarm_rate": 0.1}
    half = {"n": 10, "found": 4}
    return {
        "category": category, "model": model, "n_good": 20, "n_defective": 63, "supervised": model == "cnn",
        "tuned_on_labels": False, "n_labelled_defective": 31 if model == "cnn" else 0,
        "auroc": 0.87, "auroc_low": 0.80, "auroc_high": 0.93, "all_defective_f1": 0.863,
        "differences": {name: EQUAL for name in ("kd_cae", "ni_cae", "pca", "anogan") if name != model},
        "clean": at, "oracle": at | {"f1": 0.94}, "threshold_optimism": 0.03,
        "paper": {"rule": "edge_of_good", "sees_test_labels": model == "ni_cae", "f1": 0.89},
        "paper_literal": None,
        "defects": {
            "types": [
                {"type": "hole", "n": 10, "found": 9, "smallest_found_area": 0.01},
                {"type": "dent", "n": 10, "found": 4, "smallest_found_area": 0.004},
            ],
            "smaller_half": half | {"largest_area": 0.02}, "larger_half": half | {"found": 9},
        },
        "shortcuts": {"strongest": "mean_brightness", "strongest_auroc": 0.62, "flagged": False},
    } | changed  # fmt: skip


def training(category: str, model: str, **changed: Any) -> dict[str, Any]:
    """A training.json."""
    return {
        "category": category, "model": model, "settings": {"image_size": 128, "epochs": 60},
        "data_hash": "ab" * 32, "seed": 0, "device": "cpu", "precision": "float32", "threads": 2,
        "n_train": 168, "n_validation": 21, "epochs": 17, "best_epoch": 5, "stopped": "early",
        "parameters": 333955, "versions": {"torch": "2.15.0"}, "layers": LAYERS,
    } | changed  # fmt: skip


def study(**changed: Any) -> Study:
    """A noise study that trained NI-CAE without noise too."""
    table = pd.DataFrame(
        {
            "arm": ["ni_cae", "ni_cae_without_noise", "ni_cae_without_noise"],
            "level": [0.0, 0.0, 0.01],
            "f1": [0.91, 0.8123, 0.5],
            "all_defective_f1": [0.863] * 3,
        }
    )
    summary = {
        "title": "Noise", "statements": ["NI-CAE keeps its AUROC up to a variance of 0.01."], "gap": None,
        "notes": ["One draw of the noise."], "figures": ["noise.png"],
        "interval": "Over images, not over trainings.",
        "settings": {"image_size": None, "epochs": None, "patience": None},
    }  # fmt: skip
    return Study(summary | changed, table)


def evidence(
    categories: tuple[str, ...] = ("bottle", "bracket"),
    detectors: tuple[str, ...] = ("kd_cae", "ni_cae", "pca", "cnn"),
    **changed: Any,
) -> Evidence:
    """Everything of every pair, no study, no tuning, no picture."""
    pairs = [(category, model) for category in categories for model in detectors]
    given = {
        "rows": {pair: row(*pair) for pair in pairs},
        "trainings": {pair: training(*pair) for pair in pairs},
        "qualities": {}, "studies": {}, "tunings": {}, "pictures": frozenset(),
    }  # fmt: skip
    return Evidence("folder", categories, detectors, (), **given | changed)
