"""Local descriptors: blind to the lamp, aware of orientation, each cell's surroundings in their places."""

import math
from dataclasses import replace

import pytest
import torch

from mlproject.models.components import local_descriptors
from mlproject.models.components.descriptor_grid import Grid
from mlproject.models.components.local_descriptors import ORIENTATIONS, gradient_descriptors

RANDOM = torch.Generator().manual_seed(0)
IMAGES = torch.rand((2, 3, 64, 48), generator=RANDOM) * 0.6 + 0.1


def grid(
    cell: int, pooling: float, scales: tuple[float, ...] = (1.0, 2.0, 4.0), *, texture: bool = False
) -> Grid:
    return Grid(cell, pooling, rings=(), length=0, reach=0.0, scales=scales, texture=texture)


def stripes(degrees: float) -> torch.Tensor:
    """A (1, 3, 64, 64) wave whose brightness rises and falls along a direction, clockwise from the x axis."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    along = x * math.cos(math.radians(degrees)) + y * math.sin(math.radians(degrees))
    return (0.5 + 0.3 * torch.sin(along / 4)).expand(1, 3, -1, -1)


def test_one_descriptor_a_cell_of_the_grid():
    grids = [grid(4, 2.0, (0.6, 1.0)), grid(8, 3.0)]
    assert [found.shape for found in gradient_descriptors(IMAGES, grids)] == [(2, 16, 12, 20), (2, 8, 6, 29)]


def test_of_a_texture_an_eighth_of_the_contrast_is_a_step_further_off_than_a_half():
    """Gradients, and what varies, count by their logarithms: flat is far from rough."""
    rough = 0.5 + 0.2 * torch.sin(torch.arange(64.0) / 2).expand(1, 3, 64, 64)
    whole, half, eighth = (
        gradient_descriptors(0.5 + factor * (rough - 0.5), [grid(8, 4.0, (2.0,), texture=True)])[0]
        for factor in (1, 1 / 2, 1 / 8)
    )
    assert whole.shape == (1, 8, 8, 15)  # luminance, 8 orientations, 4 of what varies, 2 colours
    once, thrice = ((whole - less)[0, 2:6, 2:6].mean(dim=(0, 1)) for less in (half, eighth))
    rising, falling, varying = 1, 5, [9, 10, 11, 12]
    told = [rising, falling, *varying]
    assert once[told].tolist() == pytest.approx([math.log(2)] * 6, rel=0.1)
    assert thrice[told].tolist() == pytest.approx([math.log(8)] * 6, rel=0.25)
    assert abs(once[0]) < 1e-3 and abs(thrice[0]) < 1e-3  # the mean luminance stays


def test_bright_specks_in_a_texture_are_told_from_dark_ones():
    specks = torch.zeros(64, 64)
    specks[4::8, 4::8] = 0.3
    bright, dark = (
        gradient_descriptors(
            (0.5 + sign * specks).expand(1, 3, -1, -1), [grid(8, 4.0, (1.0,), texture=True)]
        )[0]
        for sign in (1, -1)
    )
    low, high = (found[0, 2:6, 2:6, 11:13].mean(dim=(0, 1)) for found in (dark, bright))
    assert high.tolist() == pytest.approx(low.flip(0).tolist(), abs=0.1)
    assert (bright - dark)[0, 2:6, 2:6, 9:11].abs().max() < 0.1  # they vary as much


def test_grids_with_scales_of_their_own_are_described_as_each_alone():
    grids = [grid(4, 2.0, (0.6, 2.0)), grid(8, 3.0, (1.0, 2.0))]
    for alone, found in zip(grids, gradient_descriptors(IMAGES, grids), strict=True):
        assert torch.equal(found, gradient_descriptors(IMAGES, [alone])[0])


def test_a_sloping_light_on_a_flat_surface_is_hardly_seen_and_a_faint_edge_is():
    """Roots magnify what is next to nothing: without `faint` the slope is a ninth of the edge."""
    flat = torch.full((1, 3, 64, 64), 0.5)
    sloping, edge = flat * torch.linspace(0.995, 1.005, 64), flat.clone()
    edge[..., 32:] += 0.05
    even, slope, seen = (
        gradient_descriptors(photo, [grid(4, 2.0, (1.0,))])[0][0, 8, 7, :ORIENTATIONS]
        for photo in (flat, sloping, edge)
    )
    assert (slope - even).norm() < 0.05 * (seen - even).norm()


def test_a_fine_scale_sees_lines_that_a_coarse_one_averages_out():
    """Dark and bright columns, each a pixel wide, on one half."""
    photo = torch.full((1, 3, 64, 64), 0.5)
    photo[..., 32::4] += 0.2
    photo[..., 34::4] -= 0.2
    grids = [replace(grid(4, 2.0, (scale,)), faint=1e-8) for scale in (0.6, 4.0)]
    fine, coarse = (
        found[0, 4, 12, :ORIENTATIONS].norm() / found[0, 4, 3, :ORIENTATIONS].norm().clamp_min(1e-3)
        for found in gradient_descriptors(photo, grids)
    )
    assert fine > 10 * coarse


@pytest.mark.parametrize("lamp", [0.5, 0.9, 1.1, 1.3])
def test_a_brighter_lamp_changes_nothing(lamp):
    found, expected = (gradient_descriptors(images, [grid(4, 2.0)])[0] for images in (IMAGES * lamp, IMAGES))
    assert (found - expected).abs().max() < 1e-3 * expected.abs().max()


@pytest.mark.parametrize("turn", range(0, 180, 45))
def test_the_strongest_orientation_is_that_of_the_gradient(turn):
    """Up and down a wave: of the four axes, each with its two directions, one is strongest."""
    middle = gradient_descriptors(stripes(turn), [grid(8, 4.0)])[0][0, 2:6, 2:6, :ORIENTATIONS].mean(
        dim=(0, 1)
    )
    axes = middle.reshape(2, ORIENTATIONS // 2).sum(dim=0)
    assert int(axes.argmax()) == turn // 45


def test_a_spot_changes_only_the_cells_near_it():
    spoilt = IMAGES.clone()
    spoilt[:, :, 30:34, 20:24] = 0.95
    changed, before = (gradient_descriptors(images, [grid(4, 2.0)])[0] for images in (spoilt, IMAGES))
    change = (changed - before).abs().sum(dim=3)
    assert (change[0].argmax() // 12 in (7, 8)) and (change[0].argmax() % 12 in (5, 6))
    assert change[0, 0].max() < 0.05 * change.max()  # only by the image's mean


def test_sampling_weights_sum_to_one_at_the_border_too():
    weights = local_descriptors.gaussian_sampling(16, 64, 3.0)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(16))
    assert weights.argmax(dim=1).tolist()[1:-1] == pytest.approx([4 * i + 1.5 for i in range(1, 15)], abs=0.5)


@pytest.mark.parametrize(("rows", "sigma"), [(512, 1.0), (128, 2.0), (64, 30.0)])
def test_samples_of_a_large_map_are_the_product_with_all_weights(rows, sigma):
    """Large maps are sampled in bands, for most of the weights are zeros."""
    maps = torch.rand((2, 512, 384), generator=RANDOM)
    down, across = (local_descriptors.gaussian_sampling(n, m, sigma) for n, m in ((rows, 512), (48, 384)))
    found = local_descriptors.sample(maps, rows, 48, sigma)
    torch.testing.assert_close(found, down @ maps @ across.T, rtol=1e-5, atol=1e-6)


def test_samples_without_smoothing_are_the_map_itself():
    maps = torch.rand((2, 6, 4), generator=RANDOM)
    assert torch.equal(local_descriptors.sample(maps, 6, 4, 0.0), maps)


@pytest.mark.parametrize("degrees", range(0, 360, 45))
def test_the_strongest_orientation_of_a_step_is_its_direction_at_every_scale(degrees):
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    step = torch.sigmoid((x - 31.5) * angle.cos() + (y - 31.5) * angle.sin()) / 2 + 0.25
    centre = gradient_descriptors(step.expand(1, 3, 64, 64), [grid(4, 2.0)])[0][0, 8, 8]
    starts = [scale * (ORIENTATIONS + 1) for scale in range(3)]
    assert [int(centre[start : start + ORIENTATIONS].argmax()) for start in starts] == [degrees // 45] * 3
