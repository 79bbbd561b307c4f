"""CNN: the supervised network of the paper (3.4), which trains on labelled good and defective images."""

from functools import partial
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field, model_validator
from torch import nn

from mlproject.core.errors import TooFewImages
from mlproject.core.params import Section
from mlproject.data import tensors
from mlproject.models.components import layers as blocks
from mlproject.models.components import threads
from mlproject.models.components.detector import Detector, Labelled, Parts
from mlproject.models.components.fast_sequential import FastSequential
from mlproject.training import loop
from mlproject.training.loop import History
from mlproject.training.run_options import RunOptions

SHOWN = 32  # images of each role that must not all get the same score
CONSTANT = 1e-6  # log-odds
HELD_FOR_EPOCH = 5  # of each class one labelled image in so many chooses the epoch, if there are so many


class Parameters(Section):
    """Settings of the CNN.

    Attributes:
        filters: of the unpadded 3 × 3 convolutions, each followed by a halving; then `hidden` units.
        class_weighting: a defective image counts as often as there are more good ones.
        augment: turn and mirror training images at random (the part may then lie any way round).
    """

    image_size: int = Field(ge=32, le=1024)
    colour: tensors.Colour
    filters: blocks.Filters
    hidden: int = Field(ge=1)
    class_weighting: bool
    augment: bool
    jitter: float = Field(ge=0, le=0.5)
    optimiser: Literal["adam", "adadelta", "rmsprop"]
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(ge=1)
    epochs: int = Field(ge=1)
    patience: int = Field(ge=1)

    @model_validator(mode="after")
    def _large_enough(self) -> "Parameters":
        if self.last_side < 1:
            raise ValueError(
                f"image_size {self.image_size} is too small for {len(self.filters)} unpadded convolutions"
            )
        return self

    @property
    def last_side(self) -> int:
        """Side of the last feature map, pixels; below 1 the image is too small."""
        side = self.image_size
        for _ in self.filters:
            side = (side - 2) // 2
        return side


