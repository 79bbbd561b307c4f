"""Study: what do another light, blur, JPEG and a part that lies elsewhere do? On changed test images.

The pipeline's detectors are used as they are, with the thresholds from their clean good images: nothing is
trained. A change is made to the photo at its prepared size, before a detector shrinks it, as a camera would.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

import pandas as pd
from pydantic import Field, model_validator

from mlproject import models
from mlproject.core import artifacts
from mlproject.core.params import Section
from mlproject.studies.components import perturbations, recorded_detectors, seed_intervals
from mlproject.studies.components.base import Cell, Result, Study
from mlproject.studies.results import light as light_result
from mlproject.training import run_settings

Factor = Annotated[float, Field(gt=0, le=4)]


class Parameters(Section):
    """Settings of the study: the levels of each change, [] for none. Unchanged images are always added.

    Attributes:
        brightness: factors of every value.
        contrast: factors of every value's distance from its image's mean.
        shading: slopes of the lamp from left to right, share of the brightness.
        blur: Gaussian sigmas, pixels.
        jpeg: qualities, from 1 to 95.
        shift: pixels.
        turn: degrees.
    """

    brightness: tuple[Factor, ...]
    contrast: tuple[Factor, ...]
    shading: tuple[Annotated[float, Field(ge=-1, le=1)], ...]
    blur: tuple[Annotated[float, Field(gt=0, le=50)], ...]
    jpeg: tuple[Annotated[int, Field(ge=1, le=95)], ...]
    shift: tuple[Annotated[int, Field(ge=1, le=32)], ...]
    turn: tuple[Annotated[float, Field(gt=0, le=180)], ...]

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.levels:
            raise ValueError("no change has a level: name one at least")
        return self

    @property
    def levels(self) -> dict[str, list[float]]:
        """Kind of change → its levels, without that of an unchanged image."""
        found = {
            name: sorted(set(getattr(self, name)) - {kind.unchanged})
            for name, kind in perturbations.KINDS.items()
        }
        return {name: levels for name, levels in found.items() if levels}


class Light(Study):
    """Needs one detector at least; scores the test images that a detector has not learnt from."""

    Parameters = Parameters
    title = "What do light, blur, JPEG and position do to the detectors?"
    interval = seed_intervals.WORDS_OF_ONE
    trains = False

    def __init__(self, settings: Any, inputs: Any) -> None:
        super().__init__(settings, inputs)
        self.detectors = recorded_detectors.LastLoaded()

    def gap(self) -> str | None:
        return None if self.inputs.detectors else "detectors in params.yaml lists none"

    def cells(self) -> list[Cell]:
        found = []
        for arm in self.inputs.detectors:
            folder = artifacts.model_folder(self.inputs.category, arm)
            facts = {"model": arm, "detector": recorded_detectors.hashes(folder)}
            found.append(Cell(arm, 0, 0, light_result.CLEAN, facts | {"kind": None}))
            for kind, levels in self.settings.levels.items():
                found += [Cell(arm, n, 0, kind, facts | {"kind": kind, "level": n}) for n in levels]
        return found

    def run(self, cell: Cell) -> pd.DataFrame:
        inputs = self.inputs
        images = inputs.data.images[inputs.test[0] :]  # test rows are the last ones: stays mapped
        if cell.series != light_result.CLEAN:
            images = perturbations.perturbed(images, cell.series, cell.level)
        learnt_from = models.detector_class(cell.arm).supervised & ~inputs.held_out
        scores = self.detectors.load(artifacts.model_folder(inputs.category, cell.arm)).score(
            images[~learnt_from]
        )
        subset = light_result.HELD_OUT if learnt_from.any() else light_result.TEST
        return inputs.about(inputs.test[~learnt_from], subset).assign(score=scores.scores)

    def result(self, scored: Mapping[Cell, pd.DataFrame]) -> Result:
        at = {arm: self.inputs.recorded_threshold(arm)["threshold"] for arm in self.inputs.detectors}
        return light_result.result(scored, at, self.inputs.resamples, self.notes())

    def notes(self) -> list[str]:
        """Return omissions and caveats."""
        inputs, half = self.inputs, "half of these test images"
        notes = [
            "Thresholds come from unchanged good images, as for a camera that changes after it was set up.",
            "A shift goes right, down, left and up, a turn back and forth, from image to image; what comes "
            "in at the border is the image mirrored. JPEG has its colour at half the resolution.",
        ]
        for name in inputs.detectors:
            if models.detector_class(name).supervised:
                notes.append(f"{name} learnt from {half}: it is evaluated on the other half.")
            elif run_settings.labels_seen(inputs.category, name):
                notes.append(f"The settings of {name} were chosen by the labels of {half}.")
        return notes + [note for name in inputs.detectors for note in inputs.recorded_notes(name)]


STUDY = Light
