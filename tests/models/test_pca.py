"""PCA: reconstructions as scikit-learn's, computed at once; nothing is remade that was not learnt."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA as Reference  # noqa: N811

from mlproject import models
from mlproject.core import params
from mlproject.core.errors import UserError
from mlproject.models.pca import principal_components
from mlproject.training.run_options import RunOptions

SETTINGS = params.load_file()["models"]["pca"] | {"image_size": 32, "components": 5}
RNG = np.random.default_rng(0)
GOOD = RNG.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
OTHERS = RNG.integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)


def fitted(train=GOOD, **changed):
    detector = models.create("pca", SETTINGS | changed)
    detector.fit(train, OTHERS, RunOptions(seed=0))
    return detector


def values(images):
    """What PCA sees of (n, s, s, 3) RGB images at their own size: (n, d) in [0, 1], channels first."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1) / 255


@pytest.mark.parametrize("components", [1, 5, 19])
def test_reconstructions_are_scikit_learns(components):
    detector = fitted(colour="rgb", components=components)
    reference = Reference(components, svd_solver="full").fit(values(GOOD))
    batch = torch.from_numpy(OTHERS).permute(0, 3, 1, 2).double() / 255
    codes, made = detector.encode_decode(batch)
    expected = reference.inverse_transform(reference.transform(values(OTHERS)))
    np.testing.assert_allclose(made.flatten(1).numpy(), expected, atol=1e-6)
    assert codes.shape == (7, components)


def test_the_map_is_the_squared_error_of_that_reconstruction():
    plain = {"kind": "squared_error", "ignore_offset": False, "normalise": False, "smoothing": 0}
    detector = fitted(colour="rgb", map=plain | {"pooling": "mean"})
    reference = Reference(5, svd_solver="full").fit(values(GOOD))
    error = (values(OTHERS) - reference.inverse_transform(reference.transform(values(OTHERS)))) ** 2
    got = detector.measure(OTHERS).parts["reconstruction_error"]
    np.testing.assert_allclose(got, error.mean(axis=1), rtol=1e-5)


def test_fit_is_one_epoch_with_the_mean_squared_errors():
    seen = []
    detector = models.create("pca", SETTINGS | {"colour": "rgb"})
    history = detector.fit(
        GOOD,
        OTHERS,
        RunOptions(seed=0, on_epoch=lambda epoch: seen.append((epoch, detector.reconstruct(OTHERS)))),
    )
    reference = Reference(5, svd_solver="full").fit(values(GOOD))

    def error(images):
        made = reference.inverse_transform(reference.transform(values(images)))
        return pytest.approx(((values(images) - made) ** 2).mean(), rel=1e-5)

    assert history == [{"epoch": 1, "loss": error(GOOD), "validation_loss": error(OTHERS)}]
    ((epoch, pictures),) = seen
    assert (epoch.number, epoch.limit, epoch.best_epoch) == (1, 1, 1) == (1, detector.epoch_limit, 1)
    assert (epoch.loss, epoch.validation_loss) == (history[0]["loss"], history[0]["validation_loss"])
    assert pictures.shape == (7, 32, 32, 3)
    assert detector.parameter_count() == 0


def test_more_components_remake_good_images_better():
    losses = []
    for components in (1, 5, 19):
        detector = models.create("pca", SETTINGS | {"components": components})
        losses.append(detector.fit(GOOD, OTHERS, RunOptions(seed=0))[0]["loss"])
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-10  # 20 images have 19 directions


def test_as_many_components_as_images_are_refused():
    with pytest.raises(UserError, match="components is 20, but 20 training images have 19 at most"):
        fitted(components=20)


def test_equal_images_teach_no_direction_so_that_a_defect_is_not_remade(tmp_path):

    detector = fitted(np.full((20, 32, 32, 3), 90, np.uint8))
    assert detector.components.shape[0] == 0
    assert (detector.reconstruct(OTHERS) == 90).all()
    detector.calibrate(GOOD)
    detector.save(tmp_path / "model")
    again = models.load(tmp_path / "model")
    assert np.array_equal(again.score(OTHERS).scores, detector.score(OTHERS).scores)


def test_components_are_orthonormal():
    flat = torch.from_numpy(RNG.random((12, 50)))
    mean, components = principal_components(flat, 4)
    assert (mean.dtype, components.dtype) == (torch.float32, torch.float32)
    np.testing.assert_allclose((components @ components.T).numpy(), np.eye(4), atol=1e-6)
