"""Stage evaluate on a category small enough to compute by hand."""

import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from mlproject.commands.preset import presets
from mlproject.core import artifacts, files
from mlproject.core.errors import UserError
from mlproject.core.tables import read_table, write_table
from mlproject.data import prepared
from mlproject.models.components.heat_scale import HeatScale
from mlproject.reports import comparison
from mlproject.reports.paper import published
from pipelines import evaluate

SIZE = 16
LABELS = [1, 1, 1, 0, 0]  # test/cut before test/good: by path
SCORES = [0.9, 0.6, 0.2, 0.3, 0.1]
THRESHOLD = 0.3
OUT = Path("reports/categories/bracket/kd_cae")


def write_prepared(*, masks: bool) -> None:
    """Two training images, three defective and two good test images; the defect is a 4 × 4 square."""
    paths = ["train/good/0.png", "train/good/1.png"]
    paths += [f"test/cut/{i}.png" for i in range(3)] + [f"test/good/{i}.png" for i in range(2)]
    labels = [0, 0, *LABELS]
    manifest = pd.DataFrame({"path": paths, "category": "bracket", "label": labels})
    manifest["split"] = manifest["path"].str.split("/").str[0]
    manifest["defect"] = manifest["path"].str.split("/").str[1]
    manifest["has_mask"] = manifest["label"] * int(masks)
    for column in ("width", "height", "mode", "sha256", "bytes"):
        manifest[column] = 1
    folder = Path("data/prepared/bracket")
    manifest["original"] = manifest["path"]
    write_table(folder / "manifest.csv", manifest)
    images = np.random.default_rng(0).integers(0, 256, (7, SIZE, SIZE, 3), dtype=np.uint8)
    files.write_array(folder / "images.npy", images)
    files.write_array(
        folder / "masks.npy", defect_squares() if masks else np.zeros((5, SIZE, SIZE), np.uint8)
    )
    files.write_json(
        folder / "prepared.json",
        {"category": "bracket", "image_size": SIZE, "data_hash": "0" * 64, "pixels_hash": "0" * 64},
    )


def defect_squares() -> np.ndarray:
    """(5, SIZE, SIZE) masks of the test images."""
    masks = np.zeros((5, SIZE, SIZE), np.uint8)
    masks[:3, 4:8, 4:8] = 1
    return masks


def write_scores() -> None:
    """Scores as stage score leaves them; the anomaly maps find the defects exactly."""
    manifest = read_table(Path("data/prepared/bracket/manifest.csv"))
    scores = manifest[["path", "defect", "label"]].copy()
    scores.insert(1, "subset", ["train", "calibration", *["test"] * 5])
    scores.insert(2, "half", ["none", "none", "held_out", "held_out", "pool", "held_out", "pool"])
    scores["score"] = [0.05, 0.3, *SCORES]
    scores["score_brightness_matched"] = [math.nan, math.nan, 0.1, 0.2, 0.3, 0.4, 0.5]
    scores["reconstruction_error"] = scores["score"]
    folder = artifacts.scores_folder("bracket", "kd_cae")
    write_table(folder / "scores.csv", scores)
    threshold = {
        "threshold": THRESHOLD,
        "false_alarm_rate_asked": 0.05,
        "confidence": 0.9,
        "false_alarm_rate_supported": 0.5,
        "n_calibration": 1,
        "supported": False,
        "part_thresholds": {"reconstruction_error": THRESHOLD},
        "paper_rule": "edge_of_good",
    }
    files.write_json(folder / "threshold.json", threshold)
    files.write_array(folder / "maps.npy", defect_squares().astype(np.float16) + np.float16(0.25))
    files.write_array(folder / "reconstructions.npy", np.full((5, 8, 8, 3), 128, np.uint8))


def write_settings(settings: dict[str, Any]) -> None:
    """What is read here of the stages before: the settings that the model was trained with."""
    files.write_json(artifacts.settings_file("bracket", "kd_cae"), {"labels": None})
    files.write_json(
        artifacts.model_folder("bracket", "kd_cae") / "model.json",
        {"settings": settings, "heat_scale": {"low": 0.2, "high": 0.9}},
    )


