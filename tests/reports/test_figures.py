"""Pictures of results: what is chosen, in what words and colours; the same figure is the same bytes."""

import itertools
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mlproject.evaluation.head_to_head import HeadToHead, Side
from mlproject.models.components.heat_scale import HeatScale
from mlproject.reports.figures import (
    cases,
    comparison_chart,
    disagreements,
    drawing,
    pictures,
    score_plots,
)
from mlproject.reports.figures.score_axis import ScoreAxis

SIZE = 32


def made_cases(threshold: float = 0.5, *, scores: list[float] | None = None) -> cases.Cases:
    """Four good and four defective images; a 6 × 6 hole in the defective ones."""
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    masks = np.zeros((8, SIZE, SIZE), np.uint8)
    masks[labels == 1, 4:10, 4:10] = 1
    maps = rng.random((8, SIZE, SIZE)).astype(np.float16) * 0.1 + masks
    return cases.Cases(
        category="bracket",
        model="kd_cae",
        images=rng.integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8),
        reconstructions=rng.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8),
        masks=masks,
        maps=maps,
        scores=np.array(scores or [0.1, 0.2, 0.3, 0.9, 0.4, 0.6, 0.7, 0.8]),
        labels=labels,
        defects=np.array(["good"] * 4 + ["crack", "crack", "hole_big", "hole_big"]),
        threshold=threshold,
        heat_scale=HeatScale(0.05, 0.2),
    )


def scores_table() -> pd.DataFrame:
    """Three images of each subset; the test set has both labels."""
    rng = np.random.default_rng(1)
    subsets = ["train"] * 3 + ["validation"] * 3 + ["calibration"] * 3 + ["test"] * 6
    scores = rng.random(len(subsets))
    return pd.DataFrame(
        {"subset": subsets, "label": [0] * 12 + [1] * 3, "score": scores, "error": scores, "density": -scores}
    )


def result() -> dict[str, object]:
    """As much of metrics.json as figures read."""
    at = {"f1": 0.8, "precision": 0.75, "recall": 0.86, "false_alarm_rate": 0.1}
    return {
        "category": "bracket", "model": "kd_cae", "auroc": 0.9, "auroc_low": 0.8, "auroc_high": 0.95,
        "supervised": False, "tuned_on_labels": False, "n_good": 20, "n_defective": 30,
        "average_precision": 0.9, "all_defective_f1": 0.75,
        "clean": at, "oracle": at, "shortcuts": {"strongest_auroc": 0.6},
    }  # fmt: skip


def drawn(name: str) -> mpl.figure.Figure:
    """Return a fresh figure by the name of its file."""
    roc = pd.DataFrame({"false_positive_rate": [0, 0, 1], "recall": [0, 0.8, 1]})
    precision_recall = pd.DataFrame({"recall": [1, 0.8, 0], "precision": [0.6, 0.9, 1]})
    makers = {
        "reconstructions": lambda: pictures.reconstructions(made_cases()),
        "verdicts": lambda: pictures.verdicts(made_cases()),
        "mistakes": lambda: pictures.mistakes(made_cases()),
        "error_distribution": lambda: score_plots.error_distribution(
            "bracket, kd_cae", scores_table(), 0.5, {"error": 0.5, "density": -0.5}
        ),
        "curves": lambda: score_plots.curves(result(), roc, precision_recall),
        "comparison": lambda: comparison_chart.comparison([result()]),
    }
    return makers[name]()


def texts(figure: mpl.figure.FigureBase) -> str:
    """Return every word that a figure shows."""
    return "\n".join(item.get_text() for item in figure.findobj(mpl.text.Text))


