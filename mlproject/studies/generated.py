"""Study: do generated images help? CNN and KD-CAE trained with and without them (the authors' future work).

The generated images join the good training images; validation, calibration and held-out images are real and
the same. Both trainings show the same total number of images, as nearly as whole epochs allow: with twice
the images, half the epochs. Labelled images are then shown less often, which the notes state.
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from pydantic import Field, field_validator

from mlproject import generators, models
from mlproject.core import artifacts, files
from mlproject.core.params import Section
from mlproject.evaluation import generation_faults
from mlproject.generators.base import DESCRIPTION, WEIGHTS
from mlproject.models.cnn import for_weights_and_epoch
from mlproject.models.components.detector import Labelled
from mlproject.studies.components import fitting
from mlproject.studies.components.base import MIN_SEEDS, Cell, Result, Study
from mlproject.studies.results import generated as generated_result

ARMS = ("cnn", "kd_cae")
SAMPLE_SEED = 2  # not the images whose quality was measured (1)


class Overrides(Section):
    """Settings of a model in this study; null: as it was trained."""

    image_size: int | None = Field(ge=32, le=1024)
    epochs: int | None = Field(ge=1)
    patience: int | None = Field(ge=1)


class Parameters(Section):
    """Settings of the study.

    Attributes:
        seeds: number of trainings, each with and without generated images.
        share: generated images per real training image.
        generator: a name in generators_used.
    """

    seeds: int = Field(ge=MIN_SEEDS)
    share: float = Field(gt=0, le=10)
    generator: str
    cnn: Overrides
    kd_cae: Overrides

    @field_validator("generator")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in generators.names():
            raise ValueError(f"no such generator. Allowed: {', '.join(generators.names())}")
        return name


class Generated(Study):
    """Needs a generator, and the CNN or KD-CAE among the models of params.yaml; trains both."""

    Parameters = Parameters
    title = "Do generated images help?"

    def __init__(self, settings: Any, inputs: Any) -> None:
        super().__init__(settings, inputs)
        self.images = fitting.ResizedImages(inputs)
        test = inputs.data.manifest.iloc[inputs.test]
        self.label = test["label"].to_numpy()

    @classmethod
    def trained_with(cls, settings: Any, detectors: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the settings that differ here of the models it trains."""
        return {arm: getattr(settings, arm).model_dump() for arm in ARMS}

    def gap(self) -> str | None:
        if self.settings.generator not in self.inputs.generators:
            return f"generators_used in params.yaml does not list {self.settings.generator}"
        if not self.arms:
            return (
                f"params.yaml has neither models.{' nor models.'.join(ARMS)}, or there is nothing to train on"
            )
        return None

    @property
    def code(self) -> tuple[str, ...]:
        return (*super().code, f"mlproject.generators.{self.settings.generator}")

    @property
    def arms(self) -> list[str]:
        """Models to train; the CNN only where it has a defect to learn from."""
        known = [arm for arm in ARMS if self.inputs.known(arm)]
        return [arm for arm in known if arm != "cnn" or self._pool_has_defects]

    @property
    def _pool_has_defects(self) -> bool:
        return bool(self.label[~self.inputs.held_out].any())

    @property
    def count(self) -> int:
        """Number of generated images."""
        return max(1, round(self.settings.share * len(self.inputs.roles.train)))

    def _settings(self, arm: str, count: int) -> dict[str, Any]:
        """Return a model's settings, epochs and patience reduced for `count` more images."""
        overrides = getattr(self.settings, arm).model_dump()
        settings = fitting.overridden(arm, self.inputs.settings_of(arm), overrides, f"generated.{arm}")
        larger = self._in_an_epoch(arm, self.count) / self._in_an_epoch(arm, 0)
        for name in ("epochs", "patience"):
            # the smaller number is rounded first: half of 5 epochs is 2, and 4 epochs show as many images
            fewer = max(1, round(settings[name] / larger))
            settings[name] = fewer if count else round(fewer * larger)
        return settings

    def _in_an_epoch(self, arm: str, count: int) -> int:
        """Return the number of images in an epoch with `count` generated ones."""
        learnt, pool = 0, ~self.inputs.held_out
        if models.detector_class(arm).supervised:
            learnt = len(for_weights_and_epoch(self.label[pool], self.inputs.originals(pool))[0])
        return len(self.inputs.roles.train) + count + learnt

    @property
    def _generator_folder(self) -> Any:
        return artifacts.model_folder(self.inputs.category, self.settings.generator)

    @functools.cached_property
    def _made(self) -> np.ndarray:
        """(count, S, S, 3) uint8 generated images, enlarged to the prepared size."""
        generator, size = generators.load(self._generator_folder), self.inputs.data.image_size
        enlarged = [
            np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
            for image in generator.stream(self.count, SAMPLE_SEED)
        ]
        return np.stack(enlarged)

    def cells(self) -> list[Cell]:
        digest = hashlib.sha256()
        for name in (WEIGHTS, DESCRIPTION):
            digest.update((self._generator_folder / name).read_bytes())
        found = []
        for arm in self.arms:
            for count in (0, self.count):
                facts = {"model": arm, "settings": self._settings(arm, count), "generated": count}
                if count:
                    facts |= {"generator": digest.hexdigest(), "sample_seed": SAMPLE_SEED}
                for step in range(self.settings.seeds):
                    seed = self.inputs.seed + step
                    found.append(Cell(arm, count, seed, "generated", facts | {"seed": seed}))
        return found

    def run(self, cell: Cell) -> pd.DataFrame:
        inputs, settings = self.inputs, cell.facts["settings"]
        train = self.images.rows(settings, inputs.rows_of("train"))
        if cell.level:
            train = np.concatenate([train, fitting.as_seen(self._made, settings)])
        validation = self.images.rows(settings, inputs.rows_of("validation"))
        detector = models.create(cell.arm, settings)
        labelled = None
        if detector.supervised:
            pool = ~inputs.held_out
            images = self.images.rows(settings, inputs.test[pool])
            labelled = Labelled(images, self.label[pool], inputs.originals(pool))
        fitting.fit(detector, train, validation, labelled, cell.seed, inputs)
        return fitting.scored(detector, self.images, settings)

    def result(self, scored: Mapping[Cell, pd.DataFrame]) -> Result:
        at = {arm: self.inputs.threshold_of(arm) for arm in self.arms}
        return generated_result.result(scored, at, self.inputs.resamples, self.notes())

    def notes(self) -> list[str]:
        """Return omissions and caveats."""
        notes = self.inputs.notes(self.arms)
        if "cnn" not in self.arms:
            why = "the labelled pool has no defective image" if self.inputs.known("cnn") else "no models.cnn"
            notes.append(f"The CNN is left out: {why}.")
        folder = artifacts.training_folder(self.inputs.category, self.settings.generator)
        verdict = files.read_json(folder / "run.json")["verdict"]
        for fault, because in generation_faults.faults(verdict).items():
            notes.append(f"The generator has {fault}: {because}. What is said here is of such images.")
        for arm in self.arms:
            if changed := fitting.in_words(getattr(self.settings, arm).model_dump()):
                table = "1" if arm == "cnn" else "2"
                notes.append(
                    f"{arm} with and without them is trained alike here ({changed}): it is not that of the "
                    f"report's Table {table}."
                )
        notes.append(
            f"{self.count} generated images in addition to {len(self.inputs.roles.train)} real ones."
        )
        return [*notes, *(self._shown_in_words(arm) for arm in self.arms)]

    def _shown_in_words(self, arm: str) -> str:
        """Return a note on the number of images an arm's trainings show, with and without generated ones."""
        settings = {count: self._settings(arm, count) for count in (0, self.count)}
        epochs = [chosen["epochs"] for chosen in settings.values()]
        size = [self._in_an_epoch(arm, count) for count in settings]
        before, after = (f"{n * m:,} images ({n} × {m})" for n, m in zip(epochs, size, strict=True))
        patience = " and ".join(str(chosen["patience"]) for chosen in settings.values())
        said = (
            f"{arm} is shown at most {before} without generated ones, {after} with them; it stops "
            f"early after {patience} epochs without a better validation loss."
        )
        if models.detector_class(arm).supervised:
            weighs = settings[0]["class_weighting"]
            said += (
                f" Each labelled image is shown {epochs[0]} and {epochs[1]} times"
                f"{'; defects are given more weight (class_weighting)' if weighs else ''}."
            )
        return said


STUDY = Generated
