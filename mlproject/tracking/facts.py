"""Facts of one (category, model) from its files: settings, history, figures, hashes, lineage. No MLflow."""

import functools
import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd
import yaml

from mlproject.core import artifacts, files
from mlproject.training.identity import FACTS

LOCK = Path("dvc.lock")
OF_ALL_PAIRS = ("categories", "detectors", "models")  # what stage settings reads but for one pair's values


def files_hash(files: Mapping[str, Path]) -> str:
    """Return the sha256 hex over the names and contents of files, whatever their order."""
    lines = (f"{name} {hashlib.sha256(files[name].read_bytes()).hexdigest()}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def files_in(folder: Path) -> dict[str, Path]:
    """Return relative posix name → file of everything below a folder but hidden and half-written files."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.suffix != ".part"
    }


def pictures_by_epoch(folder: Path) -> dict[int, Path]:
    """Return epoch → file of a folder's epoch_NNNN.png."""
    return {int(path.stem.rsplit("_", 1)[1]): path for path in folder.glob("epoch_*.png")}


@dataclass(frozen=True)
class Facts:
    """All that the record tells of one (category, model), read from its files.

    Attributes:
        training: run.json.
        history: columns epoch, loss, validation_loss.
        metrics: metrics.json.
        threshold: threshold.json.
        shortcuts: shortcuts.json.
        files: artifact path → file, what is logged as it is.
        strips: epoch → picture of originals above their reconstructions.
        model_hash: sha256 over the model folder.
        content_hash: sha256 over the model and everything above.
    """

    stage: ClassVar[str] = "train"
    image_key: ClassVar[str] = "reconstructions"

    training: dict[str, Any]
    history: pd.DataFrame
    metrics: dict[str, Any]
    threshold: dict[str, Any]
    shortcuts: dict[str, Any]
    files: dict[str, Path]
    strips: dict[int, Path]
    model_hash: str
    content_hash: str

    @classmethod
    def read(cls, category: str, model: str) -> Self:
        """Read them.

        Raises:
            UserError: a file is missing; names the command that makes it.
        """
        training = artifacts.training_folder(category, model)
        scores, report = artifacts.scores_folder(category, model), artifacts.report_folder(category, model)
        shortcuts = artifacts.report_folder(category) / "shortcuts.json"
        model_files = files_in(artifacts.model_folder(category, model))
        strips = pictures_by_epoch(training / "reconstructions")
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
            history=files.read_table(training / "history.csv"),
            metrics=files.read_json(report / "metrics.json"),
            threshold=files.read_json(scores / "threshold.json"),
            shortcuts=files.read_json(shortcuts),
            files=logged,
            strips=strips,
            model_hash=files_hash(model_files),
            content_hash=files_hash(
                logged
                | {f"model/{name}": path for name, path in model_files.items()}
                | {f"strips/{epoch}": path for epoch, path in strips.items()}
            ),
        )

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
        """Return what is no number and what a later stage may change under the same training."""
        values = {
            "stopped": self.training["stopped"],
            "threads": self.training["threads"],
            "shortcut": self.shortcuts["strongest"],
            "shortcut_flagged": self.shortcuts["flagged"],
            "threshold_supported": self.metrics["supported"],
            **{f"version.{name}": version for name, version in self.training["versions"].items()},
            **{name: value for name, value in self.locked().items() if name not in parameters(self.training)},
        }
        if LOCK.is_file():
            values["mlproject.lock_hash"] = hashlib.sha256(LOCK.read_bytes()).hexdigest()
        return {name: str(value) for name, value in values.items()}

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


def locked_stages() -> dict[str, Any]:
    """Return the stages of dvc.lock, by name; {} where there is no lock."""
    return _stages(LOCK.read_text(encoding="utf-8")) if LOCK.is_file() else {}


@functools.lru_cache(maxsize=1)
def _stages(lock: str) -> dict[str, Any]:
    # by libyaml: Python's own parser needs half a second for these thousands of lines
    return yaml.load(lock, yaml.CSafeLoader).get("stages", {})


def parameters(training: Mapping[str, Any]) -> dict[str, str]:
    """Return what decides a training, flat: MLflow's parameters, which can never change.

    Args:
        training: run.json, or the part of it that is known before the first epoch.
    """
    counted = ("n_train", "n_validation", "parameters")
    values = {name: training[name] for name in (*FACTS, *counted) if name in training}
    return {name: str(value) for name, value in flatten(values).items()}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one: {"clean": {"f1": 1}} → {"clean.f1": 1}."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def git_tags() -> dict[str, str]:
    """Return commit and state of the working tree; nothing where there is no git.

    dvc.lock and reports/ do not count as changes: the pipeline itself writes them, and their hashes are
    recorded separately.
    """
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {}
    changed = _git("status", "--porcelain", "--", ".", ":!dvc.lock", ":!reports")
    return {"mlflow.source.git.commit": commit, "mlproject.tree": "dirty" if changed else "clean"}


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", *arguments], capture_output=True, encoding="utf-8", check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
