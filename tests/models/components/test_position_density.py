"""Distances at each position are those of brute force; no image is its own witness."""

import numpy as np
import pytest
import torch

from mlproject.models.components import density_fit, left_out, whitening
from mlproject.models.components.local_descriptors import sample
from mlproject.models.components.position_density import PositionDensity, disc
from mlproject.models.components.thinning import farthest

ROWS, COLUMNS, IMAGES, LENGTH = 5, 4, 6, 3
RANDOM = torch.Generator().manual_seed(0)
OFFSET = torch.randn((ROWS * COLUMNS, LENGTH), generator=RANDOM)
STEP = torch.rand((ROWS * COLUMNS, LENGTH), generator=RANDOM) / 50
KERNELS = torch.randint(-127, 128, (ROWS * COLUMNS, LENGTH, IMAGES), generator=RANDOM, dtype=torch.int8)
BANK = (OFFSET[..., None] + STEP[..., None] * KERNELS).double().reshape(ROWS, COLUMNS, LENGTH, IMAGES)
VALUES = torch.randn((2, ROWS, COLUMNS, LENGTH), generator=RANDOM)


def density(reach=1.5, border=0, offset=OFFSET):
    one, grid = torch.tensor(1.0), torch.ones(ROWS, COLUMNS)
    return PositionDensity(
        torch.eye(LENGTH), offset, STEP, KERNELS, 0 * grid, grid, one, reach, smoothing=0.01, border=border
    )


def maps_of(density, descriptors):
    return density.standardise(density.distances(descriptors @ density.projection))


def brute_force(values, reach, left_out, bank=BANK):
    """Return (ROWS, COLUMNS) distances, one place after another."""
    nearest = torch.full((ROWS, COLUMNS), torch.inf, dtype=torch.float64)
    for row, column in np.ndindex(ROWS, COLUMNS):
        for down, right in disc(reach):
            if 0 <= row + down < ROWS and 0 <= column + right < COLUMNS:
                kept = [image for image in range(IMAGES) if not left_out[row + down, column + right, image]]
                vectors = bank[row + down, column + right][:, kept].T
                away = (vectors - values[row, column].double()).norm(dim=1).amin()
                nearest[row, column] = torch.minimum(nearest[row, column], away)
    return nearest


