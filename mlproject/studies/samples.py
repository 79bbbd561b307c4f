"""Study: how many good images does a detector need? Trained with few to all, evaluated on the same images.

Level n: n good images in all, for training, validation and calibration, shared out as in the pipeline, one at
least for each role. A seed draws them: the first of one order in each role, so that larger levels contain the
smaller ones and an image keeps its role.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from mlproject import models
from mlproject.core.params import Section, Threshold
from mlproject.data.split import Roles, in_seeded_order
from mlproject.evaluation import thresholds
from mlproject.studies.components import chosen_images, fitting, seed_intervals
from mlproject.studies.components.base import MIN_SEEDS, Cell, Result, Study
from mlproject.studies.results import samples as samples_result

FEWEST = 5  # good images: three to learn from, one each for validation and calibration


class Parameters(Section):
    """Settings of the study.

    Attributes:
        detectors: those that are trained; none that learns from labels.
        sizes: numbers of good images; all of them are always added.
        seeds: number of draws for each size, each with a training.
        image_size: of every detector in this study; null: as it was trained.
    """

    detectors: chosen_images.Unsupervised
    sizes: tuple[Annotated[int, Field(ge=FEWEST)], ...] = Field(min_length=1)
    seeds: int = Field(ge=MIN_SEEDS)
    image_size: int | None = Field(ge=32, le=1024)


class Samples(Study):
    """Trains its detectors itself, so needs only their settings in params.yaml."""

    Parameters = Parameters
    title = "How many good images does a detector need?"
    interval = seed_intervals.WORDS_OF_BANDS

    @classmethod
    def trained_with(cls, settings: Any, detectors: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the settings that differ here of the models it trains."""
        return {name: {"image_size": settings.image_size} for name in settings.detectors}

    def gap(self) -> str | None:
        unset = [name for name in self.settings.detectors if not self.inputs.known(name)]
        return f"params.yaml has no section models.{unset[0]}" if unset else None

    @property
    def sizes(self) -> list[int]:
        """Numbers of good images; the last is all of them."""
        everything = len(self.inputs.good)
        return sorted({n for n in self.settings.sizes if n < everything} | {everything})

    def _counts(self, size: int) -> dict[str, int]:
        """Return the number of images of each role among `size` good ones."""
        everything = len(self.inputs.good)
        held = {
            role: max(1, round(size * len(self.inputs.rows_of(role)) / everything))
            for role in ("validation", "calibration")
            if len(self.inputs.rows_of(role))
        }
        return {"train": size - sum(held.values())} | held

    def _settings(self, arm: str, size: int) -> dict[str, Any]:
        """Return an arm's settings; PCA has fewer components than training images."""
        chosen = chosen_images.settings(arm, self.settings.image_size, self.inputs, "samples")
        if "components" in chosen:
            chosen["components"] = min(chosen["components"], self._counts(size)["train"] - 1)
        return chosen

    def cells(self) -> list[Cell]:
        found = []
        for arm in self.settings.detectors:
            for size in self.sizes:
                settings = self._settings(arm, size)
                for step in range(self.settings.seeds):
                    seed = self.inputs.seed + step
                    facts = {
                        "model": arm,
                        "settings": settings,
                        "seed": chosen_images.seed(arm, seed, self.inputs),
                        "good": self._drawn(size, seed),
                        "evaluated": self.inputs.unseen(arm)[0],
                    }
                    found.append(Cell(arm, size, seed, samples_result.SERIES, facts))
        return found

    def _drawn(self, size: int, seed: int) -> dict[str, list[str]]:
        """Return role → paths of the images drawn."""
        found = {}
        for role, count in self._counts(size).items():
            paths = self.inputs.data.paths(self.inputs.rows_of(role))
            found[role] = sorted(in_seeded_order(paths, seed, "samples")[:count])
        return found

    def run(self, cell: Cell) -> pd.DataFrame:
        inputs = self.inputs
        rows = dict(zip(inputs.data.paths(inputs.good), inputs.good, strict=True))
        drawn = {role: np.array([rows[path] for path in paths]) for role, paths in cell.facts["good"].items()}
        roles = Roles(**{"calibration": np.empty(0, np.int64)} | drawn)
        settings, seed = cell.facts["settings"], cell.facts["seed"]
        return chosen_images.trained(cell.arm, settings, roles, inputs.unseen(cell.arm)[1], seed, inputs)[1]

    def result(self, scored: Mapping[Cell, pd.DataFrame]) -> Result:
        at = {arm: self._threshold(arm) for arm in self.settings.detectors}
        return samples_result.result(scored, at, self.inputs.resamples, self.notes())

    def _threshold(self, arm: str) -> Threshold:
        """Return section threshold; never strict, for too few images are what the study is about."""
        return self.inputs.threshold_of(arm).model_copy(update={"strict": False})

    def notes(self) -> list[str]:
        """Return omissions and caveats."""
        everything, arms = len(self.inputs.good), self.settings.detectors
        notes = [
            "Good images are those for training, validation and calibration together, shared out as in the "
            "pipeline, one at least for each."
        ]
        if changed := fitting.in_words({"image_size": self.settings.image_size}):
            notes.append(f"Trained here with {changed}: these are not the detectors of the comparison.")
        if omitted := sorted({n for n in self.settings.sizes if n > everything}):
            listed = ", ".join(map(str, omitted))
            notes.append(f"Left out, there are only {everything} good images: {listed}.")
        notes += chosen_images.notes(arms, self.inputs) + self.inputs.without_threshold(arms)
        return notes + [note for arm in arms for note in self._arm_notes(arm)]

    def _arm_notes(self, arm: str) -> list[str]:
        asked, detector = self._threshold(arm), models.detector_class(arm)
        notes = []
        rate, confidence, few = asked.false_alarm_rate, asked.confidence, {}
        for size in self.sizes:
            n = sum(self._counts(size).get(role, 0) for role in detector.threshold_roles)
            if n and thresholds.smallest_false_alarm_rate(n, confidence) > rate:
                few[size] = n
        if few:
            listed = ", ".join(f"{size} ({n})" for size, n in few.items())
            notes.append(
                f"{arm}: too few good images (those that set the threshold in brackets) for a false-alarm "
                f"rate of {rate:g}, so the threshold is the largest of their scores: {listed}."
            )
        kept = {size: self._settings(arm, size).get("components") for size in self.sizes}
        if len(set(kept.values())) > 1:
            listed = ", ".join(f"{n} with {size}" for size, n in kept.items())
            notes.append(f"{arm}: components are fewer than training images: {listed}.")
        if not detector.uses_seed:
            notes.append(f"{arm} does not depend on a seed: with all good images there is one training.")
        return notes


STUDY = Samples