@pytest.mark.parametrize(
    "name", ["reconstructions", "verdicts", "mistakes", "error_distribution", "curves", "comparison"]
)
def test_a_figure_is_the_same_bytes_whatever_the_users_style(name: str, tmp_path: Path) -> None:
    drawing.save(drawn(name), tmp_path / "a" / "one.png")
    with mpl.rc_context({"font.size": 20, "savefig.bbox": "tight", "axes.facecolor": "black"}):
        drawing.save(drawn(name), tmp_path / "a" / "two.png")
    assert (tmp_path / "a/one.png").read_bytes() == (tmp_path / "a/two.png").read_bytes()
    assert [path.name for path in sorted((tmp_path / "a").iterdir())] == ["one.png", "two.png"]
    with Image.open(tmp_path / "a/one.png") as image:
        assert min(image.size) > 200
        assert not {"Software", "Creation Time", "date"} & set(image.info)


@pytest.mark.parametrize("marked", ["supervised", "tuned_on_labels"])
def test_the_comparison_marks_a_model_that_has_seen_labels(marked: str) -> None:
    figure = comparison_chart.comparison([result(), result() | {"model": "cnn", marked: True}])
    assert "bracket  cnn, held-out half" in texts(figure)
    assert "kd_cae, held-out half" not in texts(figure)


def test_every_map_of_a_model_has_the_same_colour_scale() -> None:
    for figure in (pictures.verdicts(made_cases()), pictures.mistakes(made_cases())):
        maps = [item for item in figure.findobj(mpl.image.AxesImage) if item.get_cmap().name == "inferno"]
        limits = {
            item.get_clim()
            for item in maps
            if item.get_array().ndim == 2 and item.get_array().shape[0] == SIZE
        }
        scale = made_cases().heat_scale
        assert limits == {(scale.low, scale.high)}


def test_good_pixels_stay_in_the_dark_two_thirds_of_the_scale() -> None:
    good = np.random.default_rng(0).random((5, 40, 40))
    scale = HeatScale.from_good_maps(good)
    shown = (good - scale.low) / (scale.high - scale.low)
    assert (shown < 2 / 3 + 1e-6).mean() >= 0.999
    assert scale.low == pytest.approx(np.median(good))


def test_constant_good_maps_still_give_a_scale() -> None:
    scale = HeatScale.from_good_maps(np.zeros((2, 4, 4)))
    assert scale.high > scale.low


@pytest.mark.parametrize(
    ("label", "score", "right", "words"),
    [
        (1, 0.6, True, ["called defective", "score 0.6 > 0.5", "CORRECT"]),
        (1, 0.5, False, ["called good", "score 0.5 ≤ 0.5", "WRONG: missed defect"]),
        (0, 0.5, True, ["called good", "score 0.5 ≤ 0.5", "CORRECT"]),
        (0, 0.6, False, ["called defective", "score 0.6 > 0.5", "WRONG: false alarm"]),
    ],
)
def test_a_verdict_says_what_the_decision_rule_did(
    label: int, score: float, right: bool, words: list[str]
) -> None:
    verdict = cases.verdict(label, score, 0.5)
    assert verdict.right is right
    assert verdict.text.split("\n") == words


def test_a_close_comparison_is_written_with_the_digits_that_show_it() -> None:
    assert cases.compared(0.0500012, 0.05) == "score 0.050001 > 0.05"
    assert cases.compared(-5590.1, -5590.4) == "score -5590.1 > -5590.4"


def test_verdicts_show_each_type_of_defect_and_good() -> None:
    words = texts(pictures.verdicts(made_cases()))
    assert words.count("crack") == 2
    assert words.count("hole\nbig") == 2
    assert words.count("nothing to find") == 2
    assert words.count("WRONG: missed defect") == 1


def test_a_defect_without_a_mask_is_not_shown_as_an_empty_one() -> None:
    shown = made_cases()
    unmasked = cases.Cases(**{**vars(shown), "masks": np.zeros_like(shown.masks)})
    assert texts(pictures.verdicts(unmasked)).count("no mask") == 4


def test_outlines_of_defects_are_explained_where_there_are_any() -> None:
    shown = made_cases()
    unmasked = cases.Cases(**{**vars(shown), "masks": np.zeros_like(shown.masks)})
    said = [texts(pictures.mistakes(some)) for some in (shown, unmasked)]
    assert ["Cyan" in words for words in said] == [True, False]


