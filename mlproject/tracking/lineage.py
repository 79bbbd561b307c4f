"""Lineage of a registered version: commit, data, settings and seed that make it again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlproject.core import artifacts, files, params
from mlproject.core.errors import UserError
from mlproject.tracking.detector_facts import DetectorFacts
from mlproject.tracking.facts import Facts, dvc_md5, flatten, git_tags, locked_stages
from mlproject.training import run_settings

COMMIT, TREE = "git_commit", "git_tree"
PARAMETERS = "mlproject.parameters"  # tag of a run
STAGES = ("train", "score")
LIMIT = 8000  # characters of a run's tag


def tags_from_files(facts: Facts) -> dict[str, str]:
    """Return commit and tree for the tags of a run that is made from files, some time after its training.

    The tree that is clean now may not be the one that it was trained with: only where dvc.lock shows that
    it was is it called clean. Of a generator or a study, which no gate checks, nothing is said.
    """
    now = git_tags()
    tree = now.pop("mlproject.tree", None)
    if tree is None or not isinstance(facts, DetectorFacts):
        return now
    return now | {"mlproject.tree": tree if made_by_these_files(facts) else "dirty"}


def of_version(
    facts: DetectorFacts, run_id: str, run: Mapping[str, str], known: Mapping[str, str]
) -> dict[str, str]:
    """Return the lineage of a registered version; what cannot be known is left out.

    Args:
        run: the tags of its run: the commit and tree that it was trained at, else `tags_from_files`.
        known: its lineage so far. A commit with a clean tree, once known, stands.
    """
    values = {
        **_git(facts, run, known),
        "data_hash": facts.training["data_hash"],
        "seed": str(facts.training["seed"]),
        "run_id": run_id,
        **{f"outside_weights.{name}": str(value) for name, value in facts.outside_weights.items()},
    }
    if hashed := facts.lock_hash():
        values["lock_hash"] = hashed
    if known.get(TREE) == values.get(TREE) == "clean" and "lock_hash" in known:
        values["lock_hash"] = known["lock_hash"]  # the lock of that commit, not of a later one
    return values | facts.lineage


def parameters_json(facts: DetectorFacts) -> str:
    """Return every setting that its stages ran with, as JSON."""
    flat = flatten({"settings": facts.training["settings"], "split": facts.training["split"]})
    flat |= {name: facts.training[name] for name in ("device", "precision")} | facts.locked()
    flat["processes"] = facts.training.get("processes", 1)  # a training of release 0.2 lacks it
    text = json.dumps(flat, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= LIMIT else ""


def _git(facts: DetectorFacts, run: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Return commit and tree: those of the training or, once committed, the commit that holds its code.

    Who trains first and commits then has trained with a dirty tree. Where dvc.lock shows that the
    committed files are those that it was trained with, that commit is as good.
    """
    trained = {COMMIT: run.get("mlflow.source.git.commit"), TREE: run.get("mlproject.tree")}
    registered = {name: known.get(name) for name in (COMMIT, TREE)}
    for source in (registered, trained):
        if source[TREE] == "clean" and source[COMMIT]:
            return {name: value for name, value in source.items() if value}
    now = git_tags()
    if now.get("mlproject.tree") == "clean" and made_by_these_files(facts):
        return {COMMIT: now["mlflow.source.git.commit"], TREE: "clean"}
    return {name: value for name, value in trained.items() if value}


def made_by_these_files(facts: DetectorFacts) -> bool:
    """Say whether dvc.lock shows that code, settings and data of a training are those that lie here now.

    params.yaml must have now what the stages ran with: an edit may have been taken back since.
    """
    run, locked = facts.training, locked_stages()
    category, model = run["category"], run["model"]
    names = (f"prepare@{category}", *(f"{stage}@{category}-{model}" for stage in STAGES))
    entries = [locked[name] for name in names if name in locked]
    if len(entries) < len(names):
        return False
    deps = {dep["path"]: dep["md5"] for entry in entries for dep in entry["deps"]}
    used = {name: value for entry in entries for name, value in entry["params"]["params.yaml"].items()}
    settings = artifacts.settings_file(category, model)
    prepared = files.read_json(artifacts.PREPARED / category / "prepared.json")
    return (
        all(dvc_md5(Path(path)) == md5 for path, md5 in deps.items() if _is_decisive(path, settings))
        and settings.is_file()
        and all(used.get(name) == run[name] for name in ("split", "seed"))
        and _is_in_params(used, run)
        and all(prepared.get(name) == run.get(name) for name in ("data_hash", "pixels_hash"))
    )


def _is_decisive(path: str, settings: Path) -> bool:
    """Say whether a dependency is code, or what settings were resolved from or into; no data, no model."""
    return not path.startswith(("data/raw", "data/prepared", "artifacts/")) or path == settings.as_posix()


def _is_in_params(used: Mapping[str, Any], run: Mapping[str, Any]) -> bool:
    """Say whether params.yaml, with the file that tuning wrote, has the values that the stages ran with."""
    category, model = run["category"], run["model"]
    try:
        settings, threshold = run_settings.resolve(category, model)
        return (
            settings["settings"] == run["settings"]
            and threshold == run_settings.threshold_settings(category, model)
            and all(params.value(name) == value for name, value in used.items())
        )
    except UserError:  # a key is gone
        return False
