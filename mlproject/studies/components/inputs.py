"""Inputs of a category's studies: its images with their roles, and the models trained on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from mlproject import models
from mlproject.core import artifacts, files, params
from mlproject.core.tables import read_table
from mlproject.data import prepared, split
from mlproject.models.components.detector import DESCRIPTION
from mlproject.studies.components import tables
from mlproject.training import identity, run_settings


@dataclass(frozen=True)
class StudyInputs:
    """A category's images and their roles, equal to those of every other stage.

    Attributes:
        good: rows of the manifest that are good training images with a role.
        roles: the same rows by role.
        conditions: `identity.conditions` of every training in a study.
        test: rows of the manifest that are test images.
        held_out: (n_test,) bool, which test images no supervised model learns from.
        models: every model's section of params.yaml.
        detectors, generators: those listed in params.yaml; others may have left files behind.
        resamples: of a bootstrap.
    """

    category: str
    data: prepared.Prepared
    conditions: dict[str, Any]
    good: np.ndarray
    roles: split.Roles
    test: np.ndarray
    held_out: np.ndarray
    split: params.Split
    seed: int
    device: str
    precision: str
    threshold: params.Threshold
    resamples: int
    models: dict[str, Any]
    detectors: tuple[str, ...]
    generators: tuple[str, ...]

    @classmethod
    def load(cls, category: str) -> Self:
        """Read the inputs of a category.

        Raises:
            UserError: the category is not prepared, or a setting is not allowed.
        """
        data = prepared.load(category)
        known = identity.conditions(data, threads=1)  # a study computes on one: see `threads.one_thread`
        settings, seed = params.Split(**known["split"]), known["seed"]
        roles, test = data.roles(settings, seed), data.rows(split="test")
        return cls(
            category=category,
            data=data,
            conditions=known,
            good=np.sort(np.concatenate([roles.train, roles.validation, roles.calibration])),
            roles=roles,
            test=test,
            held_out=np.isin(test, data.held_out(seed)),
            split=settings,
            seed=seed,
            device=known["device"],
            precision=known["precision"],
            threshold=params.load("threshold", params.Threshold),
            resamples=params.value("evaluate.bootstrap"),
            models=params.value("models"),
            detectors=tuple(params.chosen("detectors")),
            generators=tuple(params.chosen("generators_used")),
        )

    @property
    def unsupervised(self) -> list[str]:
        """The listed detectors that train on good images alone."""
        return [name for name in self.detectors if not models.detector_class(name).supervised]

    def originals(self, among: np.ndarray) -> np.ndarray:
        """Return the same text for an image and its copies.

        Args:
            among: (n,) row numbers, or (n_test,) bool, of the test images.
        """
        return np.array(self.data.originals(self.test[among]), dtype=str)

    def rows_of(self, role: str) -> np.ndarray:
        """Return the manifest's rows of role train, validation or calibration."""
        rows: np.ndarray = getattr(self.roles, role)
        return rows

    def unseen(self, model: str) -> tuple[str, np.ndarray]:
        """Return subset and rows of the test images, or of those half whose labels chose no setting."""
        labels = (self.category, model, self.data.data_hash, self.seed)
        if model in self.detectors and run_settings.tuned_on_labels(*labels):
            return "held_out", self.test[self.held_out]
        return "test", self.test

    def notes(self, arms: Sequence[str]) -> list[str]:
        """Return notes on the thresholds of these models, for a study that trains them."""
        if n := len(self.roles.calibration):
            return [note for arm in arms for note in tables.unsupported(arm, n, self.threshold_of(arm))]
        return self.without_threshold(arms)

    def without_threshold(self, arms: Sequence[str]) -> list[str]:
        """Return a note that names the models, of those a study trains, that get no threshold."""
        calibration = self.split.calibration
        named = [arm for arm in arms if models.detector_class(arm).needs_folds(calibration)]
        if not named:
            return []
        return [
            f"No F1 and no false alarms of {', '.join(named)}, trained here: with split.calibration cross no "
            "good image is set aside for a threshold, and folds would multiply the trainings."
        ]

    def known(self, model: str) -> bool:
        """Say whether there are settings of a model."""
        return model in self.detectors or model in self.models

    def settings_of(self, model: str) -> dict[str, Any]:
        """Return the settings a model was trained with; its section of params.yaml if it is not listed."""
        if model in self.detectors:
            saved = files.read_json(artifacts.model_folder(self.category, model) / DESCRIPTION)["settings"]
            return {**models.detector_class(model).added_settings, **saved}
        return dict(self.models[model])

    def threshold_of(self, model: str) -> params.Threshold:
        """Return section threshold with the false-alarm rate that the model's own threshold was set for."""
        if model not in self.detectors:
            return self.threshold
        asked = self.recorded_threshold(model)["false_alarm_rate_asked"]
        return self.threshold.model_copy(update={"false_alarm_rate": asked})

    def recorded_notes(self, model: str) -> list[str]:
        """Return notes on the threshold that stage score set for a listed detector."""
        n = self.recorded_threshold(model)["n_calibration"]
        return tables.unsupported(model, n, self.threshold_of(model))

    def recorded_threshold(self, model: str) -> dict[str, Any]:
        """Return threshold.json of a listed detector."""
        return files.read_json(artifacts.scores_folder(self.category, model) / "threshold.json")

    def recorded_scores(self, model: str) -> pd.DataFrame:
        """Return the scores of all test images that stage score wrote for a listed detector."""
        scores = read_table(artifacts.scores_folder(self.category, model) / "scores.csv")
        return scores[scores["half"] != "none"].reset_index(drop=True)

    def about(self, rows: np.ndarray, subset: str) -> pd.DataFrame:
        """Return path, subset, defect and label of the given rows of the manifest."""
        table = self.data.manifest[["path", "defect", "label"]].iloc[rows].reset_index(drop=True)
        table.insert(1, "subset", subset)
        return table