def report_files() -> dict[Path, bytes]:
    """Every file below the working directory."""
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Run:
    """One run of the stage: what lay there before it and after it; metrics.json must be strict JSON."""

    before: dict[Path, bytes]
    after: dict[Path, bytes]

    @property
    def metrics(self) -> dict[str, Any]:
        def refuse(constant: str) -> None:
            raise AssertionError(f"metrics.json holds {constant}")

        return json.loads(self.after[OUT / "metrics.json"], parse_constant=refuse)

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(io.BytesIO(self.after[OUT / name]))


def make_project(*, masks: bool = True) -> None:
    """Fill the working directory with what the stages before leave."""
    Path("params.yaml").write_text("evaluate: {bootstrap: 100, aupro_limit: 0.3}\n")
    write_prepared(masks=masks)
    write_scores()
    write_settings({})


def run_stage() -> Run:
    before = report_files()
    evaluate.main("bracket", "kd_cae")
    return Run(before, report_files())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """The stage run twice in one folder: drawing takes seconds, so the tests share it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        make_project()
        return run_stage(), run_stage()


def test_metrics_are_those_computed_by_hand(runs: tuple[Run, Run]) -> None:
    found = runs[0].metrics
    assert (found["n_good"], found["n_defective"]) == (2, 3)
    assert found["auroc"] == pytest.approx(5 / 6)  # 0.2 lies below 0.3: one of 3 × 2 pairs is wrong
    assert found["auroc_low"] <= found["auroc"] <= found["auroc_high"]
    assert found["all_defective_f1"] == pytest.approx(2 * 3 / (5 + 3))
    # Above 0.3: 0.9 and 0.6. The good image at 0.3 is called good, the defect at 0.2 is missed.
    assert found["clean"] == pytest.approx(
        {
            "threshold": 0.3,
            "f1": 2 / (2 + 0.5),
            "balanced_accuracy": (2 / 3 + 1) / 2,
            "precision": 1.0,
            "recall": 2 / 3,
            "false_alarm_rate": 0.0,
        }
    )
    assert found["oracle"]["f1"] == pytest.approx(6 / 7)  # threshold 0.1: three found, one false alarm
    assert found["threshold_optimism"] == pytest.approx(6 / 7 - 4 / 5)
    assert found["paper"]["thresholds"] == {"reconstruction_error": 0.3}  # of the one held-out good image
    assert found["paper"]["f1"] == pytest.approx(4 / 5)
    half = found["held_out"]  # 0.9 and 0.6 against 0.3
    assert (half["n_good"], half["n_defective"], half["auroc"], half["clean"]["f1"]) == (1, 2, 1.0, 1.0)
    assert (found["supervised"], found["n_labelled_defective"], found["reconstructs"]) == (False, 0, True)
    assert found["paper_literal"] is None, "the paper has no thresholds for this category"
    assert found["defects"]["types"] == [{"type": "cut", "n": 3, "found": 2, "smallest_found_area": 16 / 256}]
    assert found["defects"]["larger_half"] == {"n": 2, "found": 1}
    assert found["brightness_matched_auroc"] == 0.0
    assert found["pixel_auroc"] == 1.0
    assert found["aupro"] == pytest.approx(1.0)
    assert (found["pixel_auroc_low"], found["pixel_auroc_high"]) == (1.0, 1.0)
    assert (found["aupro_low"], found["aupro_high"]) == pytest.approx((1.0, 1.0))
    assert found["confidence"] == 0.9
    assert (found["false_alarm_rate_supported"], found["n_calibration"], found["supported"]) == (
        0.5,
        1,
        False,
    )


def test_curves_end_where_they_must(runs: tuple[Run, Run]) -> None:
    roc = runs[0].table("roc.csv")
    assert list(roc.columns) == ["false_positive_rate", "recall"]
    assert roc.iloc[0].tolist() == [0, 0]
    assert roc.iloc[-1].tolist() == [1, 1]
    assert np.trapezoid(roc["recall"], roc["false_positive_rate"]) == pytest.approx(5 / 6)
    precision_recall = runs[0].table("precision_recall.csv")
    assert list(precision_recall.columns) == ["recall", "precision"]
    assert precision_recall.iloc[0].tolist() == pytest.approx([1, 3 / 5])


def test_nothing_is_written_or_changed_outside_its_outputs(runs: tuple[Run, Run]) -> None:
    before, after = runs[0].before, runs[0].after
    made = {path.relative_to(OUT).as_posix() for path in after.keys() - before.keys()}
    assert made == {"metrics.json", "test_scores.csv", "roc.csv", "precision_recall.csv"} | {
        f"figures/{name}.png" for name in comparison.FIGURES
    }
    assert {path: after[path] for path in before} == before


def test_a_second_run_writes_the_same_bytes(runs: tuple[Run, Run]) -> None:
    assert runs[1].after == runs[0].after


def test_a_category_without_masks_has_no_pixel_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_project(masks=False)
    found = run_stage().metrics
    assert found["pixel_auroc"] is None
    assert found["aupro"] is None


@pytest.mark.parametrize(("rule", "f1"), [("fewest_errors", 4 / 5), (None, None)])
def test_the_papers_threshold_is_set_by_the_models_own_rule(
    rule: str | None, f1: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One error is the fewest: above 0.1 (a false alarm) or 0.3 (a miss); the higher makes no alarm."""
    monkeypatch.chdir(tmp_path)
    make_project()
    path = artifacts.scores_folder("bracket", "kd_cae") / "threshold.json"
    files.write_json(path, files.read_json(path) | {"paper_rule": rule})
    found = run_stage().metrics["paper"]
    assert found is None if rule is None else found["f1"] == pytest.approx(f1)


