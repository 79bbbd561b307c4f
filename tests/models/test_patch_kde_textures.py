"""patch_kde on rough textures, of which it sees smooth spots too, and on parts that are made of a texture."""

import numpy as np
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from mlproject import models
from mlproject.core import params
from mlproject.models.components.pooled_density import PooledDensity
from mlproject.training.run_options import RunOptions

SIDE = 128


def rough(count, seed):
    """(n, SIDE, SIDE, 3) uint8 photos of gravel: rough where it is bright, smoother where it is dark."""
    random = np.random.default_rng(seed)
    large, small = (
        ndimage.gaussian_filter(random.normal(0, 1, (count, SIDE, SIDE)), (0, size, size), mode="wrap")
        for size in (3, 0.8)
    )
    photos = 120 + 20 * large / large.std() + 22 * (small / small.std()) * (1 + np.tanh(large / large.std()))
    photos = photos + random.normal(0, 1, photos.shape)
    return np.repeat(photos.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=3)


def test_a_blurred_spot_in_a_rough_texture_is_seen():
    """With the descriptors of parts it is hardly told, .69: smooth is near to all that is rough."""
    good, bad = rough(24, 2), rough(24, 3)
    blurred = ndimage.gaussian_filter(bad.astype(float), (0, 2.5, 2.5, 0)).round()
    bad[:, 50:80, 50:80] = blurred[:, 50:80, 50:80]
    settings = params.load_file()["models"]["patch_kde"] | {"image_size": SIDE}
    detector = models.create("patch_kde", settings)  # window: auto takes it for a texture
    detector.fit(rough(16, 0), rough(6, 1), RunOptions(seed=0))
    scores = np.concatenate([detector.measure(images).parts["position_density"] for images in (good, bad)])
    assert roc_auc_score(np.repeat([0, 1], 24), scores) > 0.95


def nuts(count, seed, scratched=False, lobes=0.0):
    """(n, SIDE, SIDE, 3) uint8 photos of oval nuts on a dark table, turned, each with its own grain."""
    random = np.random.default_rng(seed)
    down, right = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    photos = []
    for _ in range(count):
        angle, x, y = random.uniform(0, 2 * np.pi), *random.normal(0, 3, 2)
        along = (right - x) * np.cos(angle) + (down - y) * np.sin(angle)
        across = (down - y) * np.cos(angle) - (right - x) * np.sin(angle)
        field = ndimage.gaussian_filter(random.normal(0, 1, (2 * SIDE, 2 * SIDE)), (1.5, 10), mode="wrap")
        grain = ndimage.map_coordinates(field / field.std(), [across + SIDE, along + SIDE], order=1)
        outline = 1 + lobes * np.cos(3 * np.arctan2(across, along))
        inside = 1 / (1 + np.exp((np.hypot(along / 44, across / 43) / outline - 1) * 40))
        photo = 15 + inside * (110 + 18 * grain)
        if scratched:
            v, u = random.uniform(-15, 15, 2)
            line = (np.abs(along - u) < 1.2) & (np.abs(across - v) < 7)
            photo = photo + 14 * ndimage.gaussian_filter(line.astype(float), 0.7)
        photos.append(photo + random.normal(0, 1.5, photo.shape))
    grey = np.clip(photos, 0, 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3)


def fitted(window, **how):
    settings = params.load_file()["models"]["patch_kde"] | {"image_size": SIDE, "part_size": SIDE}
    detector = models.create("patch_kde", settings | {"window": window})
    detector.fit(nuts(24, 0, **how), nuts(6, 1, **how), RunOptions(seed=0))
    assert detector.alignment is not None
    return detector


def pooled(detector):
    return [isinstance(density, PooledDensity) for density in detector.densities]


def test_turned_parts_of_a_texture_are_aligned_and_compared_with_all_places():
    """Their grain differs however they are turned, so that they gain less by it than other parts."""
    test = np.concatenate([nuts(24, 2), nuts(24, 3, scratched=True)])
    chosen, near = fitted("auto"), fitted("near")
    assert (pooled(chosen), pooled(near)) == ([True, True], [False, False])
    aurocs = [
        roc_auc_score(np.repeat([0, 1], 24), detector.measure(test).parts["position_density"])
        for detector in (chosen, near)
    ]
    assert aurocs[0] > aurocs[1] + 0.1, aurocs


def test_a_part_of_a_texture_whose_outline_turns_in_has_places():
    """What is missing there would look like another place of the outline."""
    assert pooled(fitted("auto", lobes=0.25)) == [False, False]
