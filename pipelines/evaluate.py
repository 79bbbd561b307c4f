"""Stage evaluate: measures and figures of one model on one category's test images."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from mlproject.core import artifacts, files, params, script
from mlproject.core.errors import UserError
from mlproject.core.tables import read_table, write_table
from mlproject.data import copies, prepared
from mlproject.evaluation import metrics, paper_protocol, shortcuts
from mlproject.evaluation.measures import Tested, measure
from mlproject.models.components.heat_scale import HeatScale
from mlproject.reports.figures import drawing, pictures, score_plots
from mlproject.reports.figures.cases import Cases
from mlproject.reports.paper import published
from mlproject.training import run_settings

TEST_SCORES = ["path", "defect", "label", "half", "score"]  # columns of what stage compare pairs by path


def main(category: str, model: str) -> None:
    """Write metrics.json, test_scores.csv, roc.csv, precision_recall.csv and figures/ of one pair."""
    data = prepared.load(category)
    folder = artifacts.scores_folder(category, model)
    scores = read_table(folder / "scores.csv")
    threshold = files.read_json(folder / "threshold.json", required=("threshold",))
    cases = _cases(data, scores, threshold["threshold"], model)

    result = _measure(data, cases, scores, threshold)
    result["follows_shortcut"] = _follows_shortcut(data, scores)
    if result["follows_shortcut"]:
        print(f"{category} {model}: nothing was learnt: {result['follows_shortcut']}", flush=True)
    result["held_out"] = _held_out(scores, threshold["threshold"])
    result["paper"] = _paper(scores, list(threshold["part_thresholds"]), threshold["paper_rule"])
    result["paper_literal"] = _paper_literal(scores, category, model)
    roc, precision_recall = _curves(cases.labels, cases.scores)
    out = artifacts.report_folder(category, model)
    files.write_json(out / "metrics.json", result)
    write_table(out / "test_scores.csv", scores.loc[scores["half"] != "none", TEST_SCORES])
    write_table(out / "roc.csv", roc)
    write_table(out / "precision_recall.csv", precision_recall)
    figures = {
        "verdicts": pictures.verdicts(cases),
        "mistakes": pictures.mistakes(cases),
        "error_distribution": score_plots.error_distribution(
            cases.name, scores, cases.threshold, threshold["part_thresholds"]
        ),
        "curves": score_plots.curves(result, roc, precision_recall),
    }
    if cases.reconstructions is not None:
        figures["reconstructions"] = pictures.reconstructions(cases)
    for name, figure in figures.items():
        drawing.save(figure, out / "figures" / f"{name}.png")


def _cases(data: prepared.Prepared, scores: pd.DataFrame, threshold: float, model: str) -> Cases:
    """Return the test images that the model is evaluated on, with their scores.

    Raises:
        UserError: the scores are of other images than the prepared ones.
    """
    folder = artifacts.scores_folder(data.category, model)
    rows = data.rows(split="test")
    every = scores[scores["subset"].isin(("test", "pool"))]
    if every["path"].tolist() != data.paths(rows):
        raise UserError(f"{folder / 'scores.csv'}: holds scores of other test images. `dvc repro` renews it.")
    used, test = _evaluated(every), every[every["subset"] == "test"]
    made = folder / "reconstructions.npy"
    return Cases(
        category=data.category,
        model=model,
        images=data.images[rows[0] :][used],  # test rows are the last ones
        reconstructions=files.read_array(made)[used] if made.exists() else None,
        masks=data.masks[used],
        maps=files.read_array(folder / "maps.npy")[used],
        scores=test["score"].to_numpy(dtype=np.float64),
        labels=test["label"].to_numpy(),
        defects=test["defect"].to_numpy(dtype=object),
        threshold=threshold,
        heat_scale=_heat_scale(data.category, model),
    )


def _heat_scale(category: str, model: str) -> HeatScale:
    """Return the colour scale that the detector shows its maps in everywhere.

    Raises:
        UserError: the model is of a release that recorded none.
    """
    path = artifacts.model_folder(category, model) / "model.json"
    recorded = files.read_json(path).get("heat_scale")
    if not recorded:
        raise UserError(f"{path}: has no heat_scale, it is of an older release. Train the model again.")
    return HeatScale(**recorded)


def _evaluated(every: pd.DataFrame) -> slice | np.ndarray:
    """Return the test images that the model did not learn from; a slice if all, so that nothing is copied."""
    chosen = (every["subset"] == "test").to_numpy()
    return slice(None) if chosen.all() else chosen


def _follows_shortcut(data: prepared.Prepared, scores: pd.DataFrame) -> str | None:
    """Return which trivial statistic the scores rank the images by that the model is evaluated on."""
    every = scores[scores["subset"].isin(("test", "pool"))]
    used = (every["subset"] == "test").to_numpy()
    values = {name: column[used] for name, column in shortcuts.of_test_images(data).items()}
    return shortcuts.follows(every["score"].to_numpy(dtype=np.float64)[used], values)


def _held_out(scores: pd.DataFrame, threshold: float) -> dict[str, Any]:
    """Return the measures on the held-out half, on which a supervised model can be compared."""
    half, settings = scores[scores["half"] == "held_out"], params.load("evaluate", params.Evaluate)
    return metrics.evaluate(
        half["label"].to_numpy(), half["score"].to_numpy(), threshold,
        resamples=settings.bootstrap, seed=metrics.BOOTSTRAP_SEED,
    )  # fmt: skip


def _measure(
    data: prepared.Prepared, cases: Cases, scores: pd.DataFrame, threshold: dict[str, Any]
) -> dict[str, Any]:
    """Return the content of metrics.json, but for the held-out half, the paper's rules and shortcuts."""
    every = scores[scores["subset"].isin(("test", "pool"))]
    used = _evaluated(every)
    tested = Tested(
        labels=cases.labels,
        defects=cases.defects,
        masks=cases.masks,
        masked=(data.manifest["has_mask"].to_numpy()[data.rows(split="test")] == 1)[used],
        scores=cases.scores,
        matched_scores=scores.loc[scores["subset"] == "test", "score_brightness_matched"].to_numpy(),
        maps=cases.maps,
    )
    tuned_on_labels = run_settings.labels_seen(cases.category, cases.model) is not None
    return {
        "category": cases.category,
        "model": cases.model,
        "supervised": bool((scores["subset"] == "pool").any()) and not tuned_on_labels,
        "tuned_on_labels": tuned_on_labels,
        "reconstructs": cases.reconstructions is not None,
        "copies_of_training_images": list(copies.trained_and_tested(data.copies)),
        "n_labelled_defective": int(scores.loc[scores["subset"] == "pool", "label"].sum()),
        **measure(tested, threshold, params.load("evaluate", params.Evaluate)),
    }


