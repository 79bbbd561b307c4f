"""The tags of a registered version: five that people read, and one that holds its lineage for programs."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlproject.core.wording import minute

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

ARCHITECTURE, AUROC, F1, TRAINED, COMMIT = "architecture", "auroc", "f1", "trained", "commit"
LINEAGE = "mlproject.lineage"


def lineage(version: "ModelVersion") -> dict[str, str]:
    """Return the lineage recorded with a version, {} if none is.

    Keys: category, threshold, run_key, model_hash, served_hash, files (sha256 of its hashes.json), and
    those of `tracking.lineage.of_version`.
    """
    return json.loads(version.tags.get(LINEAGE, "{}"))


def architecture(version: "ModelVersion") -> str:
    """Return the name of a version's detector, "unknown" if it is not recorded."""
    return version.tags.get(ARCHITECTURE, "unknown")


def category(version: "ModelVersion") -> str:
    """Return the category that a version was trained on, "" if it is not recorded."""
    return lineage(version).get("category", "")


def make(model: str, metrics: Mapping[str, Any], ended: int, facts: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a version.

    Args:
        metrics: metrics.json.
        ended: when its training ended, milliseconds since 1970.
        facts: its lineage.
    """
    commit = facts.get("git_commit", "")[:10]
    return {
        ARCHITECTURE: model,
        AUROC: auroc(metrics),
        F1: f1(metrics),
        TRAINED: minute(ended / 1000),
        COMMIT: f"{commit}, uncommitted changes" if facts.get("git_tree") == "dirty" else commit or "unknown",
        LINEAGE: json.dumps(facts, sort_keys=True, separators=(",", ":")),
    }


def auroc(metrics: Mapping[str, Any]) -> str:
    """Return AUROC with its 95 % interval, to three digits."""
    if metrics["auroc"] is None:
        return "not measured"
    low, high = metrics["auroc_low"], metrics["auroc_high"]
    interval = f" [{low:.3f}, {high:.3f}]" if low is not None else ""
    return f"{metrics['auroc']:.3f}{interval}"


def f1(metrics: Mapping[str, Any]) -> str:
    """Return F1 of the clean protocol, and that of calling all images defective, to three digits."""
    clean, everything = metrics["clean"]["f1"], metrics["all_defective_f1"]
    said = ["not measured" if value is None else f"{value:.3f}" for value in (clean, everything)]
    return f"{said[0]} (all defective: {said[1]})"
