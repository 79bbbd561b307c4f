"""Study: what do defects cost that are hidden among the good images? They replace a share of train/good.

The hidden ones are defective test images of the labelled pool. No cell is evaluated on the pool's defects, so
that all shares are compared on the same images. They take the place of good images in any role: those to
learn from, and those that set the threshold. A seed draws both; larger shares contain the smaller ones.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from mlproject import models
from mlproject.core.params import Section
from mlproject.data.split import Roles, in_seeded_order
from mlproject.evaluation import thresholds
from mlproject.models.patch_kde import PatchKDE
from mlproject.studies.components import chosen_images, fitting, seed_intervals, tables
from mlproject.studies.components.base import MIN_SEEDS, Cell, Result, Study
from mlproject.studies.results import contamination as contamination_result


class Parameters(Section):
    """Settings of the study.

    Attributes:
        detectors: those that are trained; none that learns from labels.
        shares: of the images of train/good that are replaced; 0 is always added.
        seeds: number of draws for each share, each with a training.
        image_size: of every detector in this study; null: as it was trained.
    """

    detectors: chosen_images.Unsupervised
    shares: tuple[Annotated[float, Field(gt=0, le=0.5)], ...] = Field(min_length=1)
    seeds: int = Field(ge=MIN_SEEDS)
    image_size: int | None = Field(ge=32, le=1024)


class Contamination(Study):
    """Trains its detectors itself, so needs only their settings in params.yaml; and defects to hide."""

    Parameters = Parameters
    title = "What do defects cost that are hidden among the good images?"
    interval = seed_intervals.WORDS_OF_BANDS

    def __init__(self, settings: Any, inputs: Any) -> None:
        super().__init__(settings, inputs)
        test = inputs.test
        pool_defects = ~inputs.held_out & (inputs.data.manifest["label"].to_numpy()[test] == 1)
        self.hideable, self.evaluated = test[pool_defects], test[~pool_defects]

    @classmethod
    def trained_with(cls, settings: Any, detectors: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the settings that differ here of the models it trains."""
        return {name: {"image_size": settings.image_size} for name in settings.detectors}

    def gap(self) -> str | None:
        unset = [name for name in self.settings.detectors if not self.inputs.known(name)]
        if unset:
            return f"params.yaml has no section models.{unset[0]}"
        if not any(self._possible(share) for share in self.settings.shares):
            return f"no share can be hidden: the labelled pool has {len(self.hideable)} defective images"
        return None

    def _count(self, share: float) -> int:
        return round(share * len(self.inputs.good))

    def _possible(self, share: float) -> bool:
        return 1 <= self._count(share) <= len(self.hideable)

    @property
    def shares(self) -> list[float]:
        """Shares of hidden defects, rising from 0."""
        return [0.0, *sorted({share for share in self.settings.shares if self._possible(share)})]

    def cells(self) -> list[Cell]:
        found = []
        for arm in self.settings.detectors:
            settings = chosen_images.settings(arm, self.settings.image_size, self.inputs, "contamination")
            for share in self.shares:
                for step in range(self.settings.seeds):
                    seed = self.inputs.seed + step
                    facts = {
                        "model": arm,
                        "settings": settings,
                        "seed": chosen_images.seed(arm, seed, self.inputs),
                        "hidden": self._drawn(self._count(share), seed),
                        "evaluated": self.inputs.unseen(arm)[0],
                    }
                    found.append(Cell(arm, share, seed, contamination_result.SERIES, facts))
        return found

    def _drawn(self, count: int, seed: int) -> dict[str, str]:
        """Return path of a good image → path of the defective one that takes its place."""
        good, defects = (
            in_seeded_order(self.inputs.data.paths(rows), seed, "contamination")
            for rows in (self.inputs.good, self.hideable)
        )
        return dict(zip(good[:count], defects[:count], strict=True))

    def run(self, cell: Cell) -> pd.DataFrame:
        """As `Study.run`; of patch_kde also the left-out scores of its training images, subset training."""
        inputs = self.inputs
        row_of = {path: row for row, path in enumerate(inputs.data.manifest["path"])}
        replaced = {row_of[good]: row_of[defect] for good, defect in cell.facts["hidden"].items()}
        roles = Roles(
            *(
                np.array([replaced.get(row, row) for row in inputs.rows_of(role)], dtype=np.int64)
                for role in ("train", "validation", "calibration")
            )
        )
        settings, seed = cell.facts["settings"], cell.facts["seed"]
        evaluated = np.intersect1d(self.evaluated, inputs.unseen(cell.arm)[1])
        detector, table = chosen_images.trained(cell.arm, settings, roles, evaluated, seed, inputs)
        if not isinstance(detector, PatchKDE):
            return table
        about = inputs.about(roles.train, contamination_result.TRAINING)
        return pd.concat([table, about.assign(score=detector.left_out_scores)], ignore_index=True)

    def result(self, scored: Mapping[Cell, pd.DataFrame]) -> Result:
        at = {arm: self.inputs.threshold_of(arm) for arm in self.settings.detectors}
        return contamination_result.result(scored, at, self.inputs.resamples, self.notes())

    def notes(self) -> list[str]:
        """Return omissions and caveats."""
        inputs, arms = self.inputs, self.settings.detectors
        notes = [
            "By construction these figures depend on test images: the hidden defects are taken from the test "
            "set, from its labelled pool, and no share is evaluated on the pool's defective images "
            f"({len(self.hideable)} of {len(self.hideable) + int(self._label(self.evaluated).sum())}).",
            "They replace images of train/good in any role, so they also set the threshold.",
            "Hidden defects found: of k among the training images, those among the k with the highest "
            "leave-one-out scores (of a detector that has such scores: patch_kde).",
        ]
        for share in sorted(set(self.settings.shares) - set(self.shares)):
            count = self._count(share)
            why = "less than one image" if not count else f"{count} images, the pool has {len(self.hideable)}"
            notes.append(f"Left out: {share:.1%} ({why}).")
        if changed := fitting.in_words({"image_size": self.settings.image_size}):
            notes.append(f"Trained here with {changed}: these are not the detectors of the comparison.")
        for arm in arms:
            learnt = inputs.data.originals(inputs.roles.train)
            roles = models.detector_class(arm).threshold_roles
            n = sum(len(thresholds.rows_of(role, inputs.roles, learnt)) for role in roles)
            notes += tables.unsupported(arm, n, inputs.threshold_of(arm)) if n else []
        return notes + chosen_images.notes(arms, inputs) + inputs.without_threshold(arms)

    def _label(self, rows: np.ndarray) -> np.ndarray:
        return self.inputs.data.manifest["label"].to_numpy()[rows]


STUDY = Contamination
