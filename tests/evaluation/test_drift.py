"""Drift tests: they keep the false-alarm rate that is stated, and see what they are meant to see."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mlproject.evaluation import drift, frame_map
from mlproject.evaluation.drift import Photos

THRESHOLD = 1.5
FIRST = drift.OWN_WINDOWS * drift.WINDOW


def line(rng: np.random.Generator, count: int, **changes: float) -> Photos:
    """Return photos of a line, without maps; `changes` are added to scores, brightness or sharpness."""
    drawn = {
        name: rng.normal(size=count) + changes.get(name, 0) for name in ("scores", "brightness", "sharpness")
    }
    return Photos(**drawn, maps=np.full((count, frame_map.VALUES), np.nan))


def windows(count: int, seed: int = 0, **changes: float) -> list[drift.Finding]:
    """Return findings of independent lines, a window each, none of which shares its reference."""
    rng = np.random.default_rng(seed)
    return [
        drift.compare(rng.normal(size=45), line(rng, FIRST), line(rng, drift.WINDOW, **changes), THRESHOLD)
        for _ in range(count)
    ]


def test_without_drift_alarms_are_as_rare_as_stated():
    p_values = np.array([finding.p_value for finding in windows(600)])
    for level in (0.2, 0.1, 0.05):
        assert (p_values <= level).mean() <= level
    assert (p_values <= 0.2).mean() > 0.1  # nor far rarer


def mapped(rng: np.random.Generator, count: int, dust: float = 0.0) -> Photos:
    """Return photos of a line with maps; dust is added to one place of the maps."""
    maps = rng.normal(size=(count, frame_map.VALUES))
    maps[:, 40] += dust
    return replace(line(rng, count), maps=maps)


def test_a_change_at_one_place_is_seen_while_scores_are_unchanged():
    rng = np.random.default_rng(7)
    found = drift.compare(
        rng.normal(size=45), mapped(rng, FIRST), mapped(rng, drift.WINDOW, dust=2.0), THRESHOLD
    )
    assert found.p_value <= drift.alarm_level(10_000)
    assert found.strongest == "place"
    assert min(p for name, p in found.p_values.items() if name != "place") > drift.alarm_level(10_000)


def test_photos_without_a_map_are_left_out_of_the_test_by_place():
    rng = np.random.default_rng(8)
    first, window = mapped(rng, FIRST), mapped(rng, drift.WINDOW, dust=2.0)
    some = replace(first, maps=np.where(np.arange(FIRST)[:, None] < 100, np.nan, first.maps))
    assert drift.compare(np.empty(0), some, window, THRESHOLD).strongest == "place"
    assert "place" not in drift.compare(np.empty(0), line(rng, FIRST), window, THRESHOLD).p_values


def test_ties_raise_no_more_alarms():
    rng = np.random.default_rng(1)
    p_values = [drift.rank_test(*(rng.integers(0, 4, count) for count in (45, 50))) for _ in range(600)]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.07
    assert drift.rank_test(np.ones(45), np.ones(50)) == 1.0


def test_calibration_is_cut_where_the_verdict_cuts():
    """Photos called defective are missing from a window: it would look lower than all of calibration."""
    rng = np.random.default_rng(2)
    low = 0.0  # half of the photos are called defective
    p_values = [
        drift.compare(rng.normal(size=200), None, line(rng, 200), low).p_values["score"] for _ in range(200)
    ]
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.08)
    uncut = drift.rank_test(rng.normal(size=200), line(rng, 200).good(low).scores)
    assert uncut < 1e-6


@pytest.mark.parametrize("name", ["brightness", "sharpness"])
@pytest.mark.parametrize("by", [-1.2, 1.2])
def test_a_line_that_changes_either_way_is_seen_and_named(name, by):
    findings = windows(30, **{name: by})
    assert np.mean([finding.p_value <= drift.alarm_level(10_000) for finding in findings]) > 0.9
    assert all(finding.strongest == name for finding in findings)
    assert all(np.sign(finding.now - finding.before) == np.sign(by) for finding in findings)


def test_scores_are_compared_before_the_line_has_photos_of_its_own():
    rng = np.random.default_rng(3)
    found = drift.compare(rng.normal(size=45), None, line(rng, drift.WINDOW, scores=-1.5), THRESHOLD)
    assert list(found.p_values) == ["score"]
    assert found.p_value == pytest.approx(5 * found.p_values["score"])
    assert found.p_value <= drift.alarm_level(10_000)


def test_where_every_photo_is_called_defective_the_share_says_so():
    rng = np.random.default_rng(4)
    found = drift.compare(rng.normal(size=45), line(rng, FIRST), line(rng, drift.WINDOW, scores=9), THRESHOLD)
    assert list(found.p_values) == ["defective"]
    assert (found.strongest, found.now) == ("defective", 1.0)
    assert found.p_value < 1e-9


def test_without_calibration_scores_the_first_photos_stand_in():
    rng = np.random.default_rng(5)
    few, window = rng.normal(size=3), line(rng, drift.WINDOW)
    assert drift.compare(few, None, window, THRESHOLD) == drift.Finding({}, 1.0, "", 0.0, 0.0, None)
    assert "score" in drift.compare(few, line(rng, FIRST), window, THRESHOLD).p_values


def test_share_called_defective_is_fishers_exact_test():
    for before, now in ((3, 0), (3, 5), (10, 20), (0, 0)):
        table = [[now, 50 - now], [before, 200 - before]]
        expected = stats.fisher_exact(table, alternative="greater").pvalue
        assert drift.more_test(before, now, 200, 50) == pytest.approx(expected)


def test_photo_statistics_follow_light_and_focus():
    rng = np.random.default_rng(6)
    photo = rng.integers(60, 180, (32, 32, 3), dtype=np.uint8)
    brightness, sharpness = drift.photo_statistics(photo)
    assert brightness == pytest.approx(photo.mean() / 255)
    darker, _ = drift.photo_statistics((photo * 0.9).astype(np.uint8))
    assert darker < brightness
    smooth = np.repeat(np.repeat(photo[::2, ::2], 2, axis=0), 2, axis=1)
    assert drift.photo_statistics(smooth)[1] < sharpness
    assert drift.photo_statistics(np.full((8, 8, 3), 77, np.uint8)) == pytest.approx((77 / 255, 0.0))
