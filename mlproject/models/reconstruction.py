"""What every model shares that remakes an image as a good one: judged by where the two differ."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from mlproject import anomaly_maps
from mlproject.anomaly_maps import MapSettings
from mlproject.models import blocks
from mlproject.models.base import Detector, Parts
from mlproject.params import Section
from mlproject.search_space import THRESHOLD, Choice, Range, Space

# which map scores the image, and how
MAP_SPACE: Space = {
    "map.kind": Choice(("squared_error", "ssim", "gradient")),
    "map.smoothing": Range(0, 8),
    "map.pooling": Choice(("max", "mean")),
}


class ReconstructionParameters(Section):
    """Settings of every model that reconstructs."""

    image_size: int = Field(ge=32, le=1024)
    colour: blocks.Colour
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

    @abstractmethod
    def encode_decode(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return codes (n, …) and reconstructions (n, c, h, w) of (n, c, h, w) images in [0, 1]."""

    def after_fit(self, train: np.ndarray, validation: np.ndarray) -> None:
        self.learn_usual_differences(validation)

    def learn_usual_differences(self, validation: np.ndarray) -> None:
        """Learn, where the map is normalised, each pixel's usual difference from validation images."""
        if self.settings.map.normalise:
            maps = torch.cat([maps for _, maps, _ in self._differences(validation)])
            mean, spread = anomaly_maps.pixel_statistics(maps)
            self.map_mean, self.map_spread = mean.float(), spread.float()

    @torch.inference_mode()
    def _differences(self, images: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield (codes (n, …), raw maps (n, h, w), reconstructions (n, c, h, w)) a chunk at a time."""
        for start in range(0, len(images), blocks.CHUNK):
            batch = self._batch(images[start : start + blocks.CHUNK])
            codes, made = self.encode_decode(batch)
            # float64: SSIM subtracts nearly equal numbers, and a score must not depend on its batch
            maps = anomaly_maps.difference(batch.double(), made.double(), self.settings.map)
            yield codes.cpu(), maps.cpu(), made.cpu()

    def _batch(self, images: np.ndarray) -> torch.Tensor:
        chunk = blocks.network_images(images, self.settings.image_size, self.settings.colour)
        return chunk.to(self.device).float().div_(255).to(memory_format=torch.channels_last)

    def measure(self, images: np.ndarray) -> Parts:
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self.part_names}
        all_maps, reconstructions = [], []
        for codes, raw, made in self._differences(images):
            maps = raw
            if self.settings.map.normalise:
                maps = anomaly_maps.normalise(raw, self.map_mean, self.map_spread)
            parts[self.error_name].append(anomaly_maps.pool(maps, self.settings.map.pooling).numpy())
            for name, values in self.latent_parts(codes).items():
                parts[name].append(values)
            all_maps.append(maps.float().numpy())
            reconstructions.append(blocks.display_images(made))
        return Parts(
            {name: np.concatenate(values).astype(np.float64) for name, values in parts.items()},
            np.concatenate(all_maps),
            np.concatenate(reconstructions),
        )

    @torch.inference_mode()
    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        return blocks.display_images(self.encode_decode(self._batch(images))[1])

    def latent_parts(self, codes: torch.Tensor) -> dict[str, np.ndarray]:
        """Return further partial scores, judged from the codes alone. None by default."""
        return {}

    def state(self) -> dict[str, np.ndarray]:
        return {"map_mean": self.map_mean.numpy(), "map_spread": self.map_spread.numpy()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        self.map_mean = torch.from_numpy(arrays["map_mean"])
        self.map_spread = torch.from_numpy(arrays["map_spread"])