def test_mistakes_are_counted_and_the_worst_come_first() -> None:
    words = texts(pictures.mistakes(made_cases()))
    assert "missed defects, lowest score first (1 of 4 defective)" in words
    assert "false alarms, highest score first (1 of 4 good)" in words
    assert words.index("hole_big\n0.8") < words.index("hole_big\n0.7") < words.index("crack\n0.6")


def test_a_model_without_mistakes_is_said_to_have_none() -> None:
    perfect = made_cases(scores=[0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9])
    words = texts(pictures.mistakes(perfect))
    assert "no missed defects among 4 defective images" in words
    assert "no false alarms among 4 good images" in words


def test_images_are_chosen_at_even_ranks_and_not_the_extremes() -> None:
    scores = np.arange(10.0)[::-1]
    assert scores[cases.spread(np.arange(10), scores, 1)].tolist() == [5.0]
    assert scores[cases.spread(np.arange(10), scores, 2)].tolist() == [2.0, 7.0]
    assert len(cases.spread(np.arange(2), scores, 5)) == 2


def test_distributions_have_a_panel_for_each_part_and_its_threshold() -> None:
    words = texts(drawn("error_distribution"))
    assert "score (decides)" in words
    assert "threshold 0.5" in words
    assert "threshold -0.5" in words
    for group in (
        "train\n(3)",
        "validation\n(3)",
        "calibration\n(3)",
        "test good\n(3)",
        "test defective\n(3)",
    ):
        assert group in words


def test_a_single_part_is_the_score_and_has_one_panel() -> None:
    figure = score_plots.error_distribution("x", scores_table(), 0.5, {"error": 0.5})
    assert len(figure.axes) == 1


def with_glaring_defects() -> pd.DataFrame:
    table = scores_table()
    table.loc[table["label"] == 1, "score"] = [0.7, 90.0, 100.0]
    return table


def test_glaring_defects_are_shown_without_squashing_the_rest() -> None:
    figure = score_plots.error_distribution("x", with_glaring_defects(), 0.5, {"score": 0.5})
    axes, transform = figure.axes[0], figure.axes[0].transAxes.inverted()
    heights, edges, base = axes.patches[-2].get_data()  # the last is the shade
    assert edges[0] <= 0.7
    bars = [heights[(edges[:-1] < score) & (score <= edges[1:])].item() for score in (0.7, 90, 100)]
    assert min(bars) > base
    low, high = axes.get_xlim()
    assert low < 0
    assert high > 100
    at = transform.transform(axes.transData.transform([(0.5, 0), (1.0, 0), (90, 0), (100, 0)]))[:, 0]
    assert 0.15 < at[0] < at[1] < 0.6
    assert 0.6 < at[2] < at[3] < 1
    assert "more" not in texts(figure)
    assert "Shaded: the axis is compressed" in texts(figure)


def test_an_axis_is_compressed_only_where_scores_lie_far_out() -> None:
    table = scores_table()
    figure = score_plots.error_distribution("x", table, 0.8, {"score": 0.8})
    assert "compressed" not in texts(figure)
    far = ScoreAxis.of(np.array([0.1, 0.5, 0.9]), np.array([30.0, 60.0]), 1.0)
    assert far.compressed
    near = ScoreAxis.of(np.array([0.1, 0.5, 0.9]), np.array([2.0]), 1.0)
    assert not near.compressed


@pytest.mark.parametrize("high", [1.0, 3.0, 50.0, 1e6])
def test_a_place_on_the_axis_belongs_to_one_score(high: float) -> None:
    axis = ScoreAxis.of(np.array([-2.0, 0.0]), np.array([0.5, high]), 0.25)
    scores = np.linspace(-2.5, high * 1.1, 200)
    places = axis.places(scores)
    assert (np.diff(places) > 0).all()
    assert axis.scores(places) == pytest.approx(scores)


