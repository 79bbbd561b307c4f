"""The variational autoencoder: its loss, what it learns, and that no score of it is random."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from support.pipeline_project import draw
from support.small_models import detector_settings as small
from torch.distributions import Normal, kl_divergence

from mlproject import models
from mlproject.core.errors import UserError
from mlproject.models.vae import VAE, kl_from_standard_normal, moments
from mlproject.training.run_options import RunOptions


def create(**changes) -> VAE:
    return models.create("vae", small("vae") | changes)


@pytest.fixture(scope="module")
def trained(small_images) -> VAE:
    detector = create(epochs=3, patience=3)
    detector.fit(small_images.train, small_images.validation, RunOptions(seed=0))
    detector.calibrate(small_images.validation)
    return detector


def as_tensors(*rows):
    return [torch.tensor([row], dtype=torch.float64) for row in rows]


@pytest.mark.parametrize(
    ("means", "variances", "nats"),
    [
        ([0.0], [1.0], 0.0),
        ([2.0], [1.0], 2.0),  # μ² / 2
        ([0.0], [4.0], 1.5 - np.log(2)),  # (σ² − 1 − ln σ²) / 2
        ([1.0, -3.0], [1.0, 1.0], 5.0),  # summed over the values
    ],
)
def test_kl_of_known_gaussians(means, variances, nats):
    mean, log_variance = as_tensors(means, np.log(variances).tolist())
    assert float(kl_from_standard_normal(mean, log_variance)) == pytest.approx(nats, abs=1e-6)


def test_kl_is_that_of_torch_distributions():
    mean, log_variance = torch.randn(2, 5, 4, 3, 3, dtype=torch.float64, generator=torch.manual_seed(0))
    exact = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(dim=(1, 2, 3))
    assert torch.allclose(kl_from_standard_normal(mean, log_variance), exact, rtol=0, atol=1e-6)


def test_loss_is_squared_error_and_beta_times_the_kl_per_value():
    """With a latent variance of almost nothing the sample is the mean, and both terms are known."""
    detector = create(beta=0.5, latent_channels=2)
    head = detector.encoder[-2]
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([1.0, 1.0, -54.0, -54.0]))  # means 1; log-variances −60
    images = torch.rand(3, 3, 64, 64)
    squared_error = (detector.network(images) - images).square().mean()
    nats = 2 * 4 * 4 * (1 + 0 - 1 + 60) / 2  # 2 channels of 4 × 4 positions; exp(−60) is nothing
    expected = squared_error.item() + 0.5 * nats / (3 * 64 * 64)
    found = detector.loss(detector.network, *detector.draw(images, torch.Generator().manual_seed(0), False))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_a_sample_is_the_noise_times_the_deviation_from_the_mean():
    """Means 1, variances 4: noise of 1 makes 1 + 2."""
    detector = create(beta=1e-5, latent_channels=2)
    head = detector.encoder[-2]
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([1.0, 1.0, np.log(4) + 6, np.log(4) + 6]))  # as they start: −6
    images = torch.rand(2, 3, 64, 64)
    mean, log_variance = moments(detector.encoder, images)
    assert (mean[0, 0, 0, 0].item(), log_variance.exp()[0, 0, 0, 0].item()) == pytest.approx((1, 4))
    made = detector.decoder(torch.full_like(mean, 3.0))
    nats = kl_from_standard_normal(mean, log_variance).mean().item() * 1e-5 / images[0].numel()
    found = detector.loss(detector.network, images, images, torch.ones_like(mean))
    assert found.item() == pytest.approx((made - images).square().mean().item() + nats, rel=1e-5)


def test_training_decodes_samples_and_scoring_decodes_means(trained, small_images):
    images = torch.rand(2, 3, 64, 64)
    first, second = (
        trained.loss(trained.network, *trained.draw(images, torch.Generator().manual_seed(seed), False))
        for seed in (0, 1)
    )
    assert first != second
    before = torch.get_rng_state()
    one, other = trained.score(small_images.test[:6]), trained.score(small_images.test[:6])
    assert one.scores.tobytes() == other.scores.tobytes()
    assert torch.equal(torch.get_rng_state(), before)
    codes, _, _ = trained.difference(small_images.test[:1])
    assert torch.equal(codes, trained.difference(small_images.test[:1])[0])
    assert codes.shape == (1, trained.settings.latent_channels, 4, 4), "means alone, no variances"


def test_density_is_of_the_training_images_latent_means(trained, small_images):
    codes, _, _ = trained.difference(small_images.train[:1])
    assert np.array_equal(trained.density.points[0], codes.flatten().numpy())


def test_a_large_beta_draws_the_latent_values_to_the_prior(small_images):
    def mean_kl(beta):
        detector = create(beta=beta, image_size=32, epochs=10, patience=10)
        detector.fit(small_images.train, small_images.validation, RunOptions(seed=0))
        batch = detector._batch(small_images.validation)
        with torch.inference_mode():
            return float(kl_from_standard_normal(*moments(detector.encoder, batch)).mean())

    assert mean_kl(1.0) < mean_kl(1e-4) / 2


def test_it_learns_faint_defects_from_good_images_alone():
    """Discs with a square a little darker: .95 after 20 epochs, .6 before the first."""
    rng = np.random.default_rng(0)

    def discs(count: int, shade: float = 1.0) -> np.ndarray:
        images = np.stack([draw(rng, defective=False)[0] for _ in range(count)])
        for image in images:
            row, column = rng.integers(20, 36, 2)
            square = image[row : row + 8, column : column + 8]
            square[:] = square * shade
        return images[..., None].repeat(3, axis=-1)

    train, validation, test = discs(48), discs(12), np.concatenate([discs(15), discs(20, shade=0.85)])
    settings = small("vae")
    detector = create(image_size=32, epochs=20, patience=20, map=settings["map"] | {"smoothing": 1})
    detector.fit(train, validation, RunOptions(seed=0))
    detector.calibrate(validation)
    assert roc_auc_score(np.repeat([0, 1], [15, 20]), detector.score(test).scores) > 0.8


def test_beta_must_be_positive():
    with pytest.raises(UserError, match=r"beta"):
        create(beta=0)
