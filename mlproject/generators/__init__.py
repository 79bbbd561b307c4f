"""Generators by name: the file's name is the generator's name, so there is no list to edit."""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject import params
from mlproject.errors import unknown_name

if TYPE_CHECKING:
    from mlproject.generators.base import Generator

NOT_GENERATORS = {"base"}


def names() -> list[str]:
    """Return the name of every generator file in this folder, without importing it."""
    files = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in files if module.name not in NOT_GENERATORS)


def create(name: str, settings: Mapping[str, Any], where: str = "settings") -> "Generator":
    """Return an untrained generator from its section of params.yaml.

    Raises:
        UserError: no such generator, or a setting that is not known or not allowed.
    """
    if name not in names():
        raise unknown_name(f"generator {name}", name, names())
    generator = importlib.import_module(f"mlproject.generators.{name}").GENERATOR
    return generator(params.check(dict(settings), generator.Parameters, where))
