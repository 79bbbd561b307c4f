"""Noise: strength as asked, share as asked, same numbers for the same generator."""

import pytest
import torch
from pydantic import ValidationError

from mlproject.models.components import noise
from mlproject.models.components.noise import Noise

GREY = torch.full((64, 1, 32, 32), 0.5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", ["gaussian", "salt_and_pepper", "poisson"])
def test_variance_on_mid_grey_is_the_one_asked_for(kind):
    noisy = noise.KINDS[kind](GREY, 0.01, generator())
    assert float((noisy - GREY).var()) == pytest.approx(0.01, rel=0.05)
    assert float(noisy.mean()) == pytest.approx(0.5, abs=0.005)


def test_speckle_scales_with_the_value():
    noisy = noise.speckle(GREY, 0.01, generator())
    assert float((noisy - GREY).std()) == pytest.approx(0.5 * 0.1, rel=0.05)
    assert torch.equal(noise.speckle(torch.zeros_like(GREY), 0.01, generator()), torch.zeros_like(GREY))


@pytest.mark.parametrize("kind", noise.KINDS)
def test_every_kind_is_repeatable_changes_something_and_keeps_the_shape(kind):
    images = torch.rand((8, 3, 48, 40), generator=generator(7))
    settings = Noise(kind=kind, variance=0.01, share=1, target="clean")
    first, target = noise.inject(images, settings, generator(3))
    again, _ = noise.inject(images, settings, generator(3))
    assert torch.equal(first, again)
    assert first.shape == images.shape
    assert not torch.equal(first, images)
    assert float(first.min()) >= 0 and float(first.max()) <= 1
    assert torch.equal(target, images)


@pytest.mark.parametrize("kind", ["stains", "patches"])
def test_structured_noise_leaves_most_of_the_image_alone(kind):
    images = torch.rand((32, 1, 64, 64), generator=generator(1))
    changed = (
        noise.KINDS[kind](images, 0.0001 if kind == "patches" else 0.05, generator()) - images
    ).abs() > 1e-6
    shares = changed.float().mean(dim=(1, 2, 3))
    assert float(shares.min()) > 0.003
    assert float(shares.max()) < 0.35


def test_share_of_images_is_corrupted_and_the_others_are_untouched():
    images = GREY.repeat(8, 1, 1, 1)
    noisy, _ = noise.inject(
        images, Noise(kind="gaussian", variance=0.01, share=0.1, target="clean"), generator()
    )
    hit = (noisy != images).flatten(1).any(dim=1)
    assert 0.05 < float(hit.float().mean()) < 0.16


def test_the_papers_way_has_the_noisy_image_as_input_and_target():
    noisy, target = noise.inject(
        GREY, Noise(kind="gaussian", variance=0.01, share=1, target="noisy"), generator()
    )
    assert torch.equal(noisy, target)
    assert not torch.equal(target, GREY)


def test_unknown_kind_lists_the_known_ones():
    with pytest.raises(ValidationError, match="gaussian"):
        Noise(kind="gausian", variance=0.01, share=1, target="clean")


def test_noise_that_is_drawn_once_corrupts_exactly_the_share_and_no_other_image():
    images = torch.randint(60, 200, (40, 1, 16, 16), dtype=torch.uint8, generator=generator())
    settings = Noise(kind="gaussian", variance=0.001, share=0.1, redraw=False, target="clean")
    noisy = noise.corrupt_once(images, settings, generator(1))
    hit = (noisy != images).flatten(1).any(dim=1)
    assert int(hit.sum()) == 4
    change = (noisy[hit].double() - images[hit].double()) / 255
    assert float(change.var()) == pytest.approx(0.001, rel=0.15)
    assert torch.equal(noisy, noise.corrupt_once(images, settings, generator(1)))
