"""The density at each position is that of single kernels in float64; no image is its own witness."""

import math

import numpy as np
import pytest
import torch

from mlproject.models.components import position_density
from mlproject.models.components.position_density import extended, window_energy

ROWS, COLUMNS, IMAGES, LENGTH = 5, 4, 6, 3
RANDOM = torch.Generator().manual_seed(0)
BANK = torch.randn((ROWS * COLUMNS, IMAGES, LENGTH), generator=RANDOM)
VALUES = torch.randn((2, ROWS, COLUMNS, LENGTH), generator=RANDOM)


def brute_force(values, radius, h, without=None):
    """As `window_energy`, of (rows, columns, d), with one sum over kernels at a time."""
    bank = BANK.double().reshape(ROWS, COLUMNS, IMAGES, LENGTH)
    kept = [image for image in range(IMAGES) if image != without]
    energy = torch.zeros(ROWS, COLUMNS, dtype=torch.float64)
    for row in range(ROWS):
        for column in range(COLUMNS):
            near = bank[
                max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1
            ][:, :, kept].reshape(-1, LENGTH)
            squares = (near - values[row, column].double()).square().sum(dim=1)
            count = len(kept) * (2 * radius + 1) ** 2
            log_mean = torch.logsumexp(-squares / (2 * h * h), dim=0) - math.log(count)
            energy[row, column] = (-2 * h * h * log_mean).sqrt()
    return energy


@pytest.mark.parametrize("without", [None, 0, 5])
@pytest.mark.parametrize("h", [0.05, 0.7, 2.0])
@pytest.mark.parametrize("radius", [0, 1, 2])
def test_the_energy_is_that_of_brute_force(radius, h, without, monkeypatch):
    monkeypatch.setattr(position_density, "BLOCK", 7)  # cells are taken in several blocks
    found = window_energy(extended(BANK), VALUES, radius, h, without)
    for one, values in zip(found, VALUES, strict=True):
        torch.testing.assert_close(
            one.double(), brute_force(values, radius, h, without), rtol=1e-4, atol=1e-4
        )


def test_with_a_narrow_kernel_it_is_the_distance_to_the_nearest():
    h = 1e-3
    found = window_energy(extended(BANK), VALUES[:1], 0, h)
    expected = torch.cdist(VALUES[0].reshape(-1, 1, LENGTH), BANK)[:, 0].amin(dim=1)
    torch.testing.assert_close(found.flatten(), expected, rtol=1e-3, atol=1e-3)


def fitted(n=24, shift=0.0):
    descriptors = torch.randn((n, 6, 6, 4), generator=torch.Generator().manual_seed(1))
    descriptors[:, 0, 0] *= 5  # a place where good images differ
    return descriptors, *position_density.fit(
        descriptors + shift, lambda x: x, 4, 0.01, 0.5, lambda f, n: [f(i) for i in range(n)]
    )


def test_an_image_left_out_scores_as_if_it_had_never_been_there():
    _, density, _ = fitted()
    with torch.no_grad():
        out = density.left_out(3)
        rest = [image for image in range(24) if image != 3]
        bank = density.bank[:, rest]
        values = density.bank[:, 3].reshape(1, 6, 6, -1)
        expected = window_energy(extended(bank), values, density.radius, float(density.bandwidth))
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


def test_left_out_maps_are_standardised_and_peak_at_one():
    _, _, maps = fitted()
    assert float(maps.flatten(1).amax(dim=1).mean()) == pytest.approx(1, abs=1e-5)
    assert abs(float(maps.mean())) < 0.05


def test_an_odd_descriptor_scores_higher_where_good_images_vary_less():
    descriptors, density, _ = fitted()
    odd = descriptors[:1].clone()
    odd[0, 0, 0], odd[0, 4, 4] = 8.0, 8.0  # the same, where good images vary and where they do not
    maps = density.maps(odd)[0]
    assert maps[4, 4] == maps.max()
    assert maps[4, 4] > 2 * maps[0, 0]


def test_eight_bits_keep_the_values():
    descriptors, density, _ = fitted(shift=100.0)
    values = (descriptors + 100.0) @ density.projection
    error = density.bank - values.flatten(1, 2).transpose(0, 1)
    assert (error.abs() <= density.step[:, None] / 2 + 1e-4).all()
    assert (density.step < 0.05 * values.flatten(1, 2).std(dim=0)).all()


def test_more_than_whitening_the_projection_keeps_what_tells_places_apart():
    random = np.random.default_rng(0)
    places = np.zeros((1, 8, 8, 5))
    places[..., 2] = random.normal(0, 10, (8, 8))
    batch = torch.from_numpy(places + random.normal(0, [3, 1, 1, 1, 1], (40, 8, 8, 5))).float()
    within, total, count = position_density.scatter(batch.split(7))
    assert count == 40 * 64
    np.testing.assert_allclose(within.diag(), [9, 1, 1, 1, 1], rtol=0.1)
    projection = position_density.whitening(within, total, 1, 0.001)
    assert int(projection[:, 0].abs().argmax()) == 2
    assert float((batch @ projection).var(dim=0).mean()) == pytest.approx(1, rel=0.1)


def test_arrays_and_back():
    descriptors, density, _ = fitted()
    again = position_density.from_arrays(position_density.arrays(density))
    assert torch.equal(again.maps(descriptors[:2]), density.maps(descriptors[:2]))
