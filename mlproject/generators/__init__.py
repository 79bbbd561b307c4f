"""Registry of generators: a file's name is its generator's name, so there is no list to edit."""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.core import files, params
from mlproject.core.errors import unfitting_weights, unknown_name

if TYPE_CHECKING:
    from mlproject.generators.base import Generator


def names() -> list[str]:
    """Return the name of every generator file in this folder, without importing it."""
    files = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in files if module.name != "base")


def create(name: str, settings: Mapping[str, Any], where: str = "settings") -> "Generator":
    """Return an untrained generator from its section of params.yaml.

    Raises:
        UserError: no such generator, or a setting that is not known or not allowed.
    """
    if name not in names():
        raise unknown_name(f"generator {name}", name, names())
    generator = importlib.import_module(f"mlproject.generators.{name}").GENERATOR
    return generator(params.check(dict(settings), generator.Parameters, where))


def load(folder: Path) -> "Generator":
    """Return the generator that `Generator.save` wrote. No code in the folder is ever run.

    Raises:
        UserError: a file is missing or damaged, or the weights do not fit the settings.
    """
    from mlproject.generators.base import DESCRIPTION, WEIGHTS

    description = files.read_json(folder / DESCRIPTION, required=("generator", "settings"))
    arrays = files.read_weights(folder / WEIGHTS)
    where = f"{folder / DESCRIPTION}: settings"
    generator = create(description["generator"], description["settings"], where)
    try:
        generator.restore(arrays)
    except (KeyError, RuntimeError) as error:
        raise unfitting_weights(folder / WEIGHTS, DESCRIPTION, error) from None
    return generator
