"""patch_kde on rough textures: it sees what is smoother than they are, not only what is rougher."""

import numpy as np
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from mlproject import models
from mlproject.core import params
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