@pytest.mark.parametrize("reach", [0, 1, 1.5, 2.0])
def test_distances_are_those_of_brute_force(reach):
    none = torch.zeros(ROWS, COLUMNS, IMAGES, dtype=torch.bool)
    for one, values in zip(density(reach).distances(VALUES), VALUES, strict=True):
        torch.testing.assert_close(one.double(), brute_force(values, reach, none), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("reach", [0, 1.5])
def test_distances_from_others_are_those_of_brute_force_where_own_kernels_are_gone_or_others(reach):
    random = torch.Generator().manual_seed(2)
    own = torch.randint(-1, IMAGES, (2, ROWS * COLUMNS), generator=random)
    instead = torch.randn((2, ROWS * COLUMNS, LENGTH), generator=random)
    found = (density(reach).distances_from_others(VALUES, own, vectors) for vectors in (None, instead))
    for image, (gone, replaced) in enumerate(zip(*found, strict=True)):
        left_out = own[image, :, None] == torch.arange(IMAGES)
        bank = BANK.clone()
        exact = brute_force(VALUES[image], reach, left_out.unflatten(0, (ROWS, COLUMNS)))
        torch.testing.assert_close(gone.double(), exact, rtol=1e-4, atol=1e-4)
        for cell, number in enumerate(own[image].tolist()):
            if number >= 0:
                bank[cell // COLUMNS, cell % COLUMNS, :, number] = instead[image, cell]
        exact = brute_force(VALUES[image], reach, torch.zeros(ROWS, COLUMNS, IMAGES, dtype=torch.bool), bank)
        torch.testing.assert_close(replaced.double(), exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("length", "reach"), [(29, 1.5), (96, 2.0)])
@pytest.mark.parametrize("kernels", [96, 100])
def test_distances_of_an_image_are_the_same_bits_whatever_comes_with_it(length, reach, kernels):
    """As patch_kde's two grids have them: rows of one product are added up alike, however many there are."""
    random = torch.Generator().manual_seed(5)
    shape, grid = (64, length, kernels), torch.ones(8, 8)
    whole = torch.randint(-127, 128, shape, generator=random, dtype=torch.int8)
    offset, step = torch.randn(shape[:2], generator=random), torch.rand(shape[:2], generator=random) / 50
    density = PositionDensity(
        torch.eye(length), offset, step, whole, grid, grid, torch.tensor(1.0), reach, smoothing=1.0, border=0
    )
    values = torch.randn((8, 8, 8, length), generator=random)
    alone = torch.cat([density.distances(value[None]) for value in values])
    for count in range(2, 9):
        assert torch.equal(density.distances(values[:count]), alone[:count])


def test_distances_of_long_vectors_that_differ_little_are_exact():
    """Whitened values are hundreds long; the difference of their squares once lost three digits."""
    far = density(offset=OFFSET + 300.0).distances(VALUES + 300.0)
    torch.testing.assert_close(far, density().distances(VALUES), rtol=1e-4, atol=1e-4)


def test_a_disc_of_two_cells_leaves_the_corners_out():
    assert len(disc(1.5)) == 9
    assert len(disc(2.0)) == 13
    assert (2, 1) not in disc(2.0)


def fit(descriptors, relit=None):
    relit = torch.zeros(1, *descriptors.shape[1:]) if relit is None else relit
    settings = {"length": 4, "shrinkage": 0.01, "reach": 1.5, "smoothing": 0.5, "border": 0, "pooled": False}
    return density_fit.fit(descriptors.split(1), lambda x: x, [relit], **settings)


def fitted(shift=0.0):
    descriptors = torch.randn((24, 6, 6, 4), generator=torch.Generator().manual_seed(1))
    descriptors[:, 0, 0] *= 5  # a place where good images differ
    return descriptors, *fit(descriptors + shift)


@pytest.mark.parametrize("kernels", [10, 100])
def test_no_image_is_its_own_witness(kernels, monkeypatch):
    """An odd image, kept among the kernels for being odd, stands out when it is left out."""
    monkeypatch.setattr(density_fit, "KERNELS", kernels)
    descriptors = torch.randn((24, 6, 6, 4), generator=torch.Generator().manual_seed(1))
    descriptors[5, 2, 2] = 6.0
    _, heights = fit(descriptors)
    assert int(heights.argmax()) == 5


def test_a_left_out_image_is_scored_by_what_the_others_give():
    """Mean, spread and peak are those of the others: with them the odd image would look less odd."""
    _, density, scores = fitted()
    assert scores.shape == (24,)
    distances = torch.randn((24, 6, 6), generator=torch.Generator().manual_seed(2)).abs() + 3
    distances[5, 2, 2] = 9.0
    usual = density.changed(mean=distances.mean(dim=0))
    peaks = usual.heights(usual.standardise(distances))
    found = left_out.scores_by_others(usual, distances, peaks)
    others = torch.arange(24) != 5
    mean = distances[others].mean(dim=0)
    moment = sample((distances[others] - mean).pow(4).mean(dim=0), 6, 6, left_out.NEIGHBOURHOOD)
    spread = moment.pow(0.25) + left_out.FLOOR * moment.pow(0.25).mean()
    alone = density.changed(mean=mean, spread=spread, peak=peaks[others].mean())
    expected = alone.heights(alone.standardise(distances[5:6]))
    assert float(found[5]) == pytest.approx(float(expected), rel=1e-4)
    with_itself = density.changed(mean=usual.mean, spread=spread, peak=peaks.mean())
    assert found[5] > with_itself.heights(with_itself.standardise(distances[5:6]))


def test_an_odd_descriptor_is_higher_where_good_images_vary_less():
    descriptors, density, _ = fitted()
    odd = descriptors[:1].clone()
    odd[0, 0, 0], odd[0, 4, 4] = 8.0, 8.0  # the same, where good images vary and where they do not
    maps = maps_of(density, odd)[0]
    assert maps[4, 4] == maps.max()
    assert maps[4, 4] > 2 * maps[0, 0]


def test_what_the_whole_image_has_in_common_is_no_peak():
    peak = torch.zeros(1, 40, 40)
    peak[0, 20:23, 20:23] = 5.0
    both = torch.cat([peak, peak + 3.0])
    assert density().heights(both).tolist() == [5.0, 5.0]


def test_the_border_is_left_out_of_heights_where_there_is_enough_else():
    maps = torch.zeros(1, 40, 40)
    maps[0, 0] = 5.0
    assert density(border=1).heights(maps).tolist() == [0.0]
    assert density(border=0).heights(maps).tolist() == [5.0]
    assert density(border=1).heights(maps[:, :4]).tolist() == [5.0]  # it would be half of the cells


def test_kernels_that_cover_all_are_kept():
    near = torch.randn((1, 30, 2), generator=torch.Generator().manual_seed(3)) * 0.01
    values = torch.cat([near, torch.tensor([[[9.0, 0.0], [0.0, 9.0], [-9.0, -9.0]]])], dim=1)
    kept, _ = farthest(values, 4)
    assert set(kept[0, 1:].tolist()) == {30, 31, 32}


def test_of_equal_vectors_none_is_kept_twice():
    values = torch.zeros(1, 30, 2)
    values[0, 0] = 9.0
    kept, _ = farthest(values, 10)
    assert len(set(kept[0].tolist())) == 10
    assert 0 in kept[0]


def test_who_stands_in_is_who_would_have_been_kept():
    """Three groups far from one another, each with one kept: without it, another of the group is kept."""
    groups = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]]).repeat_interleave(10, dim=0)
    values = (groups + torch.randn((30, 2), generator=torch.Generator().manual_seed(4)))[None]
    kept, instead = farthest(values, 3)
    assert (instead // 10 == kept // 10).all()
    assert (instead != kept).all()


def test_left_out_distances_are_those_from_a_bank_that_never_had_the_image(monkeypatch):
    """Left out alone, an image leaves a gap; with its stand-in there is none."""
    monkeypatch.setattr(density_fit, "KERNELS", 12)
    descriptors = torch.randn((40, 6, 6, 4), generator=torch.Generator().manual_seed(6))
    monkeypatch.setattr(density_fit, "whitening", lambda *_: torch.eye(4))
    measured = []
    monkeypatch.setattr(left_out, "standardised", lambda density, found: (measured.append(found), density))
    fit(descriptors)
    exact = []
    for image in range(40):
        others = torch.cat([descriptors[:image], descriptors[image + 1 :]])
        exact.append(fit(others)[1].distances(descriptors[image : image + 1]))
    ratio = measured[0].mean() / torch.cat(exact).mean()
    assert float(ratio) == pytest.approx(1, abs=0.01)  # without the stand-in: 1.024


def test_what_another_lamp_changes_counts_little():
    descriptors = torch.randn((24, 6, 6, 4), generator=torch.Generator().manual_seed(1))
    change = torch.zeros(1, 6, 6, 4)
    change[..., 0] = 8.0
    relit, plain = descriptors[:3] + change, (fit(descriptors)[0], fit(descriptors, change)[0])
    before, after = (density.distances(relit @ density.projection).mean() for density in plain)
    assert after < before / 3


def test_no_more_kernels_than_asked_for(monkeypatch):
    monkeypatch.setattr(density_fit, "KERNELS", 10)
    descriptors, thinned, _ = fitted()
    assert thinned.bank.shape == (36, 5, 10)
    monkeypatch.undo()
    _, whole, _ = fitted()
    assert whole.bank.shape == (36, 5, 24)
    raw = [d.distances(descriptors[:1] @ d.projection).mean() for d in (thinned, whole)]
    assert raw[0] > raw[1]


def test_eight_bits_keep_the_values():
    descriptors, density, _ = fitted(shift=100.0)
    values = (descriptors + 100.0) @ density.projection
    found = density.offset[..., None] + density.step[..., None] * density.kernels
    error = found.permute(2, 0, 1) - values.flatten(1, 2)
    assert (error.abs() <= density.step / 2 + 1e-4).all()
    assert (density.step < 0.05 * values.flatten(1, 2).std(dim=0)).all()


def test_more_than_whitening_the_projection_keeps_what_tells_places_apart():
    random = np.random.default_rng(0)
    places = np.zeros((1, 8, 8, 5))
    places[..., 2] = random.normal(0, 10, (8, 8))
    batch = torch.from_numpy(places + random.normal(0, [3, 1, 1, 1, 1], (40, 8, 8, 5))).float()
    within, total, count = whitening.scatter(batch.split(7))
    assert count == 40 * 64
    np.testing.assert_allclose(within.diag(), [9, 1, 1, 1, 1], rtol=0.1)
    projection = whitening.whitening(within, total, 1)
    assert int(projection[:, 0].abs().argmax()) == 2
    assert float((batch @ projection).var(dim=0).mean()) == pytest.approx(1, rel=0.1)


def test_arrays_and_back():
    descriptors, density, _ = fitted()
    again = density_fit.from_arrays(density_fit.arrays(density))
    assert torch.equal(maps_of(again, descriptors[:2]), maps_of(density, descriptors[:2]))


def test_a_peak_of_one_cell_counts_as_much_as_a_wide_one():
    """A defect of a few pixels fills one cell of 4."""
    narrow, wide = torch.zeros(1, 64, 64), torch.zeros(1, 64, 64)
    narrow[0, 20, 20] = 5.0
    wide[0, 20:30, 20:30] = 5.0
    assert density().heights(torch.cat([narrow, wide])).tolist() == [5.0, 5.0]
