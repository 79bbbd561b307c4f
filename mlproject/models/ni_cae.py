"""NI-CAE: autoencoder trained on noise-injected images, scored by SSIM difference (paper, 3.5.2)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from mlproject.models.components import layers
from mlproject.models.components.autoencoder import Autoencoder, AutoencoderParameters
from mlproject.models.components.fast_sequential import FastSequential
from mlproject.models.components.layers import conv_relu
from mlproject.models.components.search_space import Range, Space
from mlproject.models.components.skips import SkippingDecoder, SkippingEncoder


class Parameters(AutoencoderParameters):
    """Settings of NI-CAE.

    Attributes:
        filters: of the encoder's convolutions, each followed by a halving; the paper: 128, 64, 16, 8, 4.
        latent_channels: width of the dense layer applied at each position of the code; the paper: 512.
        skips: whether what the encoder has before each halving is added to the decoder's values of that size.
            Details can then bypass the code, and so can defects: nothing but the noise keeps the network from
            copying its input, so only structured noise, which looks like defects, makes sense.
    """

    filters: layers.Filters
    latent_channels: int = Field(ge=1, le=4096)
    skips: bool

    @property
    def shrinking(self) -> int:
        return 2 ** len(self.filters)

    @model_validator(mode="after")
    def _not_the_identity(self) -> Self:
        noise = self.noise
        removed = noise is not None and noise.target == "clean" and noise.variance > 0 and noise.share > 0
        if self.skips and not removed:
            raise ValueError(
                "with skips: true and no noise to remove the network learns to copy its input, defects too. "
                "Set skips: false, or a noise with a variance and a share above 0 and target: clean"
            )
        return self


class NICAE(Autoencoder):
    """191,481 parameters with the paper's settings (grey, 256 px), with skip connections or without."""

    Parameters = Parameters
    part_names = ("reconstruction_difference",)
    error_name = "reconstruction_difference"
    paper_rule = "fewest_errors"
    added_settings: ClassVar[Mapping[str, Any]] = {"skips": False}  # there were none
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
        if self.settings.skips:
            return SkippingEncoder(*encoder), SkippingDecoder(*decoder)
        return FastSequential(*encoder), FastSequential(*decoder)

    def encode_decode(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        encoded, made = super().encode_decode(batch)
        return encoded[0] if self.settings.skips else encoded, made


MODEL = NICAE
