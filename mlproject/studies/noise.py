"""Study: does noise injected in training make NI-CAE robust? The paper's Table 3, on clean and noisy images.

NI-CAE, the same NI-CAE trained without noise, and KD-CAE score the whole test set, because none has learnt
from a label. Noise is added to the image in the model's own size and colour: the size at which it was
injected during training, and for which the paper states its variances (shrinking afterwards would average it
away). Thresholds come from clean good images, as for a camera that degrades after the detector was set up.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from pydantic import Field, field_validator

from mlproject import models
from mlproject.core import artifacts
from mlproject.core.params import Section
from mlproject.data import tensors
from mlproject.models.components import noise
from mlproject.studies.components import (
    fitting,
    recorded_detectors,
    retraining,
    runner,
    seed_intervals,
    tables,
)
from mlproject.studies.components.base import Cell, Result, Shown, Study, silently
from mlproject.studies.results import noise as noise_result
from mlproject.training import run_settings
from mlproject.training.batches import random_source

NOISY, OTHER = "ni_cae", "kd_cae"
WITHOUT = "ni_cae_without_noise"


class Parameters(Section):
    """Settings of the study.

    Attributes:
        kinds: of noise, names in `noise.KINDS`.
        variances: of the noise, in (0, 1] for grey levels in [0, 1]; clean images are always added.
        draws: number of independent draws of the noise.
        image_size, epochs, patience: of NI-CAE in this study; null: as it was trained. If any is set, NI-CAE
            with noise is trained here too, so that the two differ in nothing but the noise.
    """

    kinds: tuple[str, ...] = Field(min_length=1)
    variances: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(min_length=1)
    draws: int = Field(ge=1)
    image_size: int | None = Field(ge=32, le=1024)
    epochs: int | None = Field(ge=1)
    patience: int | None = Field(ge=1)

    @property
    def overrides(self) -> dict[str, Any]:
        """Settings that differ from those NI-CAE was trained with."""
        return self.model_dump(include={"image_size", "epochs", "patience"})

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(kinds) - set(noise.KINDS)):
            raise ValueError(f"{', '.join(unknown)} is no noise. Allowed: {', '.join(noise.KINDS)}")
        return kinds


def noisy(
    images: np.ndarray, settings: Mapping[str, Any], kind: str, variance: float, seed: int
) -> np.ndarray:
    """Return (n, s, s, 3) uint8: images in the size and colour of a model with these settings, with noise.

    Args:
        images: (n, s, s, 3) uint8 prepared images.
        seed: the same for every model: models of one size and colour see the same noise.
    """
    seen = tensors.network_images(images, settings["image_size"], settings["colour"])
    if settings["colour"] == "grey3":  # one channel: three channels of independent noise would average out
        seen = seen[:, :1]
    generator = random_source(seed, list(noise.KINDS).index(kind), round(variance * 1e6))
    made = []
    for chunk in seen.split(tensors.CHUNK):
        values = noise.KINDS[kind](chunk.float().div(255), variance, generator) if variance else chunk / 255
        made.append((values.clamp(0, 1) * 255).round().to(torch.uint8))
    return torch.cat(made).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().numpy()


class NoiseStudy(Study):
    """Needs NI-CAE or KD-CAE among the detectors; trains NI-CAE without noise if NI-CAE is listed."""

    Parameters = Parameters
    title = "Does noise injected while training make NI-CAE robust to noise?"
    interval = seed_intervals.WORDS_OF_DRAWS
    trains = False

    def __init__(self, settings: Any, inputs: Any) -> None:
        super().__init__(settings, inputs)
        self.folders: dict[str, Path] = {}  # arm → its detector
        self.detectors = recorded_detectors.LastLoaded()

    @classmethod
    def trained_with(cls, settings: Any, detectors: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the settings that differ here of the models it trains."""
        return {NOISY: settings.overrides} if NOISY in detectors else {}

    def gap(self) -> str | None:
        if not {NOISY, OTHER} & set(self.inputs.detectors):
            return f"detectors in params.yaml lists neither {NOISY} nor {OTHER}"
        return None

    @property
    def shortened(self) -> bool:
        """Whether NI-CAE has other settings here; it is then also retrained with noise, for a fair pair."""
        return any(value is not None for value in self.settings.overrides.values())

    def prepare(self, folder: Path, shown: Shown = silently) -> None:
        """Find every arm's detector; train those that `folder` lacks."""
        inputs = self.inputs
        listed = [name for name in (NOISY, OTHER) if name in inputs.detectors]
        self.folders = {name: artifacts.model_folder(inputs.category, name) for name in listed}
        if NOISY not in listed:
            return
        own = inputs.settings_of(NOISY)
        if not own["noise"] or own["skips"]:
            return
        settings = fitting.overridden(NOISY, own, self.settings.overrides, "noise")
        retrained = {WITHOUT: settings | {"noise": None}}
        if self.shortened:
            retrained[NOISY] = settings
        for arm, chosen in retrained.items():
            facts = {"model": NOISY, "settings": chosen, "seed": inputs.seed}
            self.folders[arm] = folder / "models" / runner.key(facts, inputs, [retraining.__name__])
            title = f"{inputs.category} noise: {arm}"
            retraining.train(NOISY, chosen, self.folders[arm], inputs, shown, title)
        kept = set(self.folders.values())
        for stale in (folder / "models").iterdir():
            if stale.is_dir() and stale not in kept:  # a file is the checkpoint of a training that was killed
                shutil.rmtree(stale)
            elif stale.is_file():
                stale.unlink()

    def threshold_of(self, arm: str) -> float:
        """Return the threshold from good images of an arm of `prepare`."""
        if self._is_recorded(arm):
            return self.inputs.recorded_threshold(arm)["threshold"]
        good = retraining.good_scores(self.folders[arm])
        return tables.threshold(good, self.inputs.threshold_of(NOISY))

    def _is_recorded(self, arm: str) -> bool:
        return self.folders[arm] == artifacts.model_folder(self.inputs.category, arm)

    def cells(self) -> list[Cell]:
        found = []
        for arm, folder in self.folders.items():
            model = NOISY if arm == WITHOUT else arm
            facts = {"model": model, "detector": recorded_detectors.hashes(folder)}
            found.append(self._cell(arm, noise_result.CLEAN, 0.0, 0, facts))
            for kind in self.settings.kinds:
                for variance in sorted(set(self.settings.variances)):
                    for draw in range(self.settings.draws):
                        found.append(self._cell(arm, kind, variance, draw, facts))
        return found

    def _cell(self, arm: str, kind: str, variance: float, draw: int, facts: Mapping[str, Any]) -> Cell:
        varied = {"kind": kind, "variance": variance, "draw": draw}
        return Cell(arm, variance, draw, kind, {**facts, **varied})

    def run(self, cell: Cell) -> pd.DataFrame:
        inputs = self.inputs
        detector = self.detectors.load(self.folders[cell.arm])
        images = inputs.data.images[inputs.test[0] :]  # test rows are the last ones: stays mapped
        kind = self.settings.kinds[0] if cell.series == noise_result.CLEAN else cell.series
        shown = noisy(images, detector.settings.model_dump(), kind, cell.level, inputs.seed + cell.seed)
        scores = detector.score(shown).scores
        return inputs.about(inputs.test, "test").assign(score=scores)

    def result(self, scored: Mapping[Cell, pd.DataFrame]) -> Result:
        thresholds = {arm: self.threshold_of(arm) for arm in dict.fromkeys(cell.arm for cell in scored)}
        rule = models.detector_class(NOISY).paper_rule
        assert rule is not None  # NI-CAE is the paper's
        return noise_result.result(scored, thresholds, self.inputs.resamples, self.notes(), rule)

    def notes(self) -> list[str]:
        """Return omissions and caveats."""
        listed = [name for name in (NOISY, OTHER) if name in self.folders]
        notes = [
            f"The settings of {name} were chosen by the labels of half of these test images."
            for name in listed
            if run_settings.labels_seen(self.inputs.category, name)
        ]
        if NOISY not in self.folders:
            notes.append(f"{NOISY} is not among the detectors: only {OTHER} was looked at.")
        elif self.inputs.settings_of(NOISY)["skips"]:
            notes.append(
                f"{NOISY} has skip connections: trained without noise it would copy its input, so there is "
                "no other one to compare it with."
            )
        elif WITHOUT not in self.folders:
            notes.append(f"{NOISY} was trained without noise: there is no other one to compare it with.")
        elif self.shortened:
            changed = fitting.in_words(self.settings.overrides)
            notes.append(
                f"{NOISY} with and without noise was retrained here with equal settings ({changed}); {OTHER} "
                "is the one in the comparison."
            )
        if WITHOUT in self.folders:
            notes.append(
                f"{NOISY} with noise and without: one training each. The interval of their difference does "
                "not cover another training, which might reverse it."
            )
        if OTHER not in self.folders:
            notes.append(f"{OTHER} is not among the detectors: left out.")
        notes.append(
            "Noise is added to images in the size and colour that the model sees, variances as "
            "in the paper's eq. 7. Thresholds come from clean good images."
        )
        return notes + [note for arm in self.folders for note in self._threshold_notes(arm)]

    def _threshold_notes(self, arm: str) -> list[str]:
        if self._is_recorded(arm):
            return self.inputs.recorded_notes(arm)
        n = len(retraining.good_scores(self.folders[arm]))
        return tables.unsupported(arm, n, self.inputs.threshold_of(NOISY))


STUDY = NoiseStudy
