"""Alterations of a texture's photos: each changes what its name says, and nothing depends on chance."""

import pytest
import torch

from mlproject.models.components import alterations

IMAGES = torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2


@pytest.mark.parametrize("rows", [64, 24])  # 24: of an aligned part that is long
@pytest.mark.parametrize("number", range(len(alterations.ALTERATIONS)))
def test_an_alteration_changes_photos_in_the_same_way_each_time(number, rows):
    change, images = alterations.ALTERATIONS[number], IMAGES[:, :, :rows]
    found = change(images)
    assert found.shape == images.shape
    assert found.min() >= 0 and found.max() <= 1
    assert (found - images).abs().mean() > 0.005
    assert torch.equal(found, change(images))


def test_contrast_is_about_the_surroundings():
    weaker = alterations.contrasted(IMAGES, 0.5)
    assert weaker.std() < 0.6 * IMAGES.std()
    assert weaker.mean() == pytest.approx(float(IMAGES.mean()), abs=0.005)


def test_spots_of_one_channel_have_no_colour_and_those_of_three_have():
    grey = torch.full((1, 3, 64, 64), 0.5)
    plain, coloured = (alterations.spotted(grey, 0.1, channels) for channels in (1, 3))
    assert torch.equal(plain[:, 0], plain[:, 2])
    assert (coloured[:, 0] - coloured[:, 2]).abs().max() > 0.05


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_resized_texture_has_waves_of_another_length(factor):
    wave = 0.5 + 0.2 * torch.cos(torch.arange(64) * (2 * torch.pi / 8)).expand(1, 3, 64, -1)
    middle = alterations.resized(wave, factor)[0, 0, 32, 16:48] - 0.5  # the border is mirrored
    assert int(torch.fft.rfft(middle).abs().argmax()) == round(4 / factor)


def test_dark_lines_darken_and_light_ones_brighten_the_same_places():
    dark, light = (alterations.lined(IMAGES, sign, 2.0) - IMAGES for sign in (-1, 1))
    assert dark.max() <= 0 <= light.min()
    torch.testing.assert_close(dark, -light)
    assert 0.02 < (light > 0).float().mean() < 0.8
