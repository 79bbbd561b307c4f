"""The registered version that is extended, with all that its own training left in the registry."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlproject import models
from mlproject.core import files
from mlproject.core.errors import UserError
from mlproject.core.tables import read_table
from mlproject.models.components.detector import Detector
from mlproject.registry import recorded_version, version_tags
from mlproject.registry.recorded_scores import RECORDED
from mlproject.tracking import lineage

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

STEPS = "extension.json"  # among a version's files: which images were added and removed, step by step
COLUMNS = ["path", "subset", "half", "defect", "label", "sha256"]


@dataclass(frozen=True)
class Parent:
    """A version that can be extended.

    Attributes:
        title: name/number.
        dataset: name of its experiment.
        images: COLUMNS of every image that it learnt from, is calibrated or tested on; those of subset train
            in the order in which its detector has them.
        sets_threshold: (n,) bool, which of those have a score without themselves, and none of their copies.
        threshold, prepared: threshold.json and prepared.json.
        training, metrics, shortcuts: run.json, metrics.json and shortcuts.json.
        lineage: what the registry holds.
        parameters: every setting of its stages, JSON.
        steps: of its extension.json, oldest first; [] of what was trained from the beginning.
    """

    title: str
    dataset: str
    category: str
    detector: Detector
    images: pd.DataFrame
    sets_threshold: np.ndarray
    threshold: dict[str, Any]
    prepared: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, Any]
    shortcuts: dict[str, Any]
    lineage: dict[str, str]
    parameters: str
    steps: list[dict[str, Any]]

    @property
    def trained(self) -> pd.DataFrame:
        """The rows of the images that it learnt from."""
        return self.images[self.images["subset"] == "train"].reset_index(drop=True)

    @property
    def not_trained(self) -> pd.DataFrame:
        """The rows of the images that it is calibrated and tested on."""
        return self.images[self.images["subset"] != "train"].reset_index(drop=True)


def load(client: "MlflowClient", version: "ModelVersion", into: Path) -> Parent:
    """Bring a version's files, and what its run says, into an empty folder.

    Raises:
        UserError: it cannot be extended, or files are gone.
    """
    from mlflow.artifacts import load_dict

    title = f"{version.name}/{version.version}"
    _demand_extendable(title, version_tags.architecture(version))
    kept = recorded_version.download(version, into) / "artifacts"
    run = client.get_run(version.run_id or "")
    with recorded_version.files_of(version):
        training, metrics, shortcuts = (
            load_dict(f"runs:/{version.run_id}/{name}.json")
            for name in ("training/run", "report/metrics", "report/shortcuts")
        )
    recorded = read_table(kept / RECORDED)
    parent = Parent(
        title=title,
        dataset=client.get_experiment(run.info.experiment_id).name,
        category=version_tags.category(version),
        detector=models.load(kept / "model"),
        images=recorded[COLUMNS],
        sets_threshold=recorded.loc[recorded["subset"] == "train", "score"].notna().to_numpy(),
        threshold=files.read_json(kept / "threshold.json"),
        prepared=files.read_json(kept / "prepared.json"),
        training=training,
        metrics=metrics,
        shortcuts=shortcuts,
        lineage=version_tags.lineage(version),
        parameters=run.data.tags.get(lineage.PARAMETERS, ""),
        steps=files.read_json(kept / STEPS)["steps"] if (kept / STEPS).is_file() else [],
    )
    if parent.trained.empty or parent.images["sha256"].isna().any():
        raise UserError(
            f"{title}: it does not say which images it has learnt from: an earlier release registered it, or "
            "its images had been prepared again. `dvc repro` trains and registers a version that does."
        )
    return parent


def _demand_extendable(title: str, architecture: str) -> None:
    can = [name for name in models.names() if models.detector_class(name).extended is not Detector.extended]
    if architecture not in can:
        raise UserError(
            f"{title}: {architecture} cannot be extended: what it learnt from one image cannot be separated "
            f"from what it learnt from the others. Can be: {', '.join(can)}"
        )
