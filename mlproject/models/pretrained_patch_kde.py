"""pretrained_patch_kde: patch_kde's density on the features of a network that saw other images.

In the family of PaDiM (Defard et al. 2021) and PatchCore (Roth et al. 2022), with a density at each position.
Its weights were learnt from other people's images, with labels: what it gains is no merit of the density.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from mlproject.models.components import backbone
from mlproject.models.components.backbone import Backbone
from mlproject.models.components.descriptor_grid import Grid
from mlproject.models.components.detector import Labelled
from mlproject.models.components.patch_detector import PatchDetector, PatchParameters
from mlproject.training.loop import History
from mlproject.training.run_options import RunOptions

LENGTH = 96  # of the whitened values
REACH = 1.5  # cells


class Parameters(PatchParameters):
    """Settings of pretrained_patch_kde.

    Attributes:
        backbone: LIBRARY/NAME; libraries: torchvision, timm, efficientnet_lite_pytorch.
        layers: whose outputs describe an image; the first one's grid is that of the densities.
        weights: file of the backbone's weights, a state_dict: .safetensors, or PyTorch's own.
        sha256: of that file.
        licence: of the weights; recorded with each model.
        trained_on: what the weights were learnt from; tables name it.
    """

    backbone: str = Field(pattern=r"^[a-z_]+/[\w.-]+$")
    layers: tuple[str, ...] = Field(min_length=1, max_length=4)
    weights: str = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    licence: str = Field(min_length=1)
    trained_on: str = Field(min_length=1)


class PretrainedPatchKDE(PatchDetector):
    """Descriptors: feature maps of a pretrained backbone, concatenated on the grid of its first layer.

    A saved model holds the part of the backbone that it needs: the weights file is only needed to train.
    """

    Parameters = Parameters
    multiple = 32  # strides of the usual backbones
    network: Backbone

    @property
    def outside_weights(self) -> dict[str, Any]:
        own = self.settings
        size = sum(array.nbytes for array in backbone.arrays(self.network).values())
        return {
            "trained_on": own.trained_on,
            "backbone": own.backbone,
            "layers": ", ".join(own.layers),
            "sha256": own.sha256,
            "licence": own.licence,
            "megabytes": round(size / 1e6, 3),
        }

    def chosen_grids(self, *, texture: bool) -> tuple[Grid, ...]:
        size = self.settings.image_size
        rows = self.network(torch.zeros(1, 3, size, size)).shape[1]
        return (Grid(cell=size // rows, pooling=0, rings=(), length=LENGTH, reach=REACH),)

    def fit(
        self, train: np.ndarray, validation: np.ndarray, run: RunOptions, labelled: Labelled | None = None
    ) -> History:
        """As `PatchDetector.fit`.

        Raises:
            UserError: the weights file is missing or another one, or the backbone is not known.
        """
        own = self.settings
        self.network = backbone.load(own.backbone, own.layers, Path(own.weights), own.sha256)
        return super().fit(train, validation, run, labelled)

    def describe(self, crops: torch.Tensor) -> list[torch.Tensor]:
        return [self.network(crops)]

    def state(self) -> dict[str, np.ndarray]:
        kept = backbone.arrays(self.network)
        return super().state() | {f"backbone.{name}": array for name, array in kept.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        kept = {
            name.removeprefix("backbone."): array
            for name, array in arrays.items()
            if name.startswith("backbone.")
        }
        self.network = backbone.from_arrays(self.settings.backbone, self.settings.layers, kept)
        super().restore(arrays)


MODEL = PretrainedPatchKDE
