"""The comparison: every number next to its baseline, flags where they belong, no winner without evidence."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from mlproject.core.errors import UserError
from mlproject.evaluation import metrics
from mlproject.reports import comparison, comparison_columns
from mlproject.reports.comparison_columns import DIFFERENCE


def result(category: str = "bracket", model: str = "kd_cae", **changed: Any) -> dict[str, Any]:
    """A metrics.json with nothing to flag."""
    at = {
        "threshold": 0.01, "f1": 0.91, "balanced_accuracy": 0.9, "precision": 0.95, "recall": 0.87,
        "false_alarm_rate": 0.1,
    }  # fmt: skip
    paper = {"rule": "edge_of_good", "sees_test_labels": False, "thresholds": {"error": 0.02}, "f1": 0.89}
    return {
        "category": category, "model": model, "n_good": 20, "n_defective": 63,
        "auroc": 0.87, "auroc_low": 0.80, "auroc_high": 0.93, "average_precision": 0.96,
        "pixel_auroc": 0.92, "pixel_auroc_low": 0.88, "pixel_auroc_high": 0.95,
        "aupro": 0.71, "aupro_low": 0.6, "aupro_high": 0.8,
        "defects": {
            "types": [
                {"type": "hole", "n": 40, "found": 30, "smallest_found_area": 0.004},
                {"type": "dent", "n": 23, "found": 3, "smallest_found_area": None},
            ],
            "smaller_half": {"n": 31, "found": 12, "largest_area": 0.01},
            "larger_half": {"n": 32, "found": 21},
        },
        "all_defective_f1": 0.863, "brightness_matched_auroc": 0.84,
        "clean": at, "paper": paper, "oracle": at | {"f1": 0.94}, "threshold_optimism": 0.03,
        "false_alarm_rate_asked": 0.05, "confidence": None, "false_alarm_rate_supported": 0.05,
        "n_calibration": 21, "supported": True,
        "supervised": False, "tuned_on_labels": False, "n_labelled_defective": 0, "reconstructs": True,
        "held_out": {
            "n_good": 10, "n_defective": 32, "auroc": 0.86, "auroc_low": 0.74, "auroc_high": 0.94,
            "average_precision": 0.95, "all_defective_f1": 0.865, "clean": at, "oracle": at,
        },
    } | changed  # fmt: skip


def shortcut(auroc: float = 0.62) -> dict[str, Any]:
    """A shortcuts.json."""
    return {
        "statistics": {"mean_brightness": auroc},
        "strongest": "mean_brightness",
        "strongest_auroc": auroc,
        "flagged": auroc >= 0.9 or auroc <= 0.1,
    }


LABELS = [0] * 20 + [1] * 20


def scores_table(noise: float = 1.0) -> pd.DataFrame:
    """A test_scores.csv: the smaller the noise, the better the scores; the same hard images for all."""
    hard = np.random.default_rng(0).normal(0, 1, len(LABELS))
    return pd.DataFrame(
        {
            "path": [f"test/{i:02d}.png" for i in range(len(LABELS))],
            "label": LABELS,
            "half": ["held_out" if i % 2 else "pool" for i in range(len(LABELS))],
            "score": np.array(LABELS) * 2 + noise * hard,
        }
    )


def rows(
    *results: dict[str, Any], auroc: float = 0.62, noise: dict[str, float] | None = None
) -> list[dict[str, Any]]:
    """Merged rows, the same shortcut in each category; noise in each model's scores, 1 for all by default."""
    scores = {
        (each["category"], each["model"]): scores_table((noise or {}).get(each["model"], 1.0))
        for each in results
    }
    return comparison.merge(results, {each["category"]: shortcut(auroc) for each in results}, scores)


def printed(merged: list[dict[str, Any]], *, plain: bool = True) -> str:
    """What a terminal of the promised width shows."""
    out = io.StringIO()
    console = Console(file=out, width=comparison.TERMINAL_WIDTH, force_terminal=not plain, highlight=False)
    console.print(comparison.terminal(merged, plain=plain))
    return out.getvalue()


