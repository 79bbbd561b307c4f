"""Study: how many labels before supervision wins? The CNN with few to all labelled defects, and the others.

Level n: n defective images of the labelled pool, drawn at random (the first n of one order per seed, so that
larger levels contain the smaller ones), and every good one. Level 0 is the paper's own way: trained on good
images alone. Series type_left_out: all labels except those of one type, evaluated on its held-out images and
the good ones.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from mlproject import models
from mlproject.core.params import Section
from mlproject.data.split import in_seeded_order
from mlproject.models.cnn import CNN
from mlproject.models.components import layers
from mlproject.models.components.detector import Labelled
from mlproject.studies.components import fitting
from mlproject.studies.components.base import MIN_SEEDS, Cell, Result, Study
from mlproject.studies.results import labels as labels_result

MODEL = "cnn"


class Parameters(Section):
    """Settings of the study.

    Attributes:
        seeds: number of trainings per level, each with its own draw of labels.
        levels: numbers of labelled defects; the whole pool is always added.
        image_size, filters, hidden, epochs, patience: of the CNN in this study; null: as it was trained.
    """

    seeds: int = Field(ge=MIN_SEEDS)
    levels: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    image_size: int | None = Field(ge=32, le=1024)
    filters: layers.Filters | None
    hidden: int | None = Field(ge=1)
    epochs: int | None = Field(ge=1)
    patience: int | None = Field(ge=1)

    @property
    def overrides(self) -> dict[str, Any]:
        """Settings that differ from those the CNN was trained with."""
        return self.model_dump(exclude={"seeds", "levels"})


class GoodOnlyCNN(CNN):
    """The CNN as the paper's authors trained it: it never sees a defective image, and learns "good"."""

    def demand_defects(self, labelled: Labelled | None) -> Labelled:
        """Accept a pool without defects: that is the purpose of level 0."""
        assert labelled is not None
        return labelled


class Labels(Study):
    """Trains the CNN, so needs no trained one; needs at least one unsupervised detector to compare with."""

    Parameters = Parameters
    title = "How many labels before supervision wins?"

    def __init__(self, settings: Any, inputs: Any) -> None:
        super().__init__(settings, inputs)
        self.images = fitting.ResizedImages(inputs)
        test = inputs.data.manifest.iloc[inputs.test]
        self.label, self.defect = test["label"].to_numpy(), test["defect"].to_numpy(dtype=object)
        self.path = test["path"].to_numpy(dtype=object)
        self.pool = np.flatnonzero(~inputs.held_out & (self.label == 1))  # among test images

    @functools.cached_property
    def cnn(self) -> dict[str, Any]:
        """The CNN's settings in this study."""
        return fitting.overridden(MODEL, self.inputs.settings_of(MODEL), self.settings.overrides, "labels")

    @classmethod
    def trained_with(cls, settings: Any, detectors: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the settings that differ here of the models it trains."""
        return {MODEL: settings.overrides}

    def gap(self) -> str | None:
        if not self.inputs.known(MODEL):
            return "params.yaml has no section models.cnn"
        if not self.inputs.unsupervised:
            return "detectors in params.yaml lists no unsupervised model to compare the CNN with"
        return None

    @property
    def types(self) -> list[str]:
        """Types of defect among the held-out images whose absence leaves others to learn from."""
        held_out = sorted(set(self.defect[self.inputs.held_out & (self.label == 1)]))
        return [kind for kind in held_out if (self.defect[self.pool] != kind).any()]

    @property
    def levels(self) -> list[int]:
        """Numbers of labelled defects; the last is the whole pool."""
        return sorted({n for n in self.settings.levels if n < len(self.pool)} | {len(self.pool)})

    def cells(self) -> list[Cell]:
        seeds = [self.inputs.seed + step for step in range(self.settings.seeds)]
        found = []
        for n in self.levels:
            found += [self._cell("cnn", "labels", n, seed, self._drawn(seed)[:n]) for seed in seeds]
        for kind in self.types:
            rows = self.pool[self.defect[self.pool] != kind]
            series = labels_result.LEFT_OUT + kind
            found += [self._cell("cnn_without_type", series, len(rows), seed, rows) for seed in seeds]
        return found

    def _drawn(self, seed: int) -> np.ndarray:
        """Return the pool's defects in this seed's order."""
        row_of = {self.path[row]: row for row in self.pool}
        return np.array([row_of[path] for path in in_seeded_order(row_of, seed, "labels")], dtype=np.int64)

    def _cell(self, arm: str, series: str, level: int, seed: int, rows: np.ndarray) -> Cell:
        labelled = sorted(self.path[rows].tolist())
        facts = {"model": MODEL, "settings": self.cnn, "seed": seed, "labelled_defects": labelled}
        return Cell(arm, level, seed, series, facts)

    def run(self, cell: Cell) -> pd.DataFrame:
        inputs = self.inputs
        wanted = np.isin(self.path, cell.facts["labelled_defects"])
        learnt = np.flatnonzero(wanted | (~inputs.held_out & (self.label == 0)))
        train, validation, shown = (
            self.images.rows(self.cnn, rows)
            for rows in (inputs.rows_of("train"), inputs.rows_of("validation"), inputs.test[learnt])
        )
        detector = models.create(MODEL, self.cnn)
        if not wanted.any():
            detector = GoodOnlyCNN(detector.settings)
        labelled = Labelled(shown, self.label[learnt], inputs.originals(learnt))
        fitting.fit(detector, train, validation, labelled, cell.seed, inputs)
        return fitting.scored(detector, self.images, self.cnn)

    def result(self, scored: Mapping[Cell, pd.DataFrame]) -> Result:
        inputs = self.inputs
        recorded = {
            name: (inputs.recorded_scores(name), inputs.recorded_threshold(name)["threshold"])
            for name in inputs.unsupervised
        }
        return labels_result.result(
            scored,
            recorded,
            inputs.threshold_of(MODEL),
            inputs.resamples,
            self.notes(),
        )

    def notes(self) -> list[str]:
        """Return omissions and caveats."""
        inputs, n = self.inputs, len(self.pool)
        notes = inputs.notes([MODEL])
        notes += [note for name in inputs.unsupervised for note in inputs.recorded_notes(name)]
        if changed := fitting.in_words(self.settings.overrides):
            notes.append(
                f"The CNN here is trained with {changed}: it is not the CNN of the report's Table 1. The "
                "others are those that the pipeline trained, at their full size."
            )
        if not n:
            notes.append("The labelled pool has no defective image: only 0 labels could be tried.")
        if omitted := sorted({level for level in self.settings.levels if level > n}):
            listed = ", ".join(map(str, omitted))
            notes.append(f"Left out, the pool has only {n} labelled defects: {listed} labels.")
        held_out = self.inputs.held_out & (self.label == 1)
        for kind in sorted(set(self.defect[held_out]) - set(self.types)):
            notes.append(f"{kind} could not be left out: no other type is in the pool.")
        for kind in sorted(set(self.defect[held_out]) - set(self.defect[self.pool])):
            notes.append(f"{kind} has too few images for the pool: no training has seen it.")
        notes.append(
            "0 labels: trained on good images alone, as the paper's authors trained their CNN. "
            "It has nothing to rank by, so an AUROC other than .5 is chance."
        )
        return notes


STUDY = Labels
