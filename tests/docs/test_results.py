"""README's table is that of a recorded run, and the run was on the settings that params.yaml has now."""

import json

import pytest
from conftest import ROOT

from benchmarks import record_results
from mlproject.core import params


@pytest.fixture(scope="module")
def record():
    path = ROOT / record_results.RECORD
    if not path.is_file():
        pytest.skip("no run is recorded: make run, then python benchmarks/record_results.py")
    return json.loads(path.read_text(encoding="utf-8"))


def test_readme_shows_the_recorded_figures(record):
    text = (ROOT / record_results.README).read_text(encoding="utf-8")
    assert record_results.shown(text) == record_results.table(record["rows"])


def test_the_record_is_of_a_committed_tree_and_of_todays_settings(record):
    assert not record["commit"].endswith("-dirty")
    now = record_results.settings(params.load_file(ROOT / "params.yaml"))
    assert record["settings"] == now, "make run and record_results.py again"


def test_a_run_on_this_machine_agrees_with_the_record(record):
    """Equal images and settings: rounding may differ elsewhere, an AUROC stays in the recorded interval."""
    compared = 0
    for row in record["rows"]:
        folder = ROOT / "reports/categories" / row["category"] / row["model"]
        if not (folder / "metrics.json").is_file():
            continue
        training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        same_images = training["data_hash"] == record["data_hashes"][row["category"]]
        if same_images and training["settings"] == record["settings"]["models"][row["model"]]:
            found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            assert row["auroc_low"] <= found["auroc"] <= row["auroc_high"], folder
            compared += 1
    if not compared:
        pytest.skip("make run has not been run here with the recorded settings")


def test_the_table_is_written_as_readme_has_it():
    row = {
        "category": "disc", "model": "pca", "auroc": 0.956, "auroc_low": 0.9, "auroc_high": 1.0,
        "differences": {},
        "shortcuts": {"strongest": "contrast", "strongest_auroc": 0.5, "flagged": False},
        "clean": {"f1": 0.7, "false_alarm_rate": 0.0}, "all_defective_f1": 0.8, "paper": None,
        "false_alarm_rate_asked": 0.05, "supervised": False, "tuned_on_labels": False, "supported": True,
    }  # fmt: skip
    header, _, line = record_results.table([row]).splitlines()
    assert line == "| disc | pca | 0.96 [0.90, 1.00] | 0.50 contrast | 0.70 (1) | 0.80 | 0.05 / 0.00 |"
    text = (ROOT / record_results.README).read_text(encoding="utf-8")
    assert record_results.shown(text).startswith(header)
