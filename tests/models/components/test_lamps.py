"""Lamps: a plane of light is divided out, a defect is not."""

import numpy as np
import pytest
import torch

from mlproject.models.components import lamps


@pytest.fixture
def image() -> torch.Tensor:
    """(1, 3, 64, 64): dark and grey stripes."""
    stripes = torch.where(torch.arange(64) % 16 < 8, 0.25, 0.6)
    return stripes.expand(1, 3, 64, 64).clone()


@pytest.mark.parametrize("lamp", lamps.LAMPS[:6])
def test_the_slope_and_the_brightness_of_a_lamp_are_taken_out(image, lamp):
    usual = lamps.Usual(lamps.luminance(image)[0])
    torch.testing.assert_close(usual.levelled(lamp(image)), image, rtol=0.004, atol=0)


@pytest.mark.parametrize("lamp", lamps.LAMPS[6:])
def test_another_contrast_is_taken_out(image, lamp):
    """Most of it: an offset is kept small, so that a defect does not move it."""
    usual = lamps.Usual(lamps.luminance(image)[0])
    torch.testing.assert_close(usual.levelled(lamp(image)), image, rtol=0.015, atol=0)


def test_a_clipped_background_is_as_flat_after_the_lamp_has_moved(image):
    """What the camera clips says nothing of the lamp, and is not darkened with the rest."""
    image[..., :, 40:] = 1.0
    usual = lamps.Usual(lamps.luminance(image)[0])
    for share in (-0.1, 0.1):
        levelled = usual.levelled(lamps.sloping(image, share, 0.0))
        torch.testing.assert_close(levelled, image, rtol=0.015, atol=0)
    before = lamps.Usual(usual.luminance, offset=False).levelled(lamps.sloping(image, 0.1, 0.0))
    assert (before - image).abs().max() > 0.05  # so it was in earlier releases


def test_what_a_brighter_lamp_clips_is_darkened_where_it_is_not_as_bright_usually(image):
    image[..., :, 40:] = 0.85
    usual = lamps.Usual(lamps.luminance(image)[0])
    levelled = usual.levelled(lamps.brighter(image, 1.2))
    torch.testing.assert_close(levelled, image, rtol=0.03, atol=0)


def test_an_even_photo_is_no_darker_for_its_offset():
    """Of one brightness alone, an offset and a factor cannot be told apart: the factor is taken."""
    usual = lamps.Usual(torch.full((32, 32), 0.5))
    levelled = usual.levelled(torch.full((1, 3, 64, 64), 0.6))
    torch.testing.assert_close(levelled, torch.full((1, 3, 64, 64), 0.5), rtol=0.01, atol=0)


def test_the_usual_light_is_the_same_when_it_was_saved():
    usual = lamps.Usual(torch.rand((32, 32), generator=torch.Generator().manual_seed(0)))
    again = lamps.Usual.from_arrays({"others": np.zeros(1), **usual.arrays()})
    assert again is not None and torch.equal(again.luminance, usual.luminance) and again.offset
    before = lamps.Usual.from_arrays({"usual_luminance": usual.luminance.numpy()})
    assert before is not None and not before.offset
    assert lamps.Usual.from_arrays({}) is None


def test_a_defect_changes_nothing_around_it(image):
    """It covers a sixteenth of the photo, and is no lamp."""
    usual, spoilt = lamps.Usual(lamps.luminance(image)[0]), image.clone()
    spoilt[..., 40:56, 8:24] = 0.95
    levelled = usual.levelled(lamps.sloping(spoilt, 0.1, -0.1))
    around = np.ones((64, 64), bool)
    around[40:56, 8:24] = False
    assert (levelled - image).abs().numpy()[..., around].max() < 0.01
    assert (levelled[..., 40:56, 8:24] > 0.9).all()


def test_a_photo_that_tells_nothing_of_its_lamp_stays_as_it_is():
    for level in (0.0, 1.0):
        photo = torch.full((1, 3, 64, 64), level)
        assert torch.equal(lamps.Usual(torch.full((32, 32), 0.5)).levelled(photo), photo)
