"""VAE: variational autoencoder scored by reconstruction error and the density of its latent means."""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import nn

from mlproject.models.components.density_autoencoder import DensityAutoencoder, DensityParameters
from mlproject.models.components.fast_sequential import FastSequential
from mlproject.models.components.search_space import Range, Space

# Samples are near the means at first: from samples of N(0, 1) the decoder learns little but the mean image.
FIRST_LOG_VARIANCE = -6.0


class Parameters(DensityParameters):
    """Settings of the VAE: KD-CAE's and one more.

    Attributes:
        beta: weight of the KL divergence, per value of the image, against the mean squared error. The loss is
            the negative ELBO of a decoder with Gaussian noise of variance beta / 2 (values in [0, 1]), up to
            a factor and a constant.
    """

    beta: float = Field(gt=0)


class LatentMeans(nn.Module):
    """The first half of (n, 2k, h, w) channels: the means, without the log-variances after them."""

    def forward(self, moments: torch.Tensor) -> torch.Tensor:
        return moments.chunk(2, dim=1)[0]


class VAE(DensityAutoencoder):
    """KD-CAE whose encoder returns a Gaussian for each latent value (Kingma & Welling 2014).

    The decoder is trained on samples of it. Images are scored by its means, so a score is not random.
    """

    Parameters = Parameters
    paper_rule = None
    search_space: ClassVar[Space] = {**DensityAutoencoder.search_space, "beta": Range(1e-5, 1e-1, log=True)}

    def build(self) -> tuple[nn.Module, nn.Module]:
        encoder, decoder = super().build()
        latent = self.settings.latent_channels
        return FastSequential(*encoder.children(), nn.Conv2d(latent, 2 * latent, 1), LatentMeans()), decoder

    def draw(self, batch: Any, generator: torch.Generator, training: bool) -> tuple[torch.Tensor, ...]:
        """As `Autoencoder.draw`, and the noise (n, k, h, w) that makes samples of latent Gaussians."""
        shown, target = super().draw(batch, generator, training)
        side = self.settings.image_size // self.settings.shrinking
        shape = (len(shown), self.settings.latent_channels, side, side)
        # drawn on the CPU, where the generator is
        return shown, target, torch.randn(shape, generator=generator).to(shown.device)

    def loss(self, network: Any, *drawn: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error + beta · KL divergence from N(0, 1), each per value of an image."""
        shown, target, noise = drawn
        encoder, decoder = network
        mean, log_variance = moments(encoder, shown)
        made = decoder(mean + noise * (log_variance / 2).exp())
        divergence = kl_from_standard_normal(mean, log_variance)
        return F.mse_loss(made.float(), target) + self.settings.beta * divergence.mean() / target[0].numel()


def moments(encoder: nn.Sequential, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return means and log-variances, each (n, k, h, w), of the latent values of (n, c, H, W) images."""
    mean, log_variance = encoder[:-1](images).float().chunk(2, dim=1)
    return mean, log_variance + FIRST_LOG_VARIANCE


def kl_from_standard_normal(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Return KL(N(mean, exp(log_variance)) ‖ N(0, 1)), summed over all but the first axis.

    Args:
        mean, log_variance: (n, …).

    Returns:
        (n,) ≥ 0, in nats (Kingma & Welling 2014, appendix B).
    """
    return ((mean.square() + log_variance.exp() - 1 - log_variance) / 2).flatten(1).sum(dim=1)


MODEL = VAE
