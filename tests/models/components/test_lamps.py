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
def test_the_slope_and_the_brightness_of_a_lamp_are_divided_out(image, lamp):
    usual = lamps.luminance(image)[0]
    torch.testing.assert_close(lamps.levelled(lamp(image), usual), image, rtol=0.004, atol=0)


def test_a_defect_changes_nothing_around_it(image):
    """It covers a sixteenth of the photo, and is no lamp."""
    usual, spoilt = lamps.luminance(image)[0], image.clone()
    spoilt[..., 40:56, 8:24] = 0.95
    levelled = lamps.levelled(lamps.sloping(spoilt, 0.1, -0.1), usual)
    around = np.ones((64, 64), bool)
    around[40:56, 8:24] = False
    assert (levelled - image).abs().numpy()[..., around].max() < 0.01
    assert (levelled[..., 40:56, 8:24] > 0.9).all()


def test_a_photo_that_tells_nothing_of_its_lamp_stays_as_it_is():
    for level in (0.0, 1.0):
        photo = torch.full((1, 3, 64, 64), level)
        assert torch.equal(lamps.levelled(photo, torch.full((32, 32), 0.5)), photo)
