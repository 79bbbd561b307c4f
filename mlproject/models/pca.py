"""PCA: reconstruction from the principal components of good images; the baseline of the autoencoders."""

import time
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from mlproject.core.errors import UserError
from mlproject.data import tensors
from mlproject.models.components.detector import Labelled
from mlproject.models.components.reconstruction import ReconstructionDetector, ReconstructionParameters
from mlproject.models.components.search_space import Range, Space
from mlproject.training.loop import Epoch, History
from mlproject.training.run_options import RunOptions


class Parameters(ReconstructionParameters):
    """Settings of PCA.

    Attributes:
        components: how many are kept; fewer than training images.
    """

    components: int = Field(ge=1)


class PCA(ReconstructionDetector):
    """The linear autoencoder with the smallest squared error, computed at once: no epochs, no seed.

    In the paper's related work, not among its models: its thresholds are set as KD-CAE's error part is.
    """

    Parameters = Parameters
    part_names = ("reconstruction_error",)
    error_name = "reconstruction_error"
    paper_rule = "edge_of_good"
    uses_seed = False
    search_space: ClassVar[Space] = {
        **ReconstructionDetector.search_space,
        "components": Range(2, 64, log=True, integer=True),
    }
    mean: torch.Tensor  # (d,) float32, d = channels × image_size²
    components: torch.Tensor  # (k, d) float32, orthonormal rows

    def fit(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        run: RunOptions,
        labelled: Labelled | None = None,
    ) -> History:
        """As `Detector.fit`, in one epoch; seed, precision and checkpoint change nothing.

        Raises:
            UserError: as many components are asked for as there are training images, or more.
        """
        if self.settings.components >= len(train):
            raise UserError(
                f"pca: components is {self.settings.components}, but {len(train)} training images have "
                f"{len(train) - 1} at most. Lower models.pca.components, add good images, or take pca out of "
                "detectors in params.yaml."
            )
        started = time.perf_counter()
        self.device = run.device
        self.mean, self.components = principal_components(self._flat(train), self.settings.components)
        loss, validation_loss = (self._squared_error(images) for images in (train, validation))
        seconds = time.perf_counter() - started
        run.on_epoch(Epoch(1, self.epoch_limit, loss, validation_loss, 1, seconds, len(train) / seconds))
        self.after_fit(train, validation)
        return [{"epoch": 1, "loss": loss, "validation_loss": validation_loss}]

    def _flat(self, images: np.ndarray) -> torch.Tensor:
        """Return (n, d) float64 in [0, 1]."""
        small = tensors.network_images(images, self.settings.image_size, self.settings.colour)
        return small.to(self.device).double().div_(255).flatten(1)

    def _squared_error(self, images: np.ndarray) -> float:
        flat = self._flat(images)
        return float((flat - self._remade(flat)[1]).square().mean())

    def _remade(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return codes (n, k) and reconstructions (n, d) of (n, d) float64."""
        mean, components = (a.to(self.device).double() for a in (self.mean, self.components))
        codes = (flat - mean) @ components.T
        return codes, codes @ components + mean

    def encode_decode(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        codes, made = self._remade(batch.flatten(1).double())
        return codes, made.reshape(batch.shape)

    def state(self) -> dict[str, np.ndarray]:
        return super().state() | {"mean": self.mean.numpy(), "components": self.components.numpy()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        super().restore(arrays)
        self.mean = torch.from_numpy(arrays["mean"])
        self.components = torch.from_numpy(arrays["components"])


def principal_components(images: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean (d,) and the first `count` principal components (k, d) of (n, d) float64, as float32.

    Along a direction in which the images do not vary nothing is learnt, and a defect there must not be
    remade: such directions are left out, so k is less than `count` where equal images leave fewer.
    """
    mean = images.mean(dim=0)
    _, spread, directions = torch.linalg.svd(images - mean, full_matrices=False)
    varies = spread > max(images.shape) * torch.finfo(images.dtype).eps * max(float(spread[0]), 1)
    return mean.float().cpu(), directions[:count][varies[:count]].float().cpu()


MODEL = PCA
