"""Facts of a trained detector that its run in MLflow shows: training, scores, report, model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from mlproject.core import artifacts, files
from mlproject.core.errors import UserError
from mlproject.core.tables import read_table
from mlproject.tracking.facts import (
    Facts,
    demand_one_run,
    files_hash,
    files_in,
    flatten,
    lock_hash,
    locked_stages,
    mlflow_parameters,
    pictures_by_epoch,
)

OF_ALL_PAIRS = ("categories", "detectors", "models")  # what stage settings reads but for one pair's values

LEARNT, YES, NO = "learnt", "yes", "no: "  # tag of a run and its values; the reason follows NO


def stages_of(category: str, model: str) -> list[str]:
    """Return the names of the stages that make a detector and its figures, in their order."""
    of_pair = (f"{stage}@{category}-{model}" for stage in ("train", "score", "evaluate"))
    return [f"prepare@{category}", *of_pair]


@dataclass(frozen=True)
class DetectorFacts(Facts):
    """Facts of one (category, detector).

    Attributes:
        metrics: metrics.json.
        threshold: threshold.json.
        shortcuts: shortcuts.json.
        served: what travels with a registered version: name in it → file or folder; model, threshold and
            prepared at least.
    """

    stage: ClassVar[str] = "train"
    image_key: ClassVar[str] = "reconstructions"

    metrics: dict[str, Any]
    threshold: dict[str, Any]
    shortcuts: dict[str, Any]
    served: dict[str, Path]

    @classmethod
    def read(cls, category: str, model: str) -> Self:
        prepare, *of_pair = stages_of(category, model)
        demand_one_run([prepare, f"shortcuts@{category}", *of_pair])
        scores = artifacts.scores_folder(category, model)
        served = {
            "model": artifacts.model_folder(category, model),
            "threshold": scores / "threshold.json",
            "prepared": artifacts.PREPARED / category / "prepared.json",
        }
        return cls.read_from(
            artifacts.training_folder(category, model),
            scores,
            artifacts.report_folder(category, model),
            artifacts.report_folder(category) / "shortcuts.json",
            served,
        )

    @classmethod
    def read_from(
        cls, training: Path, scores: Path, report: Path, shortcuts: Path, served: dict[str, Path], **more: Any
    ) -> Self:
        """Read the files that lie in these folders.

        Args:
            more: attributes of a subclass.

        Raises:
            UserError: a file is missing.
        """
        if not served["model"].is_dir():
            raise UserError(f"{served['model']}: not found. `dvc repro` makes it.")
        model_files = files_in(served["model"])
        pictures = pictures_by_epoch(training / "reconstructions")
        logged = {
            "training/run.json": training / "run.json",
            "training/history.csv": training / "history.csv",
            "scores/scores.csv": scores / "scores.csv",
            "scores/threshold.json": scores / "threshold.json",
            "report/shortcuts.json": shortcuts,
            **{f"report/{name}": path for name, path in files_in(report).items()},
        }
        return cls(
            training=files.read_json(training / "run.json"),
            history=read_table(training / "history.csv"),
            metrics=files.read_json(report / "metrics.json"),
            threshold=files.read_json(scores / "threshold.json"),
            shortcuts=files.read_json(shortcuts),
            served=served,
            files=logged,
            pictures=pictures,
            model_hash=files_hash(model_files),
            content_hash=files_hash(
                logged
                | {f"model/{name}": path for name, path in model_files.items()}
                | {f"strips/{epoch}": path for epoch, path in pictures.items()}
            ),
            **more,
        )

    @property
    def not_learnt_because(self) -> str | None:
        """Why the model has learnt nothing, by its training or by what its scores follow; None if it has."""
        why: str | None = self.training.get("not_learnt_because") or self.metrics.get("follows_shortcut")
        return why

    @property
    def outside_weights(self) -> dict[str, Any]:
        """What is known of weights that were learnt elsewhere; {} if none were."""
        return self.training.get("outside_weights") or {}

    @property
    def lineage(self) -> dict[str, str]:
        """What the lineage of its version also says; {} of what was trained from the beginning."""
        return {}

    def figures(self) -> dict[str, float]:
        """Return every number of the report and of the training, flat; absent ones are left out."""
        training = {
            f"training.{name}": self.training[name]
            for name in ("epochs", "best_epoch", "best_validation_loss", "seconds", "images_per_second")
        }
        values = flatten(self.metrics) | training | {"shortcut_auroc": self.shortcuts["strongest_auroc"]}
        return {
            name: float(value)
            for name, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }

    def tags(self) -> dict[str, str]:
        """Add what the reports say in words, and the settings of the later stages."""
        values = {
            "stopped": self.training["stopped"],
            "shortcut": self.shortcuts["strongest"],
            "shortcut_flagged": self.shortcuts["flagged"],
            **_learnt(self.not_learnt_because, "learnt" in self.training),
            "threshold_supported": self.metrics["supported"],
            **{
                name: value
                for name, value in self.locked().items()
                if name not in mlflow_parameters(self.training)
            },
        }
        values |= flatten({"outside_weights": self.outside_weights})
        if hashed := self.lock_hash():
            values["mlproject.lock_hash"] = hashed
        return super().tags() | {name: str(value) for name, value in values.items()}

    def lock_hash(self) -> str | None:
        """Return the hash of the stages that made it, as dvc.lock has them; None if it has none of them."""
        return lock_hash(stages_of(self.training["category"], self.training["model"]))

    def locked(self) -> dict[str, Any]:
        """Return the params.yaml values that dvc.lock says this pair's stages ran with, flat.

        The lock, not params.yaml: that may have been edited since. run.json has the model's own section.
        """
        stages = locked_stages()
        found: dict[str, Any] = {}
        pair = f"{self.training['category']}-{self.training['model']}"
        for stage in ("settings", f"train@{pair}", f"score@{pair}", f"evaluate@{pair}"):
            used = stages.get(stage, {}).get("params", {}).get("params.yaml", {})
            found |= flatten({key: value for key, value in used.items() if key not in OF_ALL_PAIRS})
        resolved = artifacts.threshold_settings_file(self.training["category"], self.training["model"])
        if resolved.is_file():  # tuned: not what params.yaml says
            found |= flatten({"threshold": files.read_json(resolved)})
        return found


def _learnt(why_not: str | None, known: bool) -> dict[str, str]:
    """Return the tag that says whether a training has learnt anything; none for files of release 0.2."""
    return {LEARNT: f"{NO}{why_not}" if why_not else YES} if known else {}