class CNN(Detector):
    """622,753 parameters at the paper's 200 × 200 with 512 hidden units. Score: log-odds of defective.

    The paper's authors trained it on good images alone; here it learns from the labelled pool too, and its
    threshold comes from good images, as everyone's. The map: Grad-CAM (Selvaraju et al. 2017).
    """

    Parameters = Parameters
    part_names = ("log_odds",)
    paper_rule = "even_odds"
    supervised = True
    data_parallel = True

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.channels = 1 if settings.colour == "grey" else 3
        self.device = "cpu"
        self.features, self.head = self.build()
        self.mean, self.spread = torch.zeros(self.channels), torch.ones(self.channels)

    def build(self) -> tuple[nn.Sequential, nn.Sequential]:
        """Return the convolutions, image → (n, c, h, w), and what makes log-odds (n, 1) of these."""
        layers: list[nn.Module] = []
        channels = self.channels
        for width in self.settings.filters:
            layers += [nn.Conv2d(channels, width, 3), nn.ReLU(), nn.MaxPool2d(2)]
            channels = width
        flat, hidden = channels * self.settings.last_side**2, self.settings.hidden
        head = nn.Sequential(
            layers.pop(), nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )
        return FastSequential(*layers), head

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

        Raises:
            TooFewImages: no labelled image is defective: there is nothing to tell good from.
        """
        labelled, settings = self.demand_defects(labelled), self.settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            self.features, self.head = self.build()
            blocks.initialise(self.features, self.head)
        self.device = run.device
        network = nn.Sequential(self.features, self.head).to(run.device).to(memory_format=torch.channels_last)
        learn, choose = for_weights_and_epoch(labelled.labels, labelled.originals)
        images, labels = self._with_labels(train, labelled, learn)
        validation_images, validation_labels = self._with_labels(validation, labelled, choose)
        self.mean, self.spread = _channel_statistics(images)
        defects = float(labels.sum())
        weight = (len(labels) - defects) / defects if settings.class_weighting and defects else 1.0
        return loop.train(
            network,
            blocks.optimiser(settings.optimiser, network, settings.learning_rate),
            self.draw,
            partial(self.loss, weight=torch.tensor(weight, device=run.device)),
            images,
            validation_images,
            loop.Schedule(settings.batch_size, settings.epochs, settings.patience),
            run,
            labels=labels,
            validation_labels=validation_labels,
        ).history

    def demand_defects(self, labelled: Labelled | None) -> Labelled:
        """Return what is learnt from; raise TooFewImages where no image of it is defective."""
        if labelled is None or not labelled.labels.any():
            raise TooFewImages(
                "cnn: the labelled pool has no defective image to learn from (each type keeps half of its "
                "images, and the odd one, held out). Add defective test images, or take cnn out of detectors."
            )
        return labelled

    def why_not_learnt(self, train: np.ndarray, validation: np.ndarray) -> str | None:
        log_odds = self.measure(np.concatenate([train[:SHOWN], validation[:SHOWN]])).parts["log_odds"]
        if np.ptp(log_odds) > CONSTANT:
            return None
        return f"it gives every image the same log-odds, {log_odds[0]:.3f}"

    def _with_labels(
        self, good: np.ndarray, labelled: Labelled, rows: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (n, c, h, w) uint8 and (n,) float labels of good images and some labelled ones."""
        size, colour = self.settings.image_size, self.settings.colour
        shown = [tensors.network_images(images, size, colour) for images in (good, labelled.images[rows])]
        labels = np.concatenate([np.zeros(len(good)), labelled.labels[rows]])
        return torch.cat(shown), torch.from_numpy(labels).float()

    def draw(self, batch: Any, generator: torch.Generator, training: bool) -> tuple[torch.Tensor, ...]:
        """Return images (n, c, h, w), varied for training, and their labels (n,)."""
        images, labels = batch
        if training:
            images = tensors.jitter(images, self.settings.jitter, generator)
            images = tensors.turn(images, generator) if self.settings.augment else images
        return images, labels

    def loss(self, network: nn.Module, *drawn: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of what `draw` returned; a defective image counts `weight` times."""
        images, labels = drawn
        log_odds = network(self._normalised(images))[:, 0].float()
        return F.binary_cross_entropy_with_logits(log_odds, labels, pos_weight=weight)

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        mean, spread = (a.to(images.device)[:, None, None] for a in (self.mean, self.spread))
        return (images - mean) / spread

    def network_parts(self) -> dict[str, Any]:
        return {"features": self.features, "head": self.head}

    def measure(self, images: np.ndarray) -> Parts:
        log_odds, maps = zip(*threads.map_images(self._predict_one, images), strict=True)
        parts = {"log_odds": torch.cat(log_odds).double().numpy()}
        return Parts(parts, torch.cat(maps).float().numpy(), None)

    @torch.inference_mode()
    def _predict_one(self, image: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the log-odds (1,) and the map (1, h, w) of a (1, s, s, 3) image."""
        pixels = tensors.network_images(image, self.settings.image_size, self.settings.colour)
        batch = self._normalised(pixels.to(self.device).float().div_(255))
        log_odds, maps = self._predict(batch.to(memory_format=torch.channels_last))
        return log_odds.cpu(), maps.cpu()

    def _predict(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-odds (n,) and maps (n, h, w) of (n, c, h, w) normalised images."""
        features = self.features(batch)
        pool, flatten, first, relu, last = self.head
        pooled = pool(features)
        hidden = first(flatten(pooled))
        # The gradient of the log-odds, written out (an exported graph has no autograd): each pooled value
        # hands its own to the one place that it came from, so that their sum is that over all places.
        gradient = ((hidden > 0) * last.weight) @ first.weight
        weights = gradient.reshape(pooled.shape).sum(dim=(2, 3), keepdim=True) / features[0, 0].numel()
        places = (weights * features).sum(dim=1, keepdim=True).relu()
        size = (self.settings.image_size,) * 2
        maps = F.interpolate(places, size, mode="bilinear", align_corners=False)
        return last(relu(hidden))[:, 0], maps[:, 0]

    def traced(self, images: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        pixels = tensors.fit_network(images, self.settings.image_size, self.settings.colour)
        log_odds, maps = self._predict(self._normalised(pixels.float().div(255)))
        return {"log_odds": log_odds.double()}, maps

    def parameter_count(self) -> int:
        return sum(w.numel() for part in (self.features, self.head) for w in part.parameters())

    def state(self) -> dict[str, np.ndarray]:
        weights = nn.ModuleDict(self.network_parts()).state_dict()
        arrays = {name: value.detach().cpu().contiguous().numpy() for name, value in weights.items()}
        return arrays | {"mean": self.mean.numpy(), "spread": self.spread.numpy()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self.mean, self.spread = weights.pop("mean"), weights.pop("spread")
        nn.ModuleDict(self.network_parts()).load_state_dict(weights)


def for_weights_and_epoch(
    labels: np.ndarray, originals: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that weights are learnt from, and those that choose the epoch.

    Of a class with fewer than HELD_FOR_EPOCH images all do both: too few labels to spare one. An image and
    its copies count as one and stay together.

    Args:
        labels, originals: (n,), as `Labelled` has them.
    """
    originals = np.arange(len(labels)) if originals is None else originals
    learn, choose = [], []
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        different = list(dict.fromkeys(originals[rows].tolist()))
        spared = rows[np.isin(originals[rows], different[HELD_FOR_EPOCH - 1 :: HELD_FOR_EPOCH])]
        learn.append(np.setdiff1d(rows, spared))
        choose.append(spared if len(spared) else rows)
    return np.concatenate(learn), np.concatenate(choose)


def _channel_statistics(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and spread (c,) of (n, c, h, w) uint8 images, in [0, 1]; the spread .01 at least."""
    values = images.double().div_(255).transpose(0, 1).flatten(1)
    return values.mean(dim=1).float(), values.std(dim=1).clamp(min=0.01).float()


MODEL = CNN