def cell(merged: list[dict[str, Any]], column: str, line: int = 0) -> str:
    """One cell of the comparison, wherever the column is."""
    for table in comparison.tables(merged)[0]:
        if column in table.columns:
            return table.lines[line][table.columns.index(column)]
    raise AssertionError(f"no column {column}")


def test_every_f1_stands_beside_the_all_defective_f1() -> None:
    _, decisions, _ = comparison.tables(rows(result()))[0]
    at = decisions.columns.index("F1 all defective")
    assert decisions.columns[at - 1 : at + 3] == ("F1", "F1 all defective", "F1 paper", "F1 oracle")
    assert decisions.lines[0][at - 1 : at + 3] == ("0.91", "0.86", "0.89", "0.94")


def test_every_auroc_stands_beside_the_strongest_shortcut() -> None:
    ranking, *_ = comparison.tables(rows(result()))[0]
    at = ranking.columns.index("AUROC [95%]")
    assert ranking.lines[0][at : at + 3] == ("0.87 [0.80, 0.93]", "0.62 mean_brightness", "0.84")


def test_a_supervised_model_is_marked_and_all_are_shown_on_the_held_out_half() -> None:
    cnn = result(model="cnn", supervised=True, n_labelled_defective=31, auroc=0.99, auroc_low=0.97)
    merged = rows(result(), cnn)
    shown, texts = comparison.tables(merged)
    assert len(shown) == 4
    assert shown[3].lines[1][:4] == ("bracket", "cnn", "31", "10 / 32")
    assert cell(merged, "model", 1) == "cnn (1)"
    assert texts[0].startswith("Supervised: trained on one half of the test images")
    assert comparison.winner(merged) is None  # tested on other images than the rest


def test_a_model_tuned_on_labels_is_marked_and_ranked_with_none_as_a_supervised_one_is() -> None:
    tuned = result(model="ni_cae", tuned_on_labels=True, n_labelled_defective=31, auroc=0.99, auroc_low=0.97)
    merged = rows(
        result(), result(model="pca", auroc=0.5, auroc_low=0.4, auroc_high=0.6), tuned, noise={"pca": 9}
    )
    shown, texts = comparison.tables(merged)
    assert len(shown) == 4
    assert cell(merged, "model", 2) == "ni_cae (3)"
    assert texts[2].startswith("Tuned on labels: its settings were chosen on one half of the test images")
    assert comparison.winner(merged) == "kd_cae"


def test_a_row_without_anything_to_say_has_no_notes() -> None:
    assert comparison_columns.notes(rows(result())[0]) == {}


@pytest.mark.parametrize("auroc", [0.95, 0.03])
def test_a_shortcut_is_flagged_in_either_direction(auroc: float) -> None:
    merged = rows(result(), auroc=auroc)
    assert cell(merged, "strongest shortcut") == f"{auroc:.2f} mean_brightness (1)"
    assert "mean_brightness alone tells good from defective" in comparison.tables(merged)[1][0]


@pytest.mark.parametrize(
    ("changed", "column", "note"),
    [
        (
            {"auroc": 0.55, "auroc_low": 0.42, "auroc_high": 0.66},
            "AUROC [95%]",
            "not shown to be above chance",
        ),
        ({"auroc": 0.30, "auroc_low": 0.20, "auroc_high": 0.40}, "AUROC [95%]", "Below chance"),
        ({"paper": {"f1": 0.9, "sees_test_labels": True}}, "F1 paper", "chosen on the test labels"),
        ({"all_defective_f1": 0.91}, "F1", "Not better than calling everything defective"),
        (
            {"supported": False, "n_calibration": 6, "false_alarm_rate_supported": 1 / 7},
            "false alarms asked / seen",
            "6 calibration images support a rate of 0.143 at best: ",
        ),
        (
            {"supported": False, "n_calibration": 6, "false_alarm_rate_supported": 0.32, "confidence": 0.9},
            "false alarms asked / seen",
            "6 calibration images support a rate of 0.32 at best with a confidence of 0.9: ",
        ),
        (
            {"confidence": 0.9},
            "false alarms asked / seen",
            "Asked with a confidence of 0.9 that the rate is not exceeded, rather than on average.",
        ),
        (
            {"not_learnt_because": "it returns one picture for every image"},
            "model",
            "bracket, kd_cae has learnt nothing: it returns one picture for every image. It cannot be",
        ),
    ],
)
def test_a_doubt_is_flagged_in_its_cell_and_said_below(
    changed: dict[str, Any], column: str, note: str
) -> None:
    merged = rows(result(**changed))
    assert cell(merged, column).endswith(" (1)")
    assert note in comparison.tables(merged)[1][0]


