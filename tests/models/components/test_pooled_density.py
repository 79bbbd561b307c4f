"""Kernels that all places share: distances are those of brute force, and which images get them."""

import pytest
import torch

from mlproject.models.components import density_fit, pooled_density, whitening
from mlproject.models.components.pooled_density import PooledDensity
from mlproject.models.components.thinning import farthest_of_many, stand_ins_of_many

LENGTH = 4
SETTINGS = {"length": LENGTH, "shrinkage": 0.01, "reach": 1.5, "smoothing": 0.01, "border": 0, "pooled": True}


def fit(descriptors):
    relit = [torch.zeros(1, *descriptors.shape[1:])]
    return density_fit.fit(descriptors.split(1), lambda x: x, relit, **SETTINGS)


def textures(n, seed=1):
    return torch.randn((n, 8, 6, LENGTH), generator=torch.Generator().manual_seed(seed))


def extended(density, n, keep, added):
    whole = density.stored(n)[keep]
    return density_fit.extended(density, whole, list(added[:, None]), lambda x: x)


def test_the_values_kept_are_those_that_alterations_change_most():
    """Of six independent values, in units of what varies: one alteration changes the 2nd, another the 5th."""
    within = torch.diag(torch.tensor([1.0, 4.0, 1.0, 9.0, 16.0, 1.0], dtype=torch.float64))
    strong = torch.diag(torch.tensor([0.1, 400.0, 0, 0, 0, 0], dtype=torch.float64))
    weak = torch.diag(torch.tensor([0, 0, 0, 0.9, 4.8, 0], dtype=torch.float64))
    kept = whitening.most_changed(within, [strong, weak], 2)
    assert kept.abs().round(decimals=5).tolist() == [[0, 0], [0.5, 0], [0, 0], [0, 0], [0, 0.25], [0, 0]]


def test_distances_are_those_of_brute_force_but_for_kernels_left_out():
    density, _ = fit(textures(20))
    assert isinstance(density, PooledDensity)
    values = textures(3, seed=2) @ density.projection
    kernels = density.counting(slice(None))
    vectors = (density.offset[..., None] + density.step[..., None] * kernels)[0].T
    without = torch.rand((3, len(vectors)), generator=torch.Generator().manual_seed(3)) < 0.4
    without[2] = True  # nothing is left: infinitely far
    apart = torch.cdist(values.flatten(1, 2).double(), vectors.double())
    found = density.distances(values), density.distances(values, without=without)
    torch.testing.assert_close(found[0].double().flatten(1), apart.amin(dim=2), rtol=1e-4, atol=1e-4)
    kept = apart.masked_fill(without[:, None], torch.inf).amin(dim=2)
    torch.testing.assert_close(found[1].double().flatten(1), kept, rtol=1e-4, atol=1e-4)


def test_what_is_usual_elsewhere_is_usual_here():
    descriptors = textures(20)
    descriptors[:10, 0, 0] = 9.0
    density, _ = fit(descriptors)
    moved = descriptors[:1].clone()
    moved[0, 0, 0], moved[0, 5, 3] = 0.0, 9.0
    assert float(density.distances(moved @ density.projection)[0, 5, 3]) < 0.5


def test_no_image_is_its_own_witness():
    descriptors = textures(24)
    descriptors[5, 2, 2] = 6.0
    _, heights = fit(descriptors)
    assert int(heights.argmax()) == 5


def test_kernels_cover_what_is_rare(monkeypatch):
    monkeypatch.setattr(pooled_density, "KERNELS", 30)
    descriptors = textures(20) * 0.1
    descriptors[3, 4, 4], descriptors[7, 1, 1] = 5.0, -5.0
    density, _ = fit(descriptors)
    assert density.kept.shape == (1, 30)
    odd = descriptors[[3, 7]] @ density.projection
    assert density.distances(odd).amax() < 0.5 * odd.norm(dim=-1).amax()


def test_equal_images_are_kernels_for_each_other():
    density, heights = fit(torch.zeros(5, 8, 6, LENGTH))
    assert torch.isfinite(heights).all()
    assert density.distances(torch.zeros(1, 8, 6, LENGTH)).amax() < 1e-3


def test_arrays_and_back():
    density, _ = fit(textures(12))
    again = density_fit.from_arrays(density_fit.arrays(density))
    assert isinstance(again, PooledDensity)
    values = textures(2, seed=4) @ density.projection
    assert torch.equal(again.distances(values), density.distances(values))


@pytest.mark.parametrize("kernels", [30, 2000])
def test_extended_is_what_a_fit_to_the_same_images_gives_by_the_same_whitening(kernels, monkeypatch):
    """To the last digit, where the first image spans all values: then both round them to the same."""
    monkeypatch.setattr(pooled_density, "KERNELS", kernels)
    descriptors = textures(24)
    descriptors[0] *= 3
    some, _ = fit(descriptors[:16])
    keep = torch.arange(16) != 5
    more, scores = extended(some, 16, keep, descriptors[16:])
    monkeypatch.setattr(density_fit, "whitening", lambda *_: some.projection)
    whole, expected = fit(torch.cat([descriptors[:16][keep], descriptors[16:]]))
    found, wanted = density_fit.arrays(more), density_fit.arrays(whole)
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in wanted.items()
    }
    assert torch.equal(scores, expected)


