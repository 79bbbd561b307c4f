"""Base class of the autoencoders that are scored by reconstruction error and the density of their codes."""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import nn

from mlproject.models.components import threads
from mlproject.models.components.autoencoder import Autoencoder, AutoencoderParameters
from mlproject.models.components.fast_sequential import FastSequential
from mlproject.models.components.kernel_density import GaussianKernelDensity
from mlproject.models.components.layers import conv_relu
from mlproject.models.components.search_space import Range, Space

POOLS = (4, 2, 2)  # 128 px → 8 × 8


class DensityParameters(AutoencoderParameters):
    """Settings of every such autoencoder.

    Attributes:
        latent_channels: channels of the 8 × 8 code (at 128 px); the paper: 128, so 8192 values.
        bandwidth: of the Gaussian kernel on latent codes; the paper: .2.
        density_weight: how much the density part counts against the error part: 1 is even, 2 lets the
            density call an image defective at half the distance from the usual.
    """

    latent_channels: int = Field(ge=1, le=1024)
    bandwidth: float = Field(gt=0)
    density_weight: float = Field(gt=0)

    @property
    def shrinking(self) -> int:
        return math.prod(POOLS)


class DensityAutoencoder(Autoencoder):
    """The paper's network (3.5.1) with a kernel density on its codes.

    Decided as the paper does: defective if the error is above its threshold or the log-density below
    its own; here as one score (see `combination.Combination`).
    """

    part_names = ("reconstruction_error", "negative_log_density")
    error_name = "reconstruction_error"
    search_space: ClassVar[Space] = {
        **Autoencoder.search_space,
        "latent_channels": Range(16, 256, log=True, integer=True),
        "bandwidth": Range(0.05, 5.0, log=True),
        "density_weight": Range(0.1, 10.0, log=True),
    }
    density: GaussianKernelDensity

    def build(self) -> tuple[nn.Module, nn.Module]:
        latent = self.settings.latent_channels
        first, second, third = POOLS
        encoder = FastSequential(
            *conv_relu(self.channels, 32), nn.MaxPool2d(first),
            *conv_relu(32, 64), nn.MaxPool2d(second),
            *conv_relu(64, latent), nn.MaxPool2d(third),
        )  # fmt: skip
        decoder = FastSequential(
            *conv_relu(latent, 128), nn.Upsample(scale_factor=third),
            *conv_relu(128, 64), nn.Upsample(scale_factor=second),
            *conv_relu(64, 32), nn.Upsample(scale_factor=first),
            nn.Conv2d(32, self.channels, 3, padding=1), nn.Sigmoid(),
        )  # fmt: skip
        return encoder, decoder

    def after_fit(self, train: np.ndarray, validation: np.ndarray) -> None:
        super().after_fit(train, validation)
        codes = torch.cat([codes for codes, _, _ in threads.map_images(self.difference, train)])
        self.density = GaussianKernelDensity(codes.flatten(1).numpy(), self.settings.bandwidth)

    @property
    def part_weights(self) -> Mapping[str, float]:
        return {"negative_log_density": self.settings.density_weight}

    def latent_parts(self, codes: torch.Tensor) -> dict[str, np.ndarray]:
        return {"negative_log_density": -self.density.log_density(codes.flatten(1).numpy())}

    def traced_latent_parts(self, codes: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"negative_log_density": -self.density.traced(codes.flatten(1))}

    def state(self) -> dict[str, np.ndarray]:
        return super().state() | {"density_points": self.density.points}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        super().restore(arrays)
        self.density = GaussianKernelDensity(arrays["density_points"], self.settings.bandwidth)
