"""Does noise injected while training make NI-CAE robust? The paper's Table 3, on clean and on noisy images.

NI-CAE as trained, NI-CAE trained without noise and otherwise alike, and KD-CAE score the whole test set: no
label has been learnt from. Noise is added to the image as the model sees it, in its size and colour: the size
at which it was injected while training, and at which the paper's variances hold (shrinking afterwards would
average it away). Thresholds come from clean good images: what a camera that grows old does to a detector.
"""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import Field, field_validator

from mlproject import artifacts, checkpoints, cross_calibration, models, noise, training
from mlproject.models import base, blocks
from mlproject.models.base import Detector
from mlproject.params import Section
from mlproject.studies import cells, fitting, noise_result, tables
from mlproject.studies.base import Cell, Result, Study

NOISY, OTHER = "ni_cae", "kd_cae"
WITHOUT = "ni_cae_without_noise"


class Parameters(Section):
    """Settings of the study.

    Attributes:
        kinds: of noise, names in `noise.KINDS`.
        variances: of the noise, grey levels in [0, 1]; 0, the clean images, comes besides.
        draws: times that the noise is drawn anew.
    """

    kinds: tuple[str, ...] = Field(min_length=1)
    variances: tuple[float, ...] = Field(min_length=1)
    draws: int = Field(ge=1)

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(kinds) - set(noise.KINDS)):
            raise ValueError(f"{', '.join(unknown)} is no noise. Allowed: {', '.join(noise.KINDS)}")
        return kinds

    @field_validator("variances")
    @classmethod
    def _in_range(cls, variances: tuple[float, ...]) -> tuple[float, ...]:
        if min(variances) < 0 or max(variances) > 1:
            raise ValueError("every variance must be in [0, 1]")
        return variances


def noisy(
    images: np.ndarray, settings: Mapping[str, Any], kind: str, variance: float, seed: int
) -> np.ndarray:
    """Return (n, s, s, 3) uint8: images as a model with these settings sees them, with noise.

    Args:
        images: (n, s, s, 3) uint8 prepared images.
        seed: the same for every model: models of one size and colour see the same noise.
    """
    seen = blocks.network_images(images, settings["image_size"], settings["colour"])
    if settings["colour"] == "grey3":  # grey once: three channels of noise would average out
        seen = seen[:, :1]
    generator = training.random_source(seed, list(noise.KINDS).index(kind), round(variance * 1e6))
    made = []
    for chunk in seen.split(blocks.CHUNK):
        values = noise.KINDS[kind](chunk.float().div(255), variance, generator) if variance else chunk / 255
        made.append((values.clamp(0, 1) * 255).round().to(torch.uint8))
    return torch.cat(made).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().numpy()


