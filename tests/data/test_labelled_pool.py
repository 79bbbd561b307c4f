"""The half of the test images that a supervised model trains on, and the half that it is tested on."""

import numpy as np

from mlproject.data.labelled_pool import held_out


def images(**counts):
    """Return paths and types: good=10 gives ten good images."""
    pairs = [(f"test/{kind}/{i:03d}.png", kind) for kind, n in counts.items() for i in range(n)]
    return [path for path, _ in pairs], [kind for _, kind in pairs]


def test_each_type_is_halved_and_the_odd_image_is_held_out():
    paths, kinds = images(good=10, cut=7, bent=2, missing=1)
    out = held_out(paths, kinds, seed=0)
    counts = {kind: int(out[np.array(kinds) == kind].sum()) for kind in set(kinds)}
    assert counts == {"good": 5, "cut": 4, "bent": 1, "missing": 1}


def test_the_order_of_the_images_does_not_matter_the_seed_does():
    paths, kinds = images(good=30, cut=30)
    out = held_out(paths, kinds, seed=0)
    backwards = held_out(paths[::-1], kinds[::-1], seed=0)[::-1]
    assert np.array_equal(out, backwards)
    assert not np.array_equal(out, held_out(paths, kinds, seed=1))


def test_the_half_is_the_same_in_every_release():
    paths, kinds = images(good=6, cut=6)
    assert held_out(paths, kinds, seed=0).astype(int).tolist() == [1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0]


def test_halves_are_mixed_not_the_first_and_the_last():
    paths, kinds = images(good=40)
    assert 3 < held_out(paths, kinds, seed=0)[:20].sum() < 17
