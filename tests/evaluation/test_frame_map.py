"""Frame map: what stays at one place of the frame is found, what moves with the parts is not."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from mlproject.evaluation import frame_map

SIDE = 64
Y, X = np.mgrid[:SIDE, :SIDE]
SPECK = np.exp(-((X - 48) ** 2 + (Y - 16) ** 2) / (2 * 4.0**2))  # at x 0.75, y 0.25


def photos(count: int, seed: int, change: Callable[[np.ndarray], np.ndarray] = lambda p: p) -> np.ndarray:
    """Return maps of photos of a bright part that lies elsewhere each time, in light that varies."""
    rng = np.random.default_rng(seed)
    maps = []
    for _ in range(count):
        down, right = rng.integers(0, SIDE // 2, 2)
        photo = 90 + rng.normal(0, 3, (SIDE, SIDE))
        photo[down : down + SIDE // 2, right : right + SIDE // 2] += 60
        photo = change(photo * rng.uniform(0.8, 1.2))
        pixels = np.repeat(photo[..., None], 3, axis=2).round().clip(0, 255).astype(np.uint8)
        maps.append(frame_map.frame_map(pixels))
    return np.stack(maps)


def blurred_at_speck(photo: np.ndarray) -> np.ndarray:
    return photo + SPECK * (ndimage.gaussian_filter(photo, 1.0) - photo)


@pytest.mark.parametrize("factor", [0.94, 1.06])
def test_a_speck_that_stays_is_found_at_its_place(factor):
    found = frame_map.compare(photos(200, 0), photos(50, 1, lambda p: p * (1 + (factor - 1) * SPECK)))
    assert found.p_value < 1e-6
    assert found.aspect == "light"
    assert (found.x, found.y) == pytest.approx((0.75, 0.25), abs=0.1)
    assert np.sign(found.now - found.before) == np.sign(factor - 1)


def test_a_smear_that_stays_has_less_detail():
    found = frame_map.compare(photos(200, 0), photos(50, 1, blurred_at_speck))
    assert found.p_value < 1e-6
    assert found.aspect == "detail"
    assert (found.x, found.y) == pytest.approx((0.75, 0.25), abs=0.1)
    assert found.now < found.before


def test_a_shade_over_the_whole_frame_is_found():
    shade = 1 + 0.5 * (X / SIDE - 0.5)
    assert frame_map.compare(photos(200, 0), photos(50, 1, lambda p: p * shade)).p_value < 1e-3


def test_parts_that_move_and_light_that_varies_alarm_no_more_often_than_stated():
    maps = photos(400, 2)
    rng = np.random.default_rng(3)
    p_values = []
    for _ in range(100):
        rows = rng.permutation(400)[:75]
        p_values.append(frame_map.compare(maps[rows[:50]], maps[rows[50:]]).p_value)
    for level in (0.2, 0.05):
        assert np.mean(np.array(p_values) <= level) <= level + 2 * np.sqrt(level * (1 - level) / 100)


def test_a_brighter_photo_has_the_same_map():
    photo = np.random.default_rng(4).integers(20, 100, (SIDE, SIDE, 3), dtype=np.uint8)
    assert frame_map.frame_map(photo * 2) == pytest.approx(frame_map.frame_map(photo), abs=2e-3)


def test_a_map_says_how_far_each_cell_is_from_the_mean():
    photo = np.full((SIDE, SIDE, 3), 100, np.uint8)
    photo[:, SIDE // 2 :] = 200
    light = frame_map.frame_map(photo)[: frame_map.SIDE**2].reshape(frame_map.SIDE, -1)
    assert light[:, 0] == pytest.approx(-1 / 3, abs=1e-3)
    assert light[:, -1] == pytest.approx(1 / 3, abs=1e-3)


@pytest.mark.parametrize("side", [16, 50, 333])
def test_photos_of_any_size_have_a_map(side):
    photo = np.random.default_rng(5).integers(0, 256, (side, side, 3), dtype=np.uint8)
    found = frame_map.frame_map(photo)
    assert found.shape == (frame_map.VALUES,)
    assert np.isfinite(found).all()


def test_photos_without_light_differ_nowhere():
    black = np.stack([frame_map.frame_map(np.zeros((SIDE, SIDE, 3), np.uint8))] * 20)
    assert frame_map.compare(black, black).p_value == 1.0
