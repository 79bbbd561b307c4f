"""NI-CAE: autoencoder trained on noise-injected images, scored by SSIM difference (paper, 3.5.2)."""

from typing import ClassVar

from pydantic import Field
from torch import nn

from mlproject.models.components import layers
from mlproject.models.components.autoencoder import Autoencoder, AutoencoderParameters
from mlproject.models.components.fast_sequential import FastSequential
from mlproject.models.components.layers import conv_relu
from mlproject.models.components.search_space import Range, Space


class Parameters(AutoencoderParameters):
    """Settings of NI-CAE.

    Attributes:
        filters: of the encoder's convolutions, each followed by a halving; the paper: 128, 64, 16, 8, 4.
        latent_channels: width of the dense layer applied at each position of the code; the paper: 512.
    """

    filters: layers.Filters
    latent_channels: int = Field(ge=1, le=4096)

    @property
    def shrinking(self) -> int:
        return 2 ** len(self.filters)


class NICAE(Autoencoder):
    """191,481 parameters with the paper's settings (grey, 256 px)."""

    Parameters = Parameters
    part_names = ("reconstruction_difference",)
    error_name = "reconstruction_difference"
    paper_rule = "fewest_errors"
    search_space: ClassVar[Space] = {
        **Autoencoder.search_space,
        "latent_channels": Range(16, 256, log=True, integer=True),
    }

    def build(self) -> tuple[nn.Module, nn.Module]:
        filters, latent = self.settings.filters, self.settings.latent_channels
        encoder: list[nn.Module] = []
        channels = self.channels
        for width in filters:
            encoder += [*conv_relu(channels, width), nn.MaxPool2d(2)]
            channels = width
        # a dense layer at each position is a 1 × 1 convolution
        encoder += conv_relu(channels, latent, kernel=1)
        decoder: list[nn.Module] = []
        channels = latent
        for width in reversed(filters):
            decoder += [*conv_relu(channels, width), nn.Upsample(scale_factor=2)]
            channels = width
        decoder += [nn.Conv2d(channels, self.channels, 1), nn.Sigmoid()]
        return FastSequential(*encoder), FastSequential(*decoder)


MODEL = NICAE
