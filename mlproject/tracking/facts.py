"""Facts of one result, read from its files, that its run in MLflow shows: base class, hashes, git, lock."""

import functools
import hashlib
import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd
import yaml

from mlproject.core.errors import UserError
from mlproject.core.files import sha256
from mlproject.training.identity import FACTS

LOCK = Path("dvc.lock")
SETTINGS, RESULTS = "artifacts/settings/", ("artifacts/", "reports/")  # of what stages read, and make
KEPT = "/training"  # a folder that a resumed training writes to, so its hash may change


def files_hash(files: Mapping[str, Path]) -> str:
    """Return the sha256 hex over the names and contents of files, whatever their order.

    Raises:
        UserError: one is missing.
    """
    for path in files.values():
        if not path.is_file():
            raise UserError(f"{path} is missing. `dvc repro` makes it.")
    lines = (f"{name} {sha256(files[name])}\n" for name in sorted(files))
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
class Facts(ABC):
    """Base of the facts that a run in MLflow shows of one result, read from its files.

    Attributes:
        training: run.json.
        history: column epoch, and one for each curve.
        files: artifact path → file, what is logged as it is.
        pictures: epoch → picture.
        model_hash: sha256 over what was trained.
        content_hash: sha256 over that and all that is logged.
    """

    stage: ClassVar[str]  # of dvc.yaml, that makes the result
    image_key: ClassVar[str]  # name of the pictures in MLflow

    training: dict[str, Any]
    history: pd.DataFrame
    files: dict[str, Path]
    pictures: dict[int, Path]
    model_hash: str
    content_hash: str

    @classmethod
    @abstractmethod
    def read(cls, category: str, name: str) -> Self:
        """Read the result of a category's detector, generator or study.

        Raises:
            UserError: a file is missing; names the command that makes it.
        """

    @abstractmethod
    def figures(self) -> dict[str, float]:
        """Return every number of the result, flat; absent ones are left out."""

    def tags(self) -> dict[str, str]:
        """Return what is no number and what a later stage may change under the same training."""
        versions = {f"version.{name}": version for name, version in self.training["versions"].items()}
        return versions | {"threads": str(self.training["threads"])}


def locked_stages() -> dict[str, Any]:
    """Return the stages of dvc.lock, by name; {} where there is no lock."""
    return _stages(LOCK.read_text(encoding="utf-8")) if LOCK.is_file() else {}


def lock_hash(stages: Iterable[str]) -> str | None:
    """Return the sha256 hex of stages as dvc.lock has them; None if it has none of them.

    Args:
        stages: such as ``train@bottle-pca``.
    """
    locked = locked_stages()
    entries = {name: locked[name] for name in stages if name in locked}
    text = json.dumps(entries, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest() if entries else None


def demand_one_run(stages: Sequence[str]) -> None:
    """Refuse results that are not of one run, by the hashes in dvc.lock.

    Args:
        stages: in their order, such as ``train@bottle-pca``; those that are not in dvc.lock do not count.

    Raises:
        UserError: a stage read what has been made again since, or what lies here is not what it made.
    """
    locked = locked_stages()
    made: dict[str, str] = {}
    again = "`mlproject run` brings all of it up to date."
    for stage in stages:
        entry = locked.get(stage, {})
        for read in entry.get("deps", ()):
            if read.get("md5") != made.get(read["path"], read.get("md5")):
                raise UserError(f"{read['path']} was made again after stage {stage} had read it. {again}")
        settings = [read for read in entry.get("deps", ()) if read["path"].startswith(SETTINGS)]
        results = [out for out in entry.get("outs", ()) if out["path"].startswith(RESULTS)]
        for file in (*settings, *results):
            now = None if file["path"].endswith(KEPT) else dvc_md5(Path(file["path"]))
            if now and now != file.get("md5", now):  # None: gone, which whoever reads it says
                raise UserError(f"{file['path']} has changed since stage {stage} read or wrote it. {again}")
        made |= {out["path"]: out.get("md5") for out in entry.get("outs", ())}


@functools.lru_cache(maxsize=1)
def _stages(lock: str) -> dict[str, Any]:
    # by libyaml: Python's own parser needs half a second for these thousands of lines
    return yaml.load(lock, yaml.CSafeLoader).get("stages", {})


def mlflow_parameters(training: Mapping[str, Any]) -> dict[str, str]:
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


def git_tags(apart_from: Iterable[Path] = ()) -> dict[str, str]:
    """Return commit and state of the working tree; nothing where there is no git.

    dvc.lock and reports/ do not count as changes: the pipeline itself writes them, and their hashes are
    recorded separately.

    Args:
        apart_from: files that do not count either.
    """
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {}
    here = Path.cwd()
    inside = [path for path in (path.absolute() for path in apart_from) if path.is_relative_to(here)]
    others = (f":(exclude,literal){path.relative_to(here).as_posix()}" for path in inside)
    every = ("--untracked-files=all",) if inside else ()  # not a folder's name for all that lies in it
    changed = _git("status", "--porcelain", *every, "--", ".", ":!dvc.lock", ":!reports", *others)
    return {"mlflow.source.git.commit": commit, "mlproject.tree": "dirty" if changed else "clean"}


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            capture_output=True, encoding="utf-8", errors="replace", check=True,  # names need not be UTF-8
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def dvc_md5(path: Path) -> str | None:
    """Return DVC's hash of a file or folder; None where there is none."""
    if path.is_file():
        with path.open("rb") as file:  # maps may be larger than memory
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if not path.is_dir():
        return None
    inside = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    listed = [
        {"md5": dvc_md5(file), "relpath": name}
        for name, file in sorted(inside.items())
        if "__pycache__" not in file.parts
    ]
    text = json.dumps(listed, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"
