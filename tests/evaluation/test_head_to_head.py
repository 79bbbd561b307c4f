"""Champion and challenger: the measures, the images shown, one colour scale."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from mlproject.evaluation import head_to_head, metrics
from mlproject.evaluation.head_to_head import HeadToHead, Side
from mlproject.reports import head_to_head_text
from mlproject.reports.figures import disagreements
from mlproject.reports.figures.disagreements import Shown


def pair_of(champion, challenger, labels, parts=None):
    images = pd.DataFrame({
        "path": [f"test/{i}.png" for i in range(len(labels))],
        "defect": np.where(np.array(labels) == 1, "hole", "good"),
        "label": labels,
    })  # fmt: skip
    sides = [
        Side(f"version {i} (m)", np.array(scores, float), 0.5, parts or {})
        for i, scores in enumerate((champion, challenger), 1)
    ]
    return HeadToHead("bottle", images, *sides)


LABELS = [0, 0, 0, 1, 1, 1]
CHAMPION = [0.1, 0.9, 0.2, 0.8, 0.3, 0.7]  # wrong about 1 and 4
CHALLENGER = [0.1, 0.2, 0.6, 0.9, 0.8, 0.7]  # wrong about 2


def test_images_are_grouped_by_who_is_right():
    found = head_to_head.groups(pair_of(CHAMPION, CHALLENGER, LABELS))
    assert {title: sorted(rows.tolist()) for title, rows in found.items()} == {
        "only the challenger is right": [1, 4],
        "only the champion is right": [2],
    }


def test_where_all_is_decided_alike_the_ranks_are_shown():
    champion, challenger = [0.1, 0.2, 0.3, 0.6, 0.7, 0.9], [0.3, 0.2, 0.1, 0.6, 0.7, 0.9]
    ((title, rows),) = head_to_head.groups(pair_of(champion, challenger, LABELS)).items()
    assert "no image is decided differently" in title
    assert set(rows[:2].tolist()) == {0, 2}
    words = head_to_head_text.decisions(pair_of(champion, challenger, LABELS), 100)
    assert words[0] == "Decided differently: 0 of 6."


def test_both_sides_have_every_measure_with_its_interval():
    found = {m.name: m for m in head_to_head.measures(pair_of(CHAMPION, CHALLENGER, LABELS), 200)}
    assert found["AUROC"].champion.value == metrics.auroc(np.array(LABELS), np.array(CHAMPION))
    assert found["recall"].challenger.value == 1
    assert found["recall"].champion.value == pytest.approx(2 / 3)
    assert found["false alarms"].champion.value == pytest.approx(1 / 3)
    for measure in found.values():
        for low_to_high in (measure.champion, measure.challenger):
            assert low_to_high.low <= low_to_high.value <= low_to_high.high


def test_without_defective_images_there_is_no_f1_but_there_are_false_alarms():
    found = {m.name: m for m in head_to_head.measures(pair_of(CHAMPION, CHALLENGER, [0] * 6), 200)}
    assert found["F1"].champion is found["AUROC"].champion is found["recall"].champion is None
    assert found["false alarms"].champion.value == pytest.approx(3 / 6)
    text = head_to_head_text.markdown(pair_of(CHAMPION, CHALLENGER, [0] * 6), 200, [])
    assert "| AUROC | - | - |" in text


def test_the_text_shows_no_f1_without_that_of_calling_everything_defective():
    text = head_to_head_text.markdown(pair_of(CHAMPION, CHALLENGER, LABELS), 200, ["gallery.png"])
    assert "| F1, all defective | 0.667 | 0.667 |" in text
    assert "Only the challenger is right: 2; only the champion is right: 1." in text
    assert "![gallery](gallery.png)" in text


def test_the_gallery_shows_each_group_on_one_scale_and_says_how_many_there_are():
    pair = pair_of(CHAMPION, CHALLENGER, LABELS)
    image, mask = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
    rng = np.random.default_rng(0)
    shown = [Shown(row, image, mask, (rng.random((8, 8)) * 9, None)) for row in (1, 4)]
    figure = disagreements.gallery(
        pair,
        {"only the challenger is right": shown, "only the champion is right": []},
        {"only the challenger is right": 9, "only the champion is right": 0},
    )
    words = [text.get_text() for text in figure.findobj(Text)]
    assert "only the challenger is right (9, 2 shown)" in words
    assert "only the champion is right (0)" in words
    scales = {drawn.get_clim() for drawn in figure.axes[0].images if drawn.get_array().ndim == 2}
    assert scales == {(0, 1)}
    assert "champion: defective, WRONG\nscore 0.9 > 0.5" in words
    assert "challenger: good\nscore 0.2 ≤ 0.5" in words
    assert "makes no map" in words


@pytest.mark.parametrize(("names", "panels"), [((disagreements.ERROR, disagreements.DENSITY), 3), ((), 1)])
def test_error_against_density_is_drawn_for_those_that_have_both(names, panels):
    parts = {name: np.arange(6.0) + 1 for name in names}
    figure = disagreements.scatter(pair_of(CHAMPION, CHALLENGER, LABELS, parts))
    assert len(figure.axes) == panels
    if panels > 1:
        (good, *_) = figure.axes[1].collections
        assert good.get_offsets()[0].tolist() == [1, -1], "log-density, not its negative"