def test_without_a_change_it_is_the_same():
    density, scores = fit(textures(20))
    again, others = extended(density, 20, torch.ones(20, dtype=torch.bool), textures(0))
    values = textures(2, seed=4) @ density.projection
    assert torch.equal(again.distances(values), density.distances(values))
    assert torch.equal(scores, others)


def test_an_image_taken_out_leaves_the_candidates_of_the_others(monkeypatch):
    monkeypatch.setattr(pooled_density, "CANDIDATES", 60)  # three an image, and of 19 four; all are kernels
    density, _ = fit(textures(20))
    less, _ = extended(density, 20, torch.arange(20) != 3, textures(0))
    before, after = (one.counting(slice(None))[0].T.tolist() for one in (density, less))
    assert (len(before), len(after)) == (60, 76)
    own = density.kernels[0].T.unflatten(0, (20, 48))[3].tolist()
    gone = [vector for vector in before if vector not in after]
    assert len(gone) == 3
    assert all(vector in own for vector in gone)


def test_what_lies_far_beyond_all_values_is_stored_where_it_is():
    density, _ = fit(textures(20))
    far = textures(3, seed=3) + 30
    more, _ = extended(density, 20, torch.ones(20, dtype=torch.bool), far)
    values = far @ density.projection
    assert density.distances(values).mean() > 20
    assert more.distances(values).amax() < 0.5
    before = torch.addcmul(density.offset, density.stored(20), density.step)
    after = torch.addcmul(more.offset, more.stored(23), more.step)
    assert (after[:20] - before).abs().amax() < 0.7 * more.step.amax()


def test_of_more_images_than_are_stored_the_kernels_alone_are_kept(monkeypatch):
    monkeypatch.setattr(pooled_density, "KERNELS", 30)
    stored, _ = fit(textures(20))
    monkeypatch.setattr(density_fit, "MOST_STORED", 19)
    density, _ = fit(textures(20))
    assert (stored.kernels.shape, density.kernels.shape) == ((1, LENGTH, 20 * 48), (1, LENGTH, 30))
    assert density.stored(20) is None
    values = textures(2, seed=4) @ density.projection
    assert torch.equal(stored.distances(values), density.distances(values))


@pytest.mark.parametrize("images", [8, 60])
def test_places_that_differ_by_chance_alone_have_no_order(images):
    within, total, _ = whitening.scatter(textures(images).split(5))
    assert abs(whitening.order(within, total, images)) < 0.1 * (60 / images) ** 0.5
    places = textures(1, seed=5)
    within, total, _ = whitening.scatter((textures(images) + places).split(5))
    assert whitening.order(within, total, images) > 0.5


@pytest.mark.parametrize(("share", "ordered"), [(0.1, False), (0.5, True)])
def test_a_lamp_that_falls_off_is_no_order(share, ordered):
    """It makes few directions differ from place to place, in a texture too: a part makes many."""
    length = 20
    random = torch.Generator().manual_seed(6)
    images = torch.randn((30, 8, 6, length), generator=random)
    images[..., : int(share * length)] += 3 * torch.randn((8, 6, int(share * length)), generator=random)
    assert whitening.is_texture(images.split(1)) != ordered


def test_a_left_out_image_is_as_far_off_as_a_new_one(monkeypatch):
    """Without stand-ins it left gaps, and a pattern that lies elsewhere in each image raised thresholds."""
    monkeypatch.setattr(pooled_density, "KERNELS", 120)
    random = torch.Generator().manual_seed(7)
    place = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(6.0), indexing="ij"), dim=-1)

    def patterns(n):
        phase = 0.7 * place + 6.28 * torch.rand((n, 1, 1, 2), generator=random)
        return torch.cat([phase.sin(), phase.cos()], dim=-1)

    density, scores = fit(patterns(60))
    new = density.heights(density.standardise(density.distances(patterns(200) @ density.projection)))
    assert float(scores.mean()) == pytest.approx(float(new.mean()), rel=0.05)


@pytest.mark.parametrize("kept", [12, 40, 60])
def test_no_vector_stands_in_for_its_own_image(kept):
    """Where all vectors are kept, as of few small images, none is left that could."""
    values = torch.randn((60, LENGTH), generator=torch.Generator().manual_seed(8))
    owners = torch.arange(60) % 5
    numbers = farthest_of_many(values, kept)
    instead = stand_ins_of_many(values, numbers, owners)
    for owner, some in enumerate(instead):
        own = (owners[numbers] == owner).sum()
        others = torch.isin(torch.arange(60), numbers, invert=True) & (owners != owner)
        assert len(some) == min(own, others.sum())
        assert others[some].all()


@pytest.mark.parametrize(("side", "texture"), [(0, False), (3, False), (12, True)])
def test_a_surface_of_a_few_places_is_no_texture(side, texture):
    images = torch.randn((24, 16, 16, 3), generator=torch.Generator().manual_seed(0))
    surface = torch.zeros(16, 16, dtype=torch.bool)
    surface[:side, :side] = True
    assert whitening.is_texture(images.split(1), surface) == texture
