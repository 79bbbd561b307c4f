"""A part is found in any position and any lamp, turned back, and its map laid over the photo again."""

import math

import numpy as np
import pytest
import torch
from support.parts import SIZE, photo, positions

from mlproject.models.components import alignment
from mlproject.models.components.alignment import Pose
from mlproject.models.components.part_pose import all_lone, extent, find_part, moments


@pytest.fixture(scope="module")
def fitted():
    parts = [find_part(photo(*place)) for place in positions()]
    return parts, alignment.fit(parts, SIZE, 64, 8)


@pytest.mark.parametrize("place", [(64, 64, 0), (50, 70, 30), (70, 60, 100), (60, 60, -45)])
def test_moments_give_centre_and_axis(place):
    x, y, angle, ratio = moments(find_part(photo(*place)).mask)
    along, across = (value * SIZE - place[i] for i, value in enumerate((x, y)))
    assert math.hypot(along, across) < 6  # the thick end pulls it
    turned = (math.degrees(angle) - place[2] + 90) % 180 - 90
    assert abs(turned) < 1.5
    assert ratio > 2


def test_the_box_is_as_long_and_wide_as_the_part():
    *_, half_length, half_width = extent(find_part(photo(60, 66, 40)).mask, math.radians(40))
    assert half_length * 2 * SIZE == pytest.approx(60, abs=5)
    assert half_width * 2 * SIZE == pytest.approx(26, abs=5)


def test_a_sloping_lamp_is_divided_out(fitted):
    _, found = fitted
    image = photo(64, 64, 20, slope=0.3)
    table = found.levelled(image, find_part(image))[:, :20].mean(dim=0)
    assert (table / 0.7 - 1).abs().max() < 0.02


