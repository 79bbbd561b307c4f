"""Registry of studies: a file's name is its study's name, so there is no list to edit."""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.core import params
from mlproject.core.errors import unknown_name

if TYPE_CHECKING:
    from mlproject.studies.components.base import Study
    from mlproject.studies.components.inputs import StudyInputs


def names() -> list[str]:
    """Return the name of every study file in this folder, without importing it."""
    files = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in files if not module.ispkg)


def check(name: str, settings: Any, where: str = "settings") -> "tuple[type[Study], params.Section]":
    """Return a study's class and its settings, checked.

    Raises:
        UserError: no such study, or a setting that is not known or not allowed.
    """
    if name not in names():
        raise unknown_name(f"study {name}", name, names())
    study = importlib.import_module(f"mlproject.studies.{name}").STUDY
    return study, params.check(settings, study.Parameters, where)


def create(name: str, settings: Mapping[str, Any], inputs: "StudyInputs", where: str = "settings") -> "Study":
    """Return a study of one category from its section of params.yaml; raises as `check`."""
    study, checked = check(name, dict(settings), where)
    return study(checked, inputs)