def test_the_papers_literal_thresholds_are_applied_where_settings_are_the_papers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bottle's: error above .004 or log-density below 5600. Every error here is above."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(published, "RESULTS", {"bracket": published.RESULTS["bottle"]})
    make_project()
    preset = presets(ROOT / "params.yaml")["paper"]["models"]["kd_cae"]
    write_settings(preset)
    path = artifacts.scores_folder("bracket", "kd_cae") / "scores.csv"
    write_table(path, read_table(path).assign(negative_log_density=-5650.0))
    found = run_stage().metrics["paper_literal"]
    assert (found["recall"], found["false_alarm_rate"], found["f1"]) == (1.0, 1.0, pytest.approx(0.75))
    write_settings(preset | {"bandwidth": 0.3})
    assert run_stage().metrics["paper_literal"] is None


def test_a_supervised_model_is_tested_on_images_it_has_not_learnt_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_project()
    folder = artifacts.scores_folder("bracket", "kd_cae")
    scores = read_table(folder / "scores.csv")
    scores.loc[scores["half"] == "pool", "subset"] = "pool"
    write_table(folder / "scores.csv", scores)
    (folder / "reconstructions.npy").unlink()
    run = run_stage()
    found = run.metrics
    assert (found["n_good"], found["n_defective"], found["auroc"]) == (1, 2, 1.0)
    assert found["held_out"]["auroc"] == found["auroc"]
    assert (found["supervised"], found["n_labelled_defective"], found["pixel_auroc"]) == (True, 1, 1.0)
    assert found["tuned_on_labels"] is False
    assert OUT / "figures/reconstructions.png" not in run.after
    assert OUT / "figures/verdicts.png" in run.after


def test_figures_have_the_detectors_own_colour_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one made of test images: a map looks the same in a figure, an overlay and the inspect page."""
    monkeypatch.chdir(tmp_path)
    make_project()
    scores = read_table(artifacts.scores_folder("bracket", "kd_cae") / "scores.csv")
    shown = evaluate._cases(prepared.load("bracket"), scores, THRESHOLD, "kd_cae")
    assert shown.heat_scale == HeatScale(0.2, 0.9)


def test_a_model_without_a_colour_scale_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_project()
    files.write_json(artifacts.model_folder("bracket", "kd_cae") / "model.json", {"settings": {}})
    with pytest.raises(UserError, match="has no heat_scale"):
        run_stage()


def test_scores_of_other_images_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_project()
    path = artifacts.scores_folder("bracket", "kd_cae") / "scores.csv"
    write_table(path, read_table(path).drop(index=3))
    with pytest.raises(UserError, match="scores of other test images"):
        evaluate.main("bracket", "kd_cae")
    assert not OUT.exists()