def test_the_same_note_has_one_number() -> None:
    doubtful = {"auroc": 0.55, "auroc_low": 0.42, "auroc_high": 0.66}
    merged = rows(result(**doubtful), result(model="ni_cae", **doubtful))
    assert len(comparison.tables(merged)[1]) == 1
    assert cell(merged, "AUROC [95%]", 1).endswith(" (1)")


def test_no_winner_is_declared_without_a_paired_difference() -> None:
    merged = rows(result(), result(model="ni_cae", auroc=0.70, auroc_low=0.60, auroc_high=0.79))
    assert merged[0]["auroc_low"] > merged[1]["auroc_high"], "the models' own intervals do not matter"
    assert comparison.winner(merged) is None
    assert comparison.verdicts(merged)[0].startswith("bracket: no clear winner: no model is above chance and")
    assert "**" not in comparison.markdown(merged)


def test_a_winner_is_declared_where_its_paired_difference_to_every_other_is_above_0() -> None:
    merged = rows(result(), result(model="ni_cae", auroc=0.84), noise={"ni_cae": 4})
    assert merged[0]["auroc_low"] < merged[1]["auroc_high"], "the models' own intervals overlap"
    assert comparison.winner(merged) == "kd_cae"
    assert comparison.markdown(merged).count("**0.87 [0.80, 0.93]**") == 1
    assert "kd_cae ranks best" in printed(merged)


DEAD = {"not_learnt_because": "it returns one picture for every image"}


def test_a_model_that_has_learnt_nothing_is_no_winner_whatever_its_auroc() -> None:
    other = result(model="ni_cae", auroc=0.60, auroc_low=0.55)
    merged = rows(result(**DEAD), other, noise={"ni_cae": 4})
    assert merged[0]["differences"]["ni_cae"]["shown"] == "above"
    assert comparison.winner(merged) is None
    assert "no model that has learnt something is above chance" in comparison.verdicts(merged)[0]
    assert "**" not in comparison.markdown(merged)


def test_a_model_shown_to_be_better_than_one_that_has_learnt_nothing_wins() -> None:
    merged = rows(result(), result(model="ni_cae", **DEAD), noise={"ni_cae": 4})
    assert comparison.winner(merged) == "kd_cae"


def test_a_model_that_has_learnt_nothing_is_marked_in_every_table() -> None:
    cnn = result(model="cnn", supervised=True, **DEAD)
    shown, texts = comparison.tables(rows(result(), result(model="ni_cae", **DEAD), cnn))
    for table in shown:
        names = [line[table.columns.index("model")] for line in table.lines]
        assert names == ["kd_cae", "ni_cae (1)", "cnn (2)"]
    assert "cnn has learnt nothing" in texts[1]
    assert "Supervised: " in texts[1]


def test_a_model_at_chance_beats_nobody() -> None:
    merged = rows(
        result(auroc=0.55, auroc_low=0.45, auroc_high=0.66),
        result(model="ni_cae", auroc=0.3, auroc_low=0.2, auroc_high=0.4),
        noise={"ni_cae": 9},
    )
    assert comparison.winner(merged) is None


def test_no_winner_is_named_where_a_shortcut_is_flagged() -> None:
    other = result(model="ni_cae", auroc=0.70, auroc_low=0.60, auroc_high=0.79)
    merged = rows(result(), other, auroc=0.99, noise={"ni_cae": 9})
    assert comparison.winner(merged) is None
    assert "no winner is named, a shortcut" in printed(merged)