def test_scores_that_are_all_equal_or_of_one_kind_have_an_axis() -> None:
    none = np.array([])
    for good, defective, threshold in [(np.ones(3), none, 1.0), (none, np.array([1.0, 9.0]), 2.0)]:
        axis = ScoreAxis.of(good, defective, threshold)
        assert axis.low < axis.bend <= axis.high


def test_no_bar_straddles_the_threshold_and_equal_scores_lie_on_its_good_side() -> None:
    for high in (1.0, 100.0):
        edges = ScoreAxis.of(np.array([0.0, 0.3]), np.array([high]), 0.333).bin_edges(0.333, 40)
        at = int(np.flatnonzero(edges == 0.333).item())
        assert edges[0] <= 0
        assert edges[-1] >= high
        counts = score_plots.counts_up_to(np.array([edges[at]]), edges)
        assert counts[at - 1] == 1
        assert counts.sum() == 1


def test_the_scatter_shows_every_image_that_two_models_decide_differently() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    images = pd.DataFrame({"path": "x", "defect": "x", "label": labels})
    one = Side("version 1 (a)", np.concatenate([rng.random(30), 2 + 30 * rng.random(30)]), 1.0, {})
    two = Side("version 2 (b)", np.concatenate([rng.random(30), rng.random(29), [90.0]]), 1.0, {})
    figure = disagreements.scatter(HeadToHead("bracket", images, one, two))
    axes = figure.axes[0]
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert low < one.scores.min() < one.scores.max() < high
    assert bottom < two.scores.min() < two.scores.max() < top
    assert "outside" not in texts(figure)
    assert "shaded: axis compressed" in texts(figure)


def test_labels_of_ticks_do_not_overlap(tmp_path: Path) -> None:
    table = scores_table().assign(density=lambda rows: -5651 - 10 * rows["density"])
    for far in (1.0, 40.0, 3e4):
        table.loc[table.index[-1], ["score", "error"]] = far
        parts = {"error": 0.5, "density": -5631.0, "another_error": 0.5}
        table["another_error"] = table["error"] / 1e4
        figure = score_plots.error_distribution("bracket, kd_cae", table, 0.5, parts)
        drawing.save(figure, tmp_path / "a.png")
        for axes in figure.axes:
            low, high = axes.get_xlim()
            shown = [label for label in axes.get_xticklabels() if low <= label.get_position()[0] <= high]
            boxes = sorted(label.get_window_extent().extents[[0, 2]].tolist() for label in shown)
            assert len(boxes) > 1
            assert all(end < start for (_, end), (start, _) in itertools.pairwise(boxes)), axes.get_xlabel()


def test_curves_show_the_all_defective_baseline_beside_the_f1() -> None:
    words = texts(drawn("curves"))
    assert "everything called defective: F1 0.75" in words
    assert "threshold in use (clean): F1 0.80" in words
    assert "AUROC 0.90 [0.80, 0.95]" in words


def titled(tmp_path: Path, title: str) -> bytes:
    with drawing.style():
        figure = drawing.new(3, 1, title)
    drawing.save(figure, tmp_path / "a.png")
    return (tmp_path / "a.png").read_bytes()


def test_letters_of_other_scripts_are_drawn_where_a_font_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """⌒ is a letter that the default font lacks; no font for Chinese comes with matplotlib."""
    made = {}
    for further in ((), ("DejaVu Sans Mono", "not installed")):
        monkeypatch.setattr(drawing, "FURTHER_FONTS", further)
        drawing._fonts.cache_clear()
        made[further] = titled(tmp_path, "⌒"), capsys.readouterr().err, titled(tmp_path, "scratch")
    drawing._fonts.cache_clear()
    (boxes, told, plain), (letters, nothing_told, as_before) = made.values()
    assert boxes != letters
    assert told.startswith(f"warning: {tmp_path / 'a.png'}: no font has ⌒: boxes are drawn instead. Install")
    assert (told.count("\n"), nothing_told) == (1, "")
    assert plain == as_before
