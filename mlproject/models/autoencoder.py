"""What the autoencoders share: trained to return a good image, judged by where they fail to."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import nn

from mlproject import anomaly_maps, noise, training
from mlproject.anomaly_maps import MapSettings
from mlproject.models import blocks
from mlproject.models.base import Detector, Parts
from mlproject.params import Section
from mlproject.training import Epoch


class AutoencoderParameters(Section):
    """Settings that every autoencoder has."""

    image_size: int = Field(ge=32, le=1024)
    colour: blocks.Colour
    noise: noise.Noise | None
    jitter: float = Field(ge=0, le=0.5)
    map: MapSettings
    optimiser: Literal["adam", "adadelta", "rmsprop"]
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(ge=1)
    epochs: int = Field(ge=1)
    patience: int = Field(ge=1)


class Autoencoder(Detector):
    """Fits a network of the form decoder(encoder(x)) and maps its reconstruction differences."""

    error_name: str

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.channels = 1 if settings.colour == "grey" else 3
        self.encoder, self.decoder = self.build()
        self.network: nn.Module = nn.Sequential(self.encoder, self.decoder)
        self.device = "cpu"
        size = settings.image_size
        self.map_mean, self.map_spread = torch.zeros(size, size), torch.ones(size, size)

    @abstractmethod
    def build(self) -> tuple[nn.Module, nn.Module]:
        """Return a new encoder and decoder."""

    def fit(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        *,
        seed: int,
        device: str = "cpu",
        precision: str = "float32",
        checkpoint: Path | None = None,
        on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    ) -> list[dict[str, float]]:
        settings = self.settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder, self.decoder = self.build()
            blocks.initialise(self.encoder, self.decoder)
        self.device = device
        self.network = nn.Sequential(self.encoder, self.decoder).to(device)
        self.network.to(memory_format=torch.channels_last)
        images = blocks.network_images(train, settings.image_size, settings.colour)
        held_out = blocks.network_images(validation, settings.image_size, settings.colour)
        progress = training.train(
            self.network,
            blocks.optimiser(settings.optimiser, self.network, settings.learning_rate),
            self.batch_loss,
            images,
            held_out,
            training.Schedule(settings.batch_size, settings.epochs, settings.patience),
            seed=seed,
            device=device,
            precision=precision,
            checkpoint=checkpoint,
            on_epoch=on_epoch,
        )
        self.after_fit(train, validation)
        return progress.history

    def batch_loss(self, network: nn.Module, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the mean squared error (both papers' autoencoders: MSE), of corrupted input if set."""
        if network.training:
            batch = blocks.jitter(batch, self.settings.jitter, generator)
        target = batch
        if self.settings.noise:
            batch, target = noise.inject(batch, self.settings.noise, generator)
        return F.mse_loss(network(batch).float(), target)

    def after_fit(self, train: np.ndarray, validation: np.ndarray) -> None:
        """Learn, where the map is normalised, each pixel's usual difference from validation images."""
        if self.settings.map.normalise:
            maps = torch.cat([maps for _, maps, _ in self._differences(validation)])
            mean, spread = anomaly_maps.pixel_statistics(maps)
            self.map_mean, self.map_spread = mean.float(), spread.float()

    @torch.inference_mode()
    def _differences(self, images: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield (latent codes (n, …), raw maps (n, h, w), reconstructions (n, c, h, w)) a chunk at a time."""
        self.network.eval()
        for start in range(0, len(images), blocks.CHUNK):
            chunk = blocks.network_images(
                images[start : start + blocks.CHUNK], self.settings.image_size, self.settings.colour
            )
            batch = chunk.to(self.device).float().div_(255).to(memory_format=torch.channels_last)
            codes = self.encoder(batch)
            made = self.decoder(codes)
            # float64: SSIM subtracts nearly equal numbers, and a score must not depend on its batch
            maps = anomaly_maps.difference(batch.double(), made.double(), self.settings.map)
            yield codes.cpu(), maps.cpu(), made.cpu()

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
        self.network.eval()
        batch = blocks.network_images(images, self.settings.image_size, self.settings.colour)
        return blocks.display_images(self.network(batch.to(self.device).float().div_(255)))

    def parameter_count(self) -> int:
        return sum(weights.numel() for weights in self.network.parameters())

    def latent_parts(self, codes: torch.Tensor) -> dict[str, np.ndarray]:
        """Return further partial scores, judged from the latent codes alone. None by default."""
        return {}

    def state(self) -> dict[str, np.ndarray]:
        arrays = {
            f"network.{k}": v.detach().cpu().contiguous().numpy()
            for k, v in self.network.state_dict().items()
        }
        return arrays | {"map_mean": self.map_mean.numpy(), "map_spread": self.map_spread.numpy()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        weights = {
            k.removeprefix("network."): torch.from_numpy(v)
            for k, v in arrays.items()
            if k.startswith("network.")
        }
        self.network.load_state_dict(weights)
        self.map_mean = torch.from_numpy(arrays["map_mean"])
        self.map_spread = torch.from_numpy(arrays["map_spread"])
