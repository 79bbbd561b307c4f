"""Registry of detectors: each file in this folder is one; there is no list to edit."""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.core import files, params
from mlproject.core.errors import unfitting_weights, unknown_name

if TYPE_CHECKING:
    from mlproject.models.components.detector import Detector


def names() -> list[str]:
    """Return the name of every model file in this folder, without importing it."""
    files = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in files if not module.ispkg)


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


def load(folder: Path) -> "Detector":
    """Return the detector that `Detector.save` wrote. No code in the folder is ever run.

    Raises:
        UserError: a file is missing or damaged, or the weights do not fit the settings.
    """
    from mlproject.models.components.combination import Combination
    from mlproject.models.components.detector import DESCRIPTION, WEIGHTS
    from mlproject.models.components.heat_scale import HeatScale

    description = files.read_json(folder / DESCRIPTION, required=("model", "settings", "combination"))
    arrays = files.read_weights(folder / WEIGHTS)
    name = description["model"]
    settings = {**detector_class(name).added_settings, **description["settings"]}
    detector = create(name, settings, f"{folder / DESCRIPTION}: settings")
    try:
        detector.restore(arrays)
    except (KeyError, RuntimeError) as error:
        raise unfitting_weights(folder / WEIGHTS, DESCRIPTION, error) from None
    if description["combination"]:
        detector.combination = Combination.from_dict(description["combination"])
    if description.get("heat_scale"):
        detector.heat_scale = HeatScale(**description["heat_scale"])
    return detector