def test_the_difference_to_pca_stands_beside_the_auroc_with_what_is_shown() -> None:
    merged = rows(result(), result(model="pca"), noise={"kd_cae": 4})
    gap = merged[0]["differences"]["pca"]
    ours, baseline = (metrics.auroc(np.array(LABELS), scores_table(noise)["score"]) for noise in (4, 1))
    assert gap["difference"] == ours - baseline
    written = f"{gap['difference']:+.2f} [{gap['low']:+.2f}, {gap['high']:+.2f}] (1)"
    assert (cell(merged, DIFFERENCE), cell(merged, DIFFERENCE, 1)) == (written, "-")
    note = comparison.tables(merged)[1][0]
    assert note.startswith("Shown to be worse than pca, with Holm's correction over all pairs of models")


def test_a_difference_that_holm_takes_away_is_said_not_to_be_significant() -> None:
    gap = {"difference": 0.05, "low": 0.01, "high": 0.1, "p": 0.03, "p_holm": 0.09, "shown": "unclear"}
    row = rows(result())[0] | {"differences": {"pca": gap}}
    assert "is not significant with Holm's correction" in comparison_columns.notes(row)[DIFFERENCE]


def test_without_pca_there_is_no_column_of_differences_to_it() -> None:
    assert all(DIFFERENCE not in table.columns for table in comparison.tables(rows(result()))[0])


def test_models_that_saw_labels_are_compared_on_the_held_out_half_alone() -> None:
    cnn = result(model="cnn", supervised=True)
    merged = rows(result(), cnn, result(model="pca"), noise={"cnn": 4})
    assert "cnn" not in merged[0]["differences"]
    assert merged[1]["differences"] == {}
    half = scores_table()["half"] == "held_out"
    expected = [metrics.auroc(np.array(LABELS)[half], scores_table(noise)["score"][half]) for noise in (4, 1)]
    assert merged[1]["held_out"]["differences"]["pca"]["difference"] == expected[0] - expected[1]
    last = comparison.tables(merged)[0][-1]
    assert last.lines[1][last.columns.index(DIFFERENCE)].startswith("-0.")


def test_scores_of_different_images_are_refused() -> None:
    scores = {("bracket", "a"): scores_table(), ("bracket", "b"): scores_table().iloc[1:]}
    with pytest.raises(UserError, match="different images"):
        comparison.merge([result(model="a"), result(model="b")], {"bracket": shortcut()}, scores)


def test_a_single_model_is_compared_with_nobody() -> None:
    assert comparison.verdicts(rows(result())) == []


def test_without_masks_there_are_dashes_and_without_any_no_table() -> None:
    none = {"n": 0, "found": 0}
    defects = {"types": [], "smaller_half": none, "larger_half": none}
    without = result("weave", pixel_auroc=None, aupro=None, defects=defects)
    assert comparison.tables(rows(result(), without))[0][2].lines[1][2:] == ("-",) * 5
    assert "AUPRO" not in comparison.markdown(rows(without))


def test_maps_have_intervals_and_defects_are_counted_by_size_and_type() -> None:
    merged = rows(result(), result(model="pca"))
    assert comparison.tables(merged)[0][2].lines[0] == (
        "bracket", "kd_cae", "0.92 [0.88, 0.95]", "0.71 [0.60, 0.80]", "12 / 31", "21 / 32", "0.40%",
    )  # fmt: skip
    text = comparison.markdown(merged)
    assert "| defects found (smallest area) | kd_cae | pca |" in text
    assert "| hole | 30 / 40 (0.40%) | 30 / 40 (0.40%) |" in text
    assert "| dent | 3 / 23 | 3 / 23 |" in text


def test_a_model_that_the_paper_does_not_have_has_no_f1_by_its_protocol() -> None:
    assert cell(rows(result(paper=None)), "F1 paper") == "-"