def test_a_bright_part_on_a_dark_table_keeps_its_grain():
    """Divided by a background of a few per cent, all of the part was white."""
    grain = 0.05 * torch.rand((SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    images = [(1 - photo(*place) - 0.26 + grain).clamp(0, 1) for place in positions()]
    found = alignment.fit([find_part(image) for image in images], SIZE, 64, 8)
    assert found is not None
    crop, _ = found.crop(images[0])
    assert float(crop.max()) < 0.8
    part = crop[:, (crop[0] > 0.35) & (crop[0] < 0.5)]
    assert float(part.std()) > 0.005


def test_a_part_that_reaches_over_the_border_is_not_alone():
    """A zipper or a cable, say: a crop would leave out what lies on either side."""
    bands = []
    for x in np.linspace(50, 78, 12):
        image = torch.full((3, SIZE, SIZE), 0.7)
        image[:, :, int(x) - 8 : int(x) + 8] = 0.3
        bands.append(find_part(image))
    assert not all_lone([band.mask for band in bands])
    assert alignment.fit(bands, SIZE, 64, 8) is None


def star(x, y, degrees):
    """A disc with four arms, one of them with a notch: moments tell nothing of how it is turned."""
    rows, columns = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    radius = torch.hypot(columns - x, rows - y)
    angle = torch.atan2(rows - y, columns - x) - math.radians(degrees)
    notch = ((angle.sin() ** 2 < 0.01) & (angle.cos() > 0) & (radius > 15)).float()
    part = (radius < 22 + 12 * (4 * angle).cos().clamp_min(0)) & (notch == 0)
    return torch.where(part, 0.4, 0.15).expand(3, -1, -1).clone()


def test_a_part_without_an_axis_is_turned_back_too():
    found = alignment.fit([find_part(star(*place)) for place in positions(12)], SIZE, 64, 8)
    assert found is not None and not found.elongated
    reference = found.pose(find_part(star(64, 64, 0)))
    for place in positions(6, seed=5):
        pose = found.pose(find_part(star(*place)))
        turned = math.degrees(pose.angle - reference.angle) - place[2]
        assert abs((turned + 180) % 360 - 180) < 1.5


def test_nothing_on_the_table_is_no_part():
    assert not find_part(torch.full((3, SIZE, SIZE), 0.5)).mask.any()


@pytest.mark.parametrize("place", positions(6, seed=5))
def test_a_part_in_any_position_is_turned_back(fitted, place):
    """Position to a pixel or so, angle to a degree; direction too, which moments alone cannot tell."""
    _, found = fitted
    reference = found.pose(find_part(photo(64, 64, 0)))
    pose = found.pose(find_part(photo(*place, slope=0.1, lamp=1.1)))
    turned = math.degrees(pose.angle - reference.angle) - place[2]
    assert abs((turned + 180) % 360 - 180) < 1.5
    offset = (reference.x - 0.5, reference.y - 0.5)
    cosine, sine = math.cos(math.radians(place[2])), math.sin(math.radians(place[2]))
    expected = (
        place[0] / SIZE + offset[0] * cosine - offset[1] * sine,
        place[1] / SIZE + offset[0] * sine + offset[1] * cosine,
    )
    assert math.hypot(pose.x - expected[0], pose.y - expected[1]) * SIZE < 1.5


def test_crops_of_one_part_are_alike(fitted):
    _, found = fitted
    crops = torch.stack([found.crop(photo(*place))[0] for place in positions(8, seed=2)])
    assert float(crops.std(dim=0).mean()) < 0.25 * float(crops.mean(dim=(0, 1)).std())


def test_a_map_of_the_crop_lies_over_the_spot_in_the_photo(fitted):
    _, found = fitted
    place = positions(3, seed=9)[2]
    whole, spotted = photo(*place, mark=False), photo(*place)
    pose = found.pose(find_part(whole))
    before, after = (
        found.sample(found.levelled(image, find_part(image)), [pose], found.rows, found.columns)[0]
        for image in (whole, spotted)
    )
    laid = found.to_photo((after - before).abs().sum(dim=0), pose, SIZE)
    truth = (whole - spotted).abs().sum(dim=0) > 0.1
    assert float(laid[truth].mean()) > 10 * float(laid[~truth].mean())


def test_parts_that_vary_in_position_are_aligned_and_fixed_ones_are_left(fitted):
    parts, found = fitted
    assert alignment.varies(parts)
    assert alignment.helps(parts, found)
    fixed = [find_part(photo(64 + dx, 64, dx)) for dx in np.linspace(-1, 1, 9)]
    assert not alignment.varies(fixed)


def test_a_fixed_part_on_a_grained_table_is_left():
    """A crop has less of the grain than the photo; aligning has no part in that."""
    random = torch.Generator().manual_seed(0)
    images = [photo(64, 64, 20) + 0.03 * torch.randn((3, SIZE, SIZE), generator=random) for _ in range(9)]
    parts = [find_part(image) for image in images]
    assert alignment.varies(parts)
    assert not alignment.helps(parts, alignment.fit(parts, SIZE, 64, 8))


@pytest.mark.parametrize("noise", [0.0, 0.008])
def test_a_part_on_black_is_found(noise):
    random = torch.Generator().manual_seed(0)
    image = (0.7 - photo(64, 64, 20)).clamp_min(0) + noise * torch.randn((3, SIZE, SIZE), generator=random)
    mask = find_part(image.clamp(0, 1)).mask
    assert mask.sum() == pytest.approx(60 * 14 + 12 * 12, rel=0.3)


def needle(x, y, degrees):
    """A bar of 76 × 6 pixels with a slightly brighter end, in noise."""
    rows, columns = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    u = (columns - x) * cosine + (rows - y) * sine
    v = (rows - y) * cosine - (columns - x) * sine
    grey = torch.where((u.abs() < 38) & (v.abs() < 3), torch.where(u > 30, 0.4, 0.3), 0.7)
    noise = 0.05 * torch.randn((SIZE, SIZE), generator=torch.Generator().manual_seed(int(degrees)))
    return (grey + noise).expand(3, -1, -1).clone()


def test_a_thin_part_is_not_turned_end_for_end():
    """A coarse template that left out its last rows was."""
    places = [((x + 64) / 2, (y + 64) / 2, degrees) for x, y, degrees in positions(24, seed=11)]
    parts = [find_part(needle(*place)) for place in places]
    found = alignment.fit(parts, SIZE, 64, 8)
    assert found is not None
    poses = [found.pose(part) for part in parts]
    turns = [math.degrees(pose.angle) - place[2] for pose, place in zip(poses, places, strict=True)]
    assert np.abs((np.array(turns) - turns[0] + 180) % 360 - 180).max() < 3


def test_no_lone_part_no_alignment():
    noise = torch.rand((6, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    assert alignment.fit([find_part(image) for image in noise], SIZE, 64, 8) is None


def test_arrays_and_back(fitted):
    _, found = fitted
    again = alignment.from_arrays(alignment.arrays(found))
    assert torch.equal(again.crop(photo(60, 60, 77))[0], found.crop(photo(60, 60, 77))[0])


def test_an_alignment_of_an_earlier_release_keeps_its_grey_table(fitted):
    _, found = fitted
    before = {name: value for name, value in alignment.arrays(found).items() if name != "background"}
    crop, _ = alignment.from_arrays(before).crop(photo(60, 60, 77))
    assert float(crop[:, 0].mean()) == pytest.approx(0.6, abs=0.02)


def test_a_pose_moves_along_its_own_axis():
    moved = Pose(0.5, 0.5, math.pi / 2).moved(0.1, 0.0)
    assert (moved.x, moved.y) == (pytest.approx(0.5), pytest.approx(0.6))
