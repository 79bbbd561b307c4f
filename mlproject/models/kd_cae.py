"""KD-CAE: convolutional autoencoder scored by reconstruction error and latent density (paper, 3.5.1)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from mlproject.models.components.density_autoencoder import DensityAutoencoder, DensityParameters


class Parameters(DensityParameters):
    """Settings of KD-CAE."""


class KDCAE(DensityAutoencoder):
    """333,955 parameters with the paper's settings."""

    Parameters = Parameters
    paper_rule = "edge_of_good"
    added_settings: ClassVar[Mapping[str, Any]] = {"density_weight": 1.0}  # 0.1 had none: both count the same


MODEL = KDCAE
