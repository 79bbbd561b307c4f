"""Base class of the autoencoders: a network decoder(encoder(x)), trained to return a good image."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field, model_validator
from torch import nn

from mlproject.data import tensors
from mlproject.models.components import layers, noise
from mlproject.models.components.detector import Labelled
from mlproject.models.components.reconstruction import (
    CONSTANT,
    ReconstructionDetector,
    ReconstructionParameters,
)
from mlproject.models.components.search_space import Choice, Range, Space
from mlproject.training import loop
from mlproject.training.batches import random_source
from mlproject.training.loop import History
from mlproject.training.run_options import RunOptions

NOISE = 1 << 20  # names the random numbers of noise that is drawn once: no epoch has this number
# In [0, 1], a quarter of a grey level. While no better than one plain colour, the pictures of dying networks
# differ by .0005 at most, those of networks that then learn by .003 at least
# (benchmarks/dying_networks.py --side 128 --images 160).
DYING = 1e-3
WATCHED = 10  # a network dies in its first epochs or not at all
# kinds of noise with which training goes fast; null trains without
NOISES = (None, "gaussian", "salt_and_pepper", "speckle", "stains", "patches", "structured")
TRAINING_SPACE: Space = {
    "noise.kind": Choice(NOISES),
    "noise.variance": Range(0.001, 0.2, log=True),
    "noise.share": Range(0.1, 1.0),
    "noise.target": Choice(("clean",)),  # "noisy" is the paper's mistake, not an option
    "learning_rate": Range(0.0003, 0.003, log=True),
}


class AutoencoderParameters(ReconstructionParameters):
    """Settings that every autoencoder has."""

    noise: noise.Noise | None
    jitter: float = Field(ge=0, le=0.5)
    optimiser: Literal["adam", "adadelta", "rmsprop"]
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(ge=1)
    epochs: int = Field(ge=1)
    patience: int = Field(ge=1)

    @property
    def shrinking(self) -> int:
        """How many pixels of a side become one value of the code."""
        return 1

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        step = self.shrinking
        if self.image_size % step:
            below = self.image_size // step * step
            near = " or ".join(str(size) for size in (below, below + step) if 32 <= size <= 1024)
            raise ValueError(
                f"image_size {self.image_size} cannot be halved to whole pixels: it must be a multiple of "
                f"{step}, such as {near}"
            )
        return self


class Dead(Exception):
    """The network returns the same for every image and no longer learns."""


class Autoencoder(ReconstructionDetector):
    """Fits decoder(encoder(x)) by gradient descent; a model only builds the two."""

    data_parallel = True
    search_space: ClassVar[Space] = {**ReconstructionDetector.search_space, **TRAINING_SPACE}

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.encoder, self.decoder = self.build()
        self.network: nn.Module = nn.Sequential(self.encoder, self.decoder)

    @abstractmethod
    def build(self) -> tuple[nn.Module, nn.Module]:
        """Return a new encoder and decoder."""

    @property
    def epoch_limit(self) -> int:
        return self.settings.epochs

    def fit(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        run: RunOptions,
        labelled: Labelled | None = None,
    ) -> History:
        """As `Detector.fit`.

        A network that dies (on a dark background, its first steps can drive every output to black, where no
        gradient is left) starts again, with its last bias at the logit of the mean training image's colour.
        """
        again = run.checkpoint and run.checkpoint.with_name(
            f"{run.checkpoint.stem}.again{run.checkpoint.suffix}"
        )
        if not (again and again.exists()):
            try:
                return self._train(
                    train, validation, replace(run, on_epoch=self._watched(train, validation, run))
                )
            except Dead:
                print(
                    f"{self.name}: the network died: it returns the same for every image. "
                    "Training starts again from the colour of the mean training image.",
                    flush=True,
                )
        return self._train(train, validation, replace(run, checkpoint=again), from_mean=True)

    def _watched(
        self, train: np.ndarray, validation: np.ndarray, run: RunOptions
    ) -> Callable[[loop.Epoch], None]:
        """Return the run's `on_epoch`, but that the first epochs raise Dead where the network has died."""
        of_mean, of_colour = self.mean_errors(train, validation)

        def on_epoch(epoch: loop.Epoch) -> None:
            if epoch.number <= WATCHED and not epoch.validation_loss < of_mean:
                # large images: dying takes many epochs, and meanwhile a plain colour would be better
                alike = CONSTANT if epoch.validation_loss < of_colour else DYING
                if self.variation(validation) < alike:
                    raise Dead
            run.on_epoch(epoch)

        return on_epoch

    def _train(
        self, train: np.ndarray, validation: np.ndarray, run: RunOptions, from_mean: bool = False
    ) -> History:
        settings = self.settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            self.encoder, self.decoder = self.build()
            layers.initialise(self.encoder, self.decoder)
        self.device = run.device
        self.network = nn.Sequential(self.encoder, self.decoder).to(run.device)
        self.network.to(memory_format=torch.channels_last)
        images = tensors.network_images(train, settings.image_size, settings.colour)
        if from_mean:
            self._start_from_mean(images)
        validation_images = tensors.network_images(validation, settings.image_size, settings.colour)
        corrupted = [
            self._corrupted_once(part, run.seed, k) for k, part in enumerate((images, validation_images))
        ]
        progress = loop.train(
            self.network,
            layers.optimiser(settings.optimiser, self.network, settings.learning_rate),
            self.draw,
            self.loss,
            images,
            validation_images,
            loop.Schedule(settings.batch_size, settings.epochs, settings.patience),
            run,
            labels=corrupted[0],
            validation_labels=corrupted[1],
        )
        self.after_fit(train, validation)
        return progress.history

    def _corrupted_once(self, images: torch.Tensor, seed: int, purpose: int) -> torch.Tensor | None:
        """Return what stands for (n, c, h, w) uint8 images as input; None where noise is drawn each time."""
        if self.settings.noise is None or self.settings.noise.redraw:
            return None
        return noise.corrupt_once(images, self.settings.noise, random_source(seed, NOISE, purpose))

    @torch.no_grad()
    def _start_from_mean(self, images: torch.Tensor) -> None:
        """Set the last bias so that an output of nothing else has the mean colour of (n, c, h, w) uint8."""
        last = [layer for layer in self.decoder.modules() if isinstance(layer, nn.Conv2d)][-1]
        assert last.bias is not None
        colour = images.double().div(255).mean(dim=(0, 2, 3)).clamp(0.01, 0.99)
        last.bias.copy_(torch.logit(colour))

    def draw(self, batch: Any, generator: torch.Generator, training: bool) -> tuple[torch.Tensor, ...]:
        """Return what the network is shown, corrupted if set, and what it must return, both (n, c, h, w).

        Args:
            batch: (n, c, h, w) in [0, 1]; with noise that is drawn once, the pair of it and the same images,
                uint8, some corrupted.
        """
        injected, change = self.settings.noise, None
        if isinstance(batch, tuple):
            batch, corrupted = batch
            change = corrupted.float() / 255 - batch
        if training:
            batch = tensors.jitter(batch, self.settings.jitter, generator)
        shown = target = batch
        if change is not None:
            shown = (batch + change).clamp(0, 1)
            target = shown if injected.target == "noisy" else batch
        elif injected:
            shown, target = noise.inject(batch, injected, generator)
        return shown, target

    def loss(self, network: nn.Module, *drawn: torch.Tensor) -> torch.Tensor:
        """Return the loss of what `draw` returned: both papers' autoencoders', the mean squared error."""
        shown, target = drawn
        return F.mse_loss(network(shown).float(), target)

    def encode_decode(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.network.training:
            self.network.eval()
        codes = self.encoder(batch)
        return codes, self.decoder(codes)

    def parameter_count(self) -> int:
        return sum(weights.numel() for weights in self.network.parameters())

    def network_parts(self) -> dict[str, Any]:
        return {"encoder": self.encoder, "decoder": self.decoder}

    def state(self) -> dict[str, np.ndarray]:
        arrays = {
            f"network.{k}": v.detach().cpu().contiguous().numpy()
            for k, v in self.network.state_dict().items()
        }
        return arrays | super().state()

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        super().restore(arrays)
        weights = {
            k.removeprefix("network."): torch.from_numpy(v)
            for k, v in arrays.items()
            if k.startswith("network.")
        }
        self.network.load_state_dict(weights)
        self.network.to(memory_format=torch.channels_last)  # as it was trained; convolutions are quicker
