"""Base class of all detectors: fit, calibrate, score, save, load."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from mlproject.core import params
from mlproject.core.errors import UserError
from mlproject.core.files import demand_files, written_whole
from mlproject.models.components.combination import FEWEST, Combination
from mlproject.models.components.heat_scale import HeatScale
from mlproject.models.components.search_space import THRESHOLD, Space
from mlproject.training import memory
from mlproject.training.loop import History
from mlproject.training.run_options import RunOptions

if TYPE_CHECKING:
    import torch

WEIGHTS = "weights.safetensors"
DESCRIPTION = "model.json"

memory.keep_between_photos()  # of every process that loads a detector


@dataclass(frozen=True)
class Labelled:
    """Images whose label is known, for a supervised detector to learn from.

    Attributes:
        images: (n, s, s, 3) uint8.
        labels: (n,) 0 good, 1 defective.
        originals: (n,) the same for an image and its copies; None: none is a copy.
    """

    images: np.ndarray
    labels: np.ndarray
    originals: np.ndarray | None = None


@dataclass(frozen=True)
class Parts:
    """What a detector measures on n images, before its parts are combined into one score.

    Attributes:
        parts: name → (n,) float64, finite, higher = more anomalous.
        maps: (n, h, w) float32 anomaly maps at the model's input size, higher = more anomalous.
        reconstructions: (n, h, w, 3) uint8, what the model makes of the image; None if it makes none.
    """

    parts: dict[str, np.ndarray]
    maps: np.ndarray
    reconstructions: np.ndarray | None


@dataclass(frozen=True)
class Scored(Parts):
    """`Parts` with the one score that decisions are made on.

    Attributes:
        scores: (n,) float64, finite, higher = more anomalous.
    """

    scores: np.ndarray = field(default_factory=lambda: np.empty(0))


class Detector(ABC):
    """An image anomaly detector.

    >>> from mlproject import models
    >>> good = np.random.default_rng(0).integers(100, 120, (40, 32, 32, 3), dtype=np.uint8)
    >>> detector = models.create("pca", params.value("models.pca") | {"image_size": 32})
    >>> history = detector.fit(good[:20], good[20:30], RunOptions(seed=0))
    >>> detector.calibrate(good[30:])
    >>> good_score, inverted_score = detector.score(np.stack([good[0], 255 - good[0]])).scores
    >>> bool(inverted_score > good_score)
    True

    Images are always (n, s, s, 3) uint8 RGB at the prepared size; the model itself shrinks them,
    makes them grey and scales them, so that whoever holds a saved model need not know how.

    Attributes:
        part_names: names of the partial scores, in order.
        paper_rule: how the paper set this model's thresholds, a name in `paper_protocol.RULES`;
            None for a model that the paper does not have.
        supervised: it learns from labelled images too (`data/labelled_pool.py`).
        data_parallel: its training can be shared out to several processes (`training/data_parallel.py`).
        uses_seed: a seed changes what it learns.
        extendable_images: training images up to which it can be extended; 0: it never can.
        threshold_roles: roles of the good images that set the threshold: neither weights nor epoch nor map
            statistics were chosen by them; `train` of a detector that has `left_out_parts`.
        search_space: what a tuning may vary, by dotted key of `Parameters`, and the false-alarm rate.
        added_settings: what an older release's saved models lack → the value that they worked with.
        settings: the model's section of params.yaml.
        combination: how parts become one score; None until `calibrate`.
        heat_scale: of the colours that all its maps are shown in; None until `calibrate`, and in a model
            that release 0.1 saved.
    """

    Parameters: ClassVar[type[params.Section]]
    part_names: ClassVar[tuple[str, ...]]
    paper_rule: ClassVar[str | None] = None
    supervised: ClassVar[bool] = False
    data_parallel: ClassVar[bool] = False
    uses_seed: ClassVar[bool] = True
    extendable_images: ClassVar[int] = 0
    threshold_roles: ClassVar[tuple[str, ...]] = ("calibration",)
    search_space: ClassVar[Space] = THRESHOLD
    added_settings: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.combination: Combination | None = None
        self.heat_scale: HeatScale | None = None

    @property
    def name(self) -> str:
        """The name of the model's file."""
        return type(self).__module__.rsplit(".", 1)[-1]

    @abstractmethod
    def fit(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        run: RunOptions,
        labelled: Labelled | None = None,
    ) -> History:
        """Learn what good images look like; return epoch, loss and validation_loss of every epoch.

        Args:
            train: (n, s, s, 3) uint8 good images to learn from.
            validation: (m, s, s, 3) uint8 good images that choose the epoch.
            run: seed, device, precision, checkpoint, and what is called after each epoch.
            labelled: good and defective images, for a supervised detector; None for any other.
        """

    def why_not_learnt(self, train: np.ndarray, validation: np.ndarray) -> str | None:
        """Return why a fitted detector has learnt nothing, in words; None if it has, or if it cannot tell.

        Args:
            train, validation: as `fit` had them.
        """
        return None

    def after_fit(self, train: np.ndarray, validation: np.ndarray) -> None:  # noqa: B027
        """Compute from the trained network what scoring needs in addition. Nothing by default.

        `fit` calls it at its end; a tuning calls it between epochs too, to see how far a training has come.
        It draws no random number and leaves the network's weights alone, so the training goes on the same.
        """

    @property
    def part_weights(self) -> Mapping[str, float]:
        """How much each part counts in the score (see `Combination`); 1 for a part that is not named."""
        return {}

    @property
    def epoch_limit(self) -> int:
        """The most epochs that `fit` may take; 1 where all is computed at once."""
        return 1

    def extended(self, added: np.ndarray, keep: np.ndarray) -> Self:
        """Return a detector, not yet calibrated, of other training images, without fitting it again.

        Args:
            added: (m, s, s, 3) uint8 good images to learn from as well; they come last in the new order.
            keep: (n,) bool, of each image that `fit` or `extended` had, in that order: whether it stays.

        Raises:
            UserError: this model cannot be extended; by default none can.
        """
        raise UserError(
            f"{self.name} cannot be extended: what it learnt from one image cannot be separated from what "
            "it learnt from the others."
        )

    def left_out_parts(self) -> dict[str, np.ndarray]:
        """Return the parts (n,) of each image that was learnt from, measured without it; {}: it cannot tell.

        In the order in which `fit` or `extended` had them. Unless an image has a copy among the others, its
        parts are as those of new images, or nearly.
        """
        return {}

    @classmethod
    def needs_folds(cls, calibration: str) -> bool:
        """Return whether its threshold needs further models, each trained without some of the good images.

        Args:
            calibration: `params.Split.calibration`. With ``cross`` all good images set the threshold; those
                that were learnt from need another model, unless there are `left_out_parts`.
        """
        return calibration == "cross" and "train" not in cls.threshold_roles

    @abstractmethod
    def measure(self, images: np.ndarray) -> Parts:
        """Return the partial scores, anomaly maps and reconstructions of (n, s, s, 3) uint8 images."""

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Return every array that `load` needs."""

    @abstractmethod
    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the arrays of `state` back."""

    def reconstruct(self, images: np.ndarray) -> np.ndarray | None:
        """Return (n, h, w, 3) uint8 reconstructions, also while training; None if it makes none."""
        return None

    def traced(self, images: "torch.Tensor") -> "tuple[dict[str, torch.Tensor], torch.Tensor]":
        """Return the parts (n,) and maps (n, h, w) that `measure` does, by torch operations alone.

        What `onnx_export` records; by default a model cannot be exported.

        Args:
            images: (n, s, s, 3) uint8.

        Raises:
            UserError: this model cannot be exported.
        """
        raise UserError(f"{self.name} cannot be exported to ONNX: its scores are not one pass of a network.")

    def parameter_count(self) -> int:
        """Return how many numbers were learnt by gradient descent; 0 where there are none."""
        return 0

    @property
    def outside_weights(self) -> Mapping[str, Any] | None:
        """What is known of weights that were learnt elsewhere, trained_on among it; None: none are.

        Known once the detector is fitted.
        """
        return None

    def network_parts(self) -> dict[str, Any]:
        """Return name → torch Sequential, from image to output, for the figure of its layout.

        They begin with a convolution of an image of `settings.image_size`. {} of what is no such chain.
        """
        return {}

    def calibrate(
        self,
        good_images: np.ndarray,
        unseen: Mapping[str, np.ndarray] | None = None,
        unseen_maps: np.ndarray | None = None,
    ) -> None:
        """Learn, from good images that were not trained on, how parts become a score, and maps pictures.

        On images that chose the epoch or a map's statistics, the part that was fitted closest to them looks
        smaller than on new images, and then outweighs the others; and hardly a pixel deviates from a mean
        and spread that it set itself.

        Args:
            good_images: (n, s, s, 3) uint8.
            unseen: parts of other good images, which chose neither the epoch nor a map's statistics. With
                fewer than `combination.FEWEST` of them the parts of `good_images` are combined instead.
            unseen_maps: (m, h, w) maps of such images; without any, those of `good_images` set the colours.
        """
        measured = self.measure(good_images)
        if unseen is None or _count(unseen) < FEWEST:
            unseen = measured.parts
        if unseen_maps is None or not len(unseen_maps):
            unseen_maps = measured.maps
        self.combination = Combination.fit(unseen, self.part_weights)
        self.heat_scale = HeatScale.from_good_maps(unseen_maps)

    def threshold_scores(self, unseen: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return (n,) scores, for a threshold, of the good images whose parts `calibrate` had as `unseen`.

        Raises:
            RuntimeError: the detector is not calibrated.
        """
        if self.combination is None:
            raise RuntimeError("calibrate the detector before scoring")
        if _count(unseen) < FEWEST or len(self.part_names) == 1:
            return self.combination.apply(unseen)
        return Combination.left_out_scores(unseen, self.part_weights)

    def score(self, images: np.ndarray) -> Scored:
        """Return scores, maps and reconstructions of (n, s, s, 3) uint8 images.

        Raises:
            RuntimeError: the detector is not calibrated.
        """
        if self.combination is None:
            raise RuntimeError("calibrate the detector before scoring")
        measured = self.measure(images)
        scores = self.combination.apply(measured.parts)
        if not np.isfinite(scores).all():
            raise UserError("scores are not finite: training diverged; lower the learning rate")
        return Scored(**vars(measured), scores=scores)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and model.json; the folder appears whole or not at all."""
        from safetensors.numpy import save

        arrays = {name: np.ascontiguousarray(array) for name, array in self.state().items()}
        description = {
            "model": self.name,
            "settings": self.settings.model_dump(),
            "combination": self.combination.as_dict() if self.combination else None,
            "heat_scale": asdict(self.heat_scale) if self.heat_scale else None,
        }
        with written_whole(folder) as part:
            (part / WEIGHTS).write_bytes(save(arrays))
            (part / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
            demand_files(part, (WEIGHTS, DESCRIPTION))


def _count(parts: Mapping[str, np.ndarray]) -> int:
    return len(next(iter(parts.values())))
