"""Generators by name: the file's name is the generator's name, so there is no list to edit."""

import importlib
import json
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.core import params
from mlproject.core.errors import UserError, unknown_name

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
        UserError: the folder holds no generator of this project.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    from mlproject.generators.base import DESCRIPTION, WEIGHTS

    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        arrays = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(
            f"{folder}: holds no readable generator ({error}). "
            "`dvc repro` makes it, `dvc pull` brings it back."
        ) from None
    where = f"{folder / DESCRIPTION}: settings"
    generator = create(description["generator"], description["settings"], where)
    try:
        generator.restore(arrays)
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{folder / WEIGHTS}: does not fit {DESCRIPTION} ({error})") from None
    return generator
