"""Settings that one (category, model) runs with: those of params.yaml, or those that its tuning found.

Stage `settings` resolves them into files, one for training and one for the threshold, so that another
tuning of one pair, or another threshold, reruns only what depends on it.
"""

from pathlib import Path
from typing import Any

import yaml

from mlproject.core import artifacts, files, params
from mlproject.core.errors import UserError, unknown_name
from mlproject.core.params import Section, Threshold


class TunedThreshold(Section):
    """Values that a tuning found for the section threshold."""

    false_alarm_rate: float


class Tuned(Section):
    """data/tuned/<category>/<model>.yaml, as `mlproject tune` writes it.

    Attributes:
        study: the tuning that found the rest; `labels` reads its objective, data_hash and split_seed.
        threshold: replaces these keys of params.yaml's section.
        settings: the model's section as a whole.
    """

    study: dict[str, Any]
    threshold: TunedThreshold
    settings: dict[str, Any]

    @property
    def labels(self) -> dict[str, Any] | None:
        """The data (data_hash) and half (split_seed) whose labels chose the settings; None: no labels did."""
        if self.study.get("objective") != "labelled":
            return None
        return {name: self.study.get(name) for name in ("data_hash", "split_seed")}


def resolve(category: str, model: str) -> tuple[dict[str, Any], Threshold]:
    """Return what the settings file is to hold (source, settings, labels), and the section threshold.

    Raises:
        UserError: params.yaml has no such model, the tuned file is not what `mlproject tune` writes, or it
            has keys that params.yaml lacks.
    """
    source, models = f"{params.FILE}: models.{model}", params.value("models")
    if model not in models:
        raise unknown_name(source, model, models)
    settings, threshold = models[model], params.load("threshold", Threshold)
    path, labels = artifacts.tuned_file(category, model), None
    if params.is_tuned() and path.is_file():
        tuned = read_tuned(path)
        for key in tuned.settings:
            if key not in settings:
                raise unknown_name(f"{path}: settings.{key}", key, settings)
        source, settings, labels = f"{path}: settings", tuned.settings, tuned.labels
        checked = threshold.model_dump() | tuned.threshold.model_dump()
        threshold = params.check(checked, Threshold, f"{path}: threshold")
    return {"source": source, "settings": settings, "labels": labels}, threshold


def read_tuned(path: Path) -> Tuned:
    """Return the file that a tuning wrote.

    Raises:
        UserError: the file holds something else.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not valid YAML: {error}") from None
    return params.check(tree, Tuned, str(path))


def write_tuned(path: Path, tuned: Tuned) -> None:
    """Write the tuned file whole or not at all."""
    text = yaml.safe_dump(tuned.model_dump(), sort_keys=False, allow_unicode=True)
    files.write_text(
        path,
        "# Written by `mlproject tune`. The pipeline reads it where params.yaml says `tuned: true`.\n" + text,
    )


def model_settings(category: str, model: str) -> tuple[dict[str, Any], str]:
    """Return the model's settings, and where they come from in words, as the stage resolved them."""
    found = files.read_json(artifacts.settings_file(category, model))
    return found["settings"], found["source"]


def labels_seen(category: str, model: str) -> dict[str, Any] | None:
    """Return `Tuned.labels` of the resolved settings; the pair is evaluated on the other half."""
    found: dict[str, Any] | None = files.read_json(artifacts.settings_file(category, model))["labels"]
    return found


def tuned_on_labels(category: str, model: str, data_hash: str, seed: int) -> bool:
    """Say whether the pair's settings were chosen by the labels of the pool of this data and seed.

    Raises:
        UserError: they were chosen by another half of the test images: none is known to be unseen.
    """
    seen = labels_seen(category, model)
    if seen and seen != {"data_hash": data_hash, "split_seed": seed}:
        raise UserError(
            f"{artifacts.tuned_file(category, model)}: chosen by the labels of half of the test images, of "
            "other data or another seed than now: no half is known to be unseen. "
            f"Run: mlproject tune --category {category} --model {model} --objective labelled"
        )
    return seen is not None


def threshold_settings(category: str, model: str) -> Threshold:
    """Return the section threshold, as the stage resolved it."""
    path = artifacts.threshold_settings_file(category, model)
    return params.check(files.read_json(path), Threshold, str(path))
