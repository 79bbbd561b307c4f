"""Base class of models that reconstruct an image: scored by where image and reconstruction differ."""

import math
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from mlproject.core.params import Section
from mlproject.data import tensors
from mlproject.models.components import anomaly_maps, threads
from mlproject.models.components.anomaly_maps import MapSettings
from mlproject.models.components.detector import Detector, Parts
from mlproject.models.components.search_space import THRESHOLD, Choice, Range, Space

COMPARED = 8  # images whose reconstructions must differ
CONSTANT = 1e-4  # in [0, 1]: far below a grey level
# which map scores the image, and how
MAP_SPACE: Space = {
    "map.kind": Choice(("squared_error", "ssim", "gradient")),
    "map.smoothing": Range(0, 8),
    "map.pooling": Choice(("max", "mean")),
}


class ReconstructionParameters(Section):
    """Settings of every model that reconstructs."""

    image_size: int = Field(ge=32, le=1024)
    colour: tensors.Colour
    map: MapSettings


class ReconstructionDetector(Detector):
    """Maps how an image differs from its reconstruction; a model only says how it is made.

    Attributes:
        error_name: the part that the map is pooled to; one of `part_names`.
    """

    error_name: str
    search_space: ClassVar[Space] = {**THRESHOLD, **MAP_SPACE}

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.channels = 1 if settings.colour == "grey" else 3
        self.device = "cpu"
        size = settings.image_size
        self.map_mean, self.map_spread = torch.zeros(size, size), torch.ones(size, size)

    def why_not_learnt(self, train: np.ndarray, validation: np.ndarray) -> str | None:
        own = self.squared_error(validation)
        of_mean, of_colour = self.mean_errors(train, validation)
        if own >= of_colour:
            return (
                f"its reconstructions are no better than one plain colour (squared error {own:.5f}, "
                f"of the mean colour {of_colour:.5f})"
            )
        if own >= of_mean and self.variation(validation) < CONSTANT:
            return (
                f"it returns one picture for every image, no better than the mean training image (squared "
                f"error {own:.5f}, of the mean image {of_mean:.5f})"
            )
        return None

    @torch.inference_mode()
    def variation(self, images: np.ndarray) -> float:
        """Return by how much reconstructions of the first few images differ at most in a pixel, in [0, 1].

        Infinite for a single image: it differs from no other.
        """
        made = self.encode_decode(self._batch(images[:COMPARED]))[1].float()
        return float((made.amax(dim=0) - made.amin(dim=0)).max()) if len(made) > 1 else math.inf

    @torch.inference_mode()
    def squared_error(self, images: np.ndarray) -> float:
        """Return the mean squared error of reconstructions of (n, s, s, 3) uint8 images, in [0, 1]."""
        errors = []
        for start in range(0, len(images), tensors.CHUNK):
            batch = self._batch(images[start : start + tensors.CHUNK])
            errors.append((self.encode_decode(batch)[1] - batch).square().mean(dim=(1, 2, 3)).cpu())
        return float(torch.cat(errors).double().mean())

    def mean_errors(self, train: np.ndarray, images: np.ndarray) -> tuple[float, float]:
        """Return the mean squared errors, in [0, 1], of two pictures in the place of every reconstruction.

        They are the mean training image, and one of its mean colour all over.
        """
        size, colour = self.settings.image_size, self.settings.colour
        seen, others = (
            tensors.network_images(part, size, colour).double().div_(255) for part in (train, images)
        )
        mean = seen.mean(dim=0)
        plain = mean.mean(dim=(1, 2), keepdim=True)
        return float((others - mean).square().mean()), float((others - plain).square().mean())

    @abstractmethod
    def encode_decode(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return codes (n, …) and reconstructions (n, c, h, w) of (n, c, h, w) images in [0, 1]."""

    def after_fit(self, train: np.ndarray, validation: np.ndarray) -> None:
        self.learn_usual_differences(validation)

    def learn_usual_differences(self, validation: np.ndarray) -> None:
        """Learn, where the map is normalised, each pixel's usual difference from validation images."""
        if self.settings.map.normalise:
            maps = torch.cat([maps for _, maps, _ in threads.map_images(self.difference, validation)])
            mean, spread = anomaly_maps.pixel_statistics(maps)
            self.map_mean, self.map_spread = mean.float(), spread.float()

    @torch.inference_mode()
    def difference(self, image: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return codes (1, …), raw map (1, h, w) and reconstruction (1, c, h, w) of a (1, s, s, 3) image."""
        codes, maps, made = self._differ(self._batch(image))
        return codes.cpu(), maps.cpu(), made.cpu()

    def _differ(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return codes, raw maps and reconstructions of (n, c, h, w) images in [0, 1]."""
        codes, made = self.encode_decode(batch)
        # float64: SSIM subtracts nearly equal numbers
        return codes, anomaly_maps.difference(batch.double(), made.double(), self.settings.map), made

    def _pooled(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the error (n,) and the maps (n, h, w) that it is of, normalised where that is set."""
        if self.settings.map.normalise:
            maps = anomaly_maps.normalise(maps, self.map_mean, self.map_spread)
        return anomaly_maps.pool(maps, self.settings.map.pooling), maps

    def _batch(self, images: np.ndarray) -> torch.Tensor:
        chunk = tensors.network_images(images, self.settings.image_size, self.settings.colour)
        return chunk.to(self.device).float().div_(255).to(memory_format=torch.channels_last)

    def traced(self, images: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        pixels = tensors.fit_network(images, self.settings.image_size, self.settings.colour)
        codes, raw, _ = self._differ(pixels.float().div(255))
        error, maps = self._pooled(raw)
        return {self.error_name: error} | self.traced_latent_parts(codes), maps.float()

    def measure(self, images: np.ndarray) -> Parts:
        measured = threads.map_images(self._measure_one, images)
        parts = {name: np.concatenate([one.parts[name] for one in measured]) for name in self.part_names}
        maps = np.concatenate([one.maps for one in measured])
        return Parts(parts, maps, np.concatenate([one.reconstructions for one in measured]))

    def _measure_one(self, image: np.ndarray) -> Parts:
        codes, raw, made = self.difference(image)
        error, maps = self._pooled(raw)
        parts = {self.error_name: error.numpy()} | self.latent_parts(codes)
        parts = {name: values.astype(np.float64) for name, values in parts.items()}
        return Parts(parts, maps.float().numpy(), tensors.display_images(made))

    @torch.inference_mode()
    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        return tensors.display_images(self.encode_decode(self._batch(images))[1])

    def latent_parts(self, codes: torch.Tensor) -> dict[str, np.ndarray]:
        """Return further partial scores, computed from the codes alone. None by default."""
        return {}

    def traced_latent_parts(self, codes: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what `latent_parts` does, by torch operations alone."""
        return {}

    def state(self) -> dict[str, np.ndarray]:
        return {"map_mean": self.map_mean.numpy(), "map_spread": self.map_spread.numpy()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        self.map_mean = torch.from_numpy(arrays["map_mean"])
        self.map_spread = torch.from_numpy(arrays["map_spread"])