def test_numbers_are_written_one_way() -> None:
    assert [comparison_columns.number(x) for x in (0.867, 1.0, -0.001, -0.03, None)] == [
        "0.87",
        "1.00",
        "0.00",
        "-0.03",
        "-",
    ]


@pytest.mark.parametrize("plain", [True, False])
def test_the_terminal_shows_every_cell_within_its_width(plain: bool) -> None:
    dishonest = {"f1": 0.9, "sees_test_labels": True}
    merged = rows(result("toothbrush", paper=dishonest), result("metal_nut", supported=False), auroc=0.99)
    shown = printed(merged, plain=plain)
    for table in comparison.tables(merged)[0]:
        for text in {text for line in table.lines for text in line}:
            assert text in shown, text
    if plain:
        assert max(map(len, shown.splitlines())) <= comparison.TERMINAL_WIDTH
        assert "\x1b" not in shown
        assert shown.isascii()


def test_markdown_has_the_same_cells_as_the_terminal_and_links_the_pictures() -> None:
    merged = rows(result())
    text = comparison.markdown(merged)
    for table in comparison.tables(merged)[0]:
        for line in table.lines:
            assert f"| {' | '.join(line)} |" in text
    for name in comparison.FIGURES:
        assert f"(categories/bracket/kd_cae/figures/{name}.png)" in text
    assert "(comparison.png)" in text


def test_csv_and_json_keep_all_digits() -> None:
    merged = rows(result(auroc=0.8671234567))
    table = comparison.csv(merged)
    assert table.loc[0, "auroc"] == 0.8671234567
    assert (table.loc[0, "clean.f1"], table.loc[0, "paper.f1"]) == (0.91, 0.89)
    assert table.loc[0, "shortcuts.strongest"] == "mean_brightness"
    assert json.loads(json.dumps(merged, allow_nan=False)) == merged


def test_compare_writes_four_files_and_prints_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlproject.core import artifacts, files, tables
    from pipelines import compare

    monkeypatch.chdir(tmp_path)
    listed = "categories: [bracket]\ndetectors: [kd_cae, ni_cae]\nmodels: {kd_cae: {}, ni_cae: {}}\n"
    Path("params.yaml").write_text(listed)
    for model in ("kd_cae", "ni_cae"):
        tables.write_table(artifacts.report_folder("bracket", model) / "test_scores.csv", scores_table())
        follows = "its scores rank the test images as their sharpness does" if model == "kd_cae" else None
        metrics = result(model=model) | {"follows_shortcut": follows}
        files.write_json(artifacts.report_folder("bracket", model) / "metrics.json", metrics)
        why = "it returns one picture for every image" if model == "ni_cae" else None
        files.write_json(artifacts.training_report("bracket", model), {"not_learnt_because": why})
    files.write_json(artifacts.report_folder("bracket") / "shortcuts.json", shortcut())
    before = {path for path in Path().rglob("*") if path.is_file()}
    compare.main()
    made = {str(path) for path in Path().rglob("*") if path.is_file()} - {str(path) for path in before}
    assert made == {f"reports/comparison.{kind}" for kind in ("md", "csv", "json", "png")}
    assert printed(files.read_json(Path("reports/comparison.json"))) == capsys.readouterr().out
    assert "0.87 [0.80, 0.93]" in (text := Path("reports/comparison.md").read_text())
    assert re.search(r"\| kd_cae \(1\) \|(.|\n)*\| ni_cae \(\d\) \|", text)
    assert "- (1) bracket, kd_cae has learnt nothing: its scores rank the test images as their sharp" in text
    assert "bracket, ni_cae has learnt nothing: it returns one picture for every image." in text


def test_test_images_that_are_copies_of_training_images_are_counted_and_named():
    merged = rows(result(copies_of_training_images=["0.png", "1.png", "2.png", "3.png"]))
    assert cell(merged, "good / defective") == "20 / 63 (1)"
    assert "test images, 4 are copies of training images (0.png, 1.png, 2.png, …)." in printed(merged)