def _paper(scores: pd.DataFrame, parts: list[str], rule: str | None) -> dict[str, Any] | None:
    """Return the measures at thresholds set as the paper did; None for a model that is not in the paper."""
    if rule is None:
        return None
    good = scores[scores["subset"].isin(("validation", "calibration"))]
    test = scores[scores["subset"] == "test"]
    good_parts, test_parts = ({name: rows[name].to_numpy() for name in parts} for rows in (good, test))
    return paper_protocol.evaluate(rule, good_parts, test_parts, test["label"].to_numpy())


def _paper_literal(scores: pd.DataFrame, category: str, model: str) -> dict[str, Any] | None:
    """Return the measures at the thresholds printed in the paper's Table 2; None where they do not apply."""
    settings = files.read_json(artifacts.model_folder(category, model) / "model.json")["settings"]
    limits = published.literal_thresholds(category, model, settings)
    if limits is None:
        return None
    test = scores[scores["subset"] == "test"]
    parts = {name: test[name].to_numpy() for name in limits}
    return paper_protocol.at_thresholds(limits, parts, test["label"].to_numpy())


def _curves(labels: np.ndarray, scores: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the points of the ROC and precision-recall curves, for `dvc plots`."""
    false_positive_rate, recall, _ = roc_curve(labels, scores)
    roc = pd.DataFrame({"false_positive_rate": false_positive_rate, "recall": recall})
    precision, recall, _ = precision_recall_curve(labels, scores)
    return roc, pd.DataFrame({"recall": recall, "precision": precision})


if __name__ == "__main__":
    script.run(main)
