"""Models by name: the file's name is the model's name, so there is no list to edit."""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject import params
from mlproject.errors import unknown_name

if TYPE_CHECKING:
    from mlproject.models.base import Detector

NOT_MODELS = {"base", "blocks", "chain", "reconstruction", "autoencoder"}


def names() -> list[str]:
    """Return the name of every model file in this folder, without importing it."""
    files = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in files if module.name not in NOT_MODELS)


def detector_class(name: str) -> "type[Detector]":
    """Return the class `MODEL` of `mlproject/models/<name>.py`.

    Raises:
        UserError: no such model; names the nearest.
    """
    if name not in names():
        raise unknown_name(f"model {name}", name, names())
    return importlib.import_module(f"mlproject.models.{name}").MODEL


def create(name: str, settings: Mapping[str, Any], where: str = "settings") -> "Detector":
    """Return an untrained detector from its section of params.yaml."""
    model = detector_class(name)
    return model(params.check(dict(settings), model.Parameters, where))
