"""AnoGAN: anomaly scores from how well a GAN trained on good images can reproduce an image.

The paper (section 5) leaves it as future work. Implemented here as f-AnoGAN (Schlegl et al. 2019, "f-AnoGAN:
Fast unsupervised anomaly detection with generative adversarial networks"): a DCGAN learns to make good
images, then an encoder learns to find the z from which it makes a given one.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import nn

from mlproject.data import tensors
from mlproject.generators import dcgan
from mlproject.generators.base import GeneratorEpoch
from mlproject.models.components.detector import Labelled
from mlproject.models.components.reconstruction import ReconstructionDetector, ReconstructionParameters
from mlproject.models.components.search_space import Range, Space
from mlproject.training import loop
from mlproject.training.batches import batches
from mlproject.training.loop import Epoch, History
from mlproject.training.run_options import RunOptions


class Parameters(dcgan.Parameters, ReconstructionParameters):
    """Settings of AnoGAN: those of its DCGAN, and of the encoder.

    Attributes:
        epochs: of the DCGAN, and at most of the encoder after it.
        encoder_learning_rate: Adam's.
        patience: the encoder stops after this many epochs without a better validation loss.
        feature_weight: of the feature distance in the encoder's loss (kappa of the f-AnoGAN paper; there 1).
    """

    image_size: Literal[32, 64, 128]
    colour: Literal["rgb", "grey3"]
    encoder_learning_rate: float = Field(gt=0)
    patience: int = Field(ge=1)
    feature_weight: float = Field(ge=0)


class GanEpoch(Epoch):
    """An epoch of the DCGAN: there is no encoder yet, so validation images have no loss (infinity)."""

    def in_words(self) -> str:
        return f"learning to make images: discriminator loss {self.loss:.3f}"


class AnoGAN(ReconstructionDetector):
    """Two parts: where image and remade image differ, and how far apart the discriminator's features lie."""

    Parameters = Parameters
    part_names = ("reconstruction_error", "feature_distance")
    error_name = "reconstruction_error"
    search_space: ClassVar[Space] = {
        **ReconstructionDetector.search_space,
        "learning_rate": Range(0.0001, 0.0005, log=True),
        "instance_noise": Range(0.1, 0.6),
        "encoder_learning_rate": Range(0.0002, 0.002, log=True),
        "feature_weight": Range(0.1, 10, log=True),
    }

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.gan = dcgan.DCGAN(settings, "models.anogan")
        self.encoder = build_encoder(settings)

    @property
    def epoch_limit(self) -> int:
        return 2 * self.settings.epochs

    @property
    def networks(self) -> dict[str, nn.Sequential]:
        """Return all that is learnt, by its name in the saved state."""
        return {
            "generator": self.gan.network,
            "discriminator": self.gan.discriminator,
            "encoder": self.encoder,
        }

    def fit(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        run: RunOptions,
        labelled: Labelled | None = None,
    ) -> History:
        """As `Detector.fit`: the DCGAN's epochs, then the encoder's; the best of these is kept.

        In the DCGAN's epochs `loss` is the discriminator's, and `validation_loss` infinite.

        Raises:
            UserError: nothing can be learnt from the images (`DCGAN.prepare`), or a loss is not finite.
        """
        settings, self.device = self.settings, run.device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            self.encoder = build_encoder(settings)
            dcgan.initialise(self.encoder)
        self.encoder.to(run.device).to(memory_format=torch.channels_last)
        self.gan.prepare(train)  # refuses what is too small before it is enlarged below
        images, validation_images = (
            tensors.network_images(part, settings.image_size, settings.colour) for part in (train, validation)
        )

        def on_gan_epoch(epoch: GeneratorEpoch) -> None:
            loss, per_second = epoch.losses["discriminator_loss"], len(train) / epoch.seconds
            run.on_epoch(
                GanEpoch(epoch.number, self.epoch_limit, loss, math.inf, 0, epoch.seconds, per_second)
            )

        gan_checkpoint = _beside(run.checkpoint, "gan")
        game = self.gan.fit(
            images.permute(0, 2, 3, 1).numpy(),
            replace(run, checkpoint=gan_checkpoint, on_epoch=on_gan_epoch),
        )
        for network in (self.gan.network, self.gan.discriminator):
            network.eval().requires_grad_(False)
        self._measure_spread(images)
        progress = loop.train(
            self.encoder,
            torch.optim.Adam(self.encoder.parameters(), lr=settings.encoder_learning_rate),
            lambda batch, generator, training: (batch * 2 - 1,),
            self.encoder_loss,
            images,
            validation_images,
            loop.Schedule(settings.batch_size, settings.epochs, settings.patience),
            replace(
                run,
                processes=1,  # batch norm: a process would see the mean of its own rows alone
                on_start=lambda: None,
                on_epoch=lambda epoch: run.on_epoch(_after(settings.epochs, epoch)),
            ),
        )
        self.after_fit(train, validation)
        rows = [
            {"epoch": row["epoch"], "loss": row["discriminator_loss"], "validation_loss": math.inf}
            for row in game
        ]
        return rows + [row | {"epoch": row["epoch"] + len(game)} for row in progress.history]

    def encoder_loss(self, encoder: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Return the f-AnoGAN paper's izi_f: how image and remade image differ, in pixels and in features.

        Each in units of its variance over the training images: how far features lie apart depends on how sure
        the discriminator is of itself.

        Args:
            images: (n, 3, s, s) in [-1, 1].
        """
        made = self.gan.network(encoder(images))
        pixels = F.mse_loss(made.float(), images) / self.spread["pixels"]
        features = F.mse_loss(self._features(made).float(), self._features(images).float())
        return pixels + self.settings.feature_weight * features / self.spread["features"]

    @torch.no_grad()
    def _measure_spread(self, images: torch.Tensor) -> None:
        """Learn how far good images lie from their mean: the unit in which the two distances are weighed."""
        order = torch.arange(len(images))
        shown = [batch * 2 - 1 for batch in batches(images, order, tensors.CHUNK, self.device)]
        features = torch.cat([self._features(batch) for batch in shown])
        self.spread = {
            name: values.var(dim=0, unbiased=False).mean()
            for name, values in (("pixels", torch.cat(shown)), ("features", features))
        }

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the discriminator's features: the output of all its layers but the last."""
        return self.gan.discriminator[:-1](images)

    def encode_decode(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return, as codes, (n, 1) distances of features; and reconstructions."""
        for network in self.networks.values():
            network.eval()  # batch norm by what was learnt: a score must not depend on its neighbours
        images = batch * 2 - 1
        made = self.gan.network(self.encoder(images))
        apart = (self._features(images).double() - self._features(made).double()).square()
        return apart.mean(dim=(1, 2, 3))[:, None], made / 2 + 0.5

    def latent_parts(self, codes: torch.Tensor) -> dict[str, np.ndarray]:
        return {"feature_distance": codes[:, 0].numpy()}

    def traced_latent_parts(self, codes: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"feature_distance": codes[:, 0]}

    def parameter_count(self) -> int:
        return sum(weights.numel() for part in self.networks.values() for weights in part.parameters())

    def state(self) -> dict[str, np.ndarray]:
        return super().state() | {
            f"{name}.{key}": value.detach().cpu().contiguous().numpy()
            for name, network in self.networks.items()
            for key, value in network.state_dict().items()
        }

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        super().restore(arrays)
        for name, network in self.networks.items():
            mine = {k: v for k, v in arrays.items() if k.startswith(f"{name}.")}
            network.load_state_dict(
                {k.removeprefix(f"{name}."): torch.from_numpy(v) for k, v in mine.items()}
            )


def build_encoder(settings: Parameters) -> nn.Sequential:
    """Return image (n, 3, s, s) in [-1, 1] → z (n, latent, 1, 1): a discriminator that answers with a z."""
    widest = settings.filters * settings.image_size // (2 * dcgan.START)
    trunk = dcgan.build_discriminator(settings)[:-1]
    return nn.Sequential(*trunk, nn.Conv2d(widest, settings.latent, dcgan.START))


def _beside(checkpoint: Path | None, phase: str) -> Path | None:
    """Return a name that begins as the checkpoint's own, by which it is found and deleted."""
    return checkpoint and checkpoint.with_name(f"{checkpoint.stem}.{phase}{checkpoint.suffix}")


def _after(done: int, epoch: Epoch) -> Epoch:
    """Return an epoch of the encoder, counted from the first of the DCGAN."""
    return replace(
        epoch, number=done + epoch.number, limit=done + epoch.limit, best_epoch=done + epoch.best_epoch
    )


MODEL = AnoGAN
