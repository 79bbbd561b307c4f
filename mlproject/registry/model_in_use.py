"""Model of a watch: the version that an address names now, and the scores that photos are compared with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlproject.registry import loaded_version
from mlproject.registry.address import find_version
from mlproject.registry.loaded_version import LoadedVersion
from mlproject.tracking import connection

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True, eq=False)
class ModelInUse:
    """A version ready to score.

    Attributes:
        good_scores: (n,) recorded scores of good images that it was not trained on; may be empty.
    """

    version: LoadedVersion
    good_scores: np.ndarray


def load(address: str) -> ModelInUse:
    """Return the version that an address names.

    Raises:
        UserError: there is none, its files are gone or changed, or the store does not answer.
    """
    return _loaded(find_version(connection.open_registry(), address))


def newer(address: str, used: ModelInUse) -> ModelInUse | None:
    """Return the version that an address names, if it is another than the one in use.

    Raises:
        UserError: as `load`.
    """
    found = find_version(connection.open_registry(), address)
    same = (found.name, str(found.version)) == (used.version.name, used.version.version)
    return None if same else _loaded(found)


def _loaded(version: "ModelVersion") -> ModelInUse:
    return ModelInUse(loaded_version.load_version(version), loaded_version.good_scores(version))