class NoiseStudy(Study):
    """Needs NI-CAE or KD-CAE among the detectors; trains NI-CAE without noise where NI-CAE is."""

    Parameters = Parameters
    title = "Does noise injected while training make NI-CAE robust to noise?"

    def __init__(self, settings: Any, material: Any) -> None:
        super().__init__(settings, material)
        self.without: Path | None = None
        self.loaded: dict[str, Detector] = {}

    def gap(self) -> str | None:
        if not self.arms:
            return f"detectors in params.yaml lists neither {NOISY} nor {OTHER}"
        return None

    @property
    def arms(self) -> list[str]:
        """Detectors that are compared, as they were trained."""
        return [name for name in (NOISY, OTHER) if name in self.material.detectors]

    def prepare(self, folder: Path, on_epoch: fitting.OnEpoch = lambda epoch: None) -> None:
        """Train NI-CAE without noise, unless `folder` has it; a killed training goes on."""
        if NOISY not in self.arms or not self.material.settings_of(NOISY)["noise"]:
            return
        settings = self.material.settings_of(NOISY) | {"noise": None}
        facts = {"model": NOISY, "settings": settings, "seed": self.material.seed}
        self.without = folder / "models" / cells.key(facts, self.material)
        if not (self.without / "threshold.json").is_file():
            with fitting.one_thread():
                self._train(settings, self.without, on_epoch)
        for other in self.without.parent.glob("*"):
            if other.is_dir() and other.name != self.without.name:
                shutil.rmtree(other)

    def _train(self, settings: Mapping[str, Any], folder: Path, on_epoch: fitting.OnEpoch) -> None:
        material = self.material
        images = fitting.Shrunk(material)
        train, validation = (
            images.rows(settings, material.rows_of(role)) for role in ("train", "validation")
        )
        detector = models.create(NOISY, settings)
        checkpoint = folder.with_name(folder.name + ".checkpoint")
        checkpoints.keep_only(folder.name, folder.parent)
        fitting.fit(detector, train, validation, None, material.seed, material, checkpoint, on_epoch)
        detector.save(folder)
        good = self._good_scores(detector, settings, images)
        rate = material.false_alarm_rate_of(NOISY)
        artifacts.write_json(folder / "threshold.json", {"threshold": tables.threshold(good, rate)})
        checkpoint.unlink(missing_ok=True)

    def _good_scores(
        self, detector: Detector, settings: Mapping[str, Any], images: fitting.Shrunk
    ) -> np.ndarray:
        """Return the scores of good images that set the threshold, as stages train and score have it."""
        material = self.material
        if material.split.calibration == "half":
            return detector.score(images.rows(settings, material.rows_of("calibration"))).scores

        def fit_fold(fold: int, train: np.ndarray, validation: np.ndarray) -> Detector:
            one = models.create(NOISY, settings)
            fitting.fit(one, train, validation, None, material.seed, material)
            return one

        paths = material.data.paths(material.good)
        good = images.rows(settings, material.good)
        table = cross_calibration.out_of_fold(good, paths, material.split, material.seed, fit_fold)
        return table["score"].to_numpy()

    def _folder(self, arm: str) -> Path:
        if arm != WITHOUT:
            return artifacts.model_folder(self.material.category, arm)
        assert self.without is not None  # the arm is there only then
        return self.without

    def _threshold(self, arm: str) -> float:
        if arm == WITHOUT:
            return artifacts.read_json(self._folder(arm) / "threshold.json")["threshold"]
        return self.material.recorded_threshold(arm)["threshold"]

    def cells(self) -> list[Cell]:
        found = []
        for arm in [*self.arms, *([WITHOUT] if self.without else [])]:
            weights = hashlib.sha256((self._folder(arm) / base.WEIGHTS).read_bytes()).hexdigest()
            about = hashlib.sha256((self._folder(arm) / base.DESCRIPTION).read_bytes()).hexdigest()
            facts = {"model": NOISY if arm == WITHOUT else arm, "detector": [weights, about]}
            found.append(self._cell(arm, noise_result.CLEAN, 0.0, 0, facts))
            for kind in self.settings.kinds:
                for variance in sorted(set(self.settings.variances) - {0}):
                    for draw in range(self.settings.draws):
                        found.append(self._cell(arm, kind, variance, draw, facts))
        return found

    def _cell(self, arm: str, kind: str, variance: float, draw: int, facts: Mapping[str, Any]) -> Cell:
        varied = {"kind": kind, "variance": variance, "draw": draw}
        return Cell(arm, variance, draw, kind, {**facts, **varied})

    def _detector(self, arm: str) -> Detector:
        if arm not in self.loaded:
            self.loaded = {arm: base.load(self._folder(arm))}  # cells of one detector follow one another
        return self.loaded[arm]

    def run(self, cell: Cell) -> pd.DataFrame:
        material = self.material
        detector = self._detector(cell.arm)
        images = material.data.images[material.test[0] :]  # test rows are the last ones: stays mapped
        kind = self.settings.kinds[0] if cell.series == noise_result.CLEAN else cell.series
        shown = noisy(images, detector.settings.model_dump(), kind, cell.level, material.seed + cell.seed)
        scores = detector.score(shown).scores
        return material.about(material.test, "test").assign(score=scores)

    def result(self, scored: Mapping[Cell, pd.DataFrame]) -> Result:
        thresholds = {arm: self._threshold(arm) for arm in dict.fromkeys(cell.arm for cell in scored)}
        notes = []
        if NOISY not in self.arms:
            notes.append(f"{NOISY} is not among the detectors: only {OTHER} was looked at.")
        elif not self.without:
            notes.append(f"{NOISY} was trained without noise: there is no other one to compare it with.")
        if OTHER not in self.arms:
            notes.append(f"{OTHER} is not among the detectors: left out.")
        notes.append(
            "Noise is added to images in the size and colour that the model sees; levels are as in the "
            "paper's eq. 7. Thresholds come from clean good images."
        )
        return noise_result.result(scored, thresholds, self.material.resamples, notes)


STUDY = NoiseStudy
