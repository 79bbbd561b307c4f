"""A registered version, downloaded and ready to score images: its weights and figures, never its code."""

import base64
import json
import sys
import tempfile
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

import mlproject
from mlproject import models
from mlproject.core import files
from mlproject.data.decode import decode_bytes
from mlproject.models.components import detector as base
from mlproject.registry import recorded_version, version_tags
from mlproject.registry.address import find_version
from mlproject.tracking import connection
from mlproject.tracking.facts import files_in

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

NOT_TRAINED_ON = ("calibration", "test")


@dataclass(frozen=True, eq=False)
class LoadedVersion:
    """A detector with all that its use needs.

    Attributes:
        name: of the registered model.
        run_id: of the training that made it.
        threshold: defective where score > threshold.
        image_size: side of the prepared images that it takes, pixels.
        example: (1, image_size, image_size, 3) uint8, the input that was registered with it.
    """

    name: str
    version: str
    category: str
    architecture: str
    run_id: str
    detector: base.Detector
    threshold: float
    image_size: int
    example: np.ndarray

    @property
    def title(self) -> str:
        """Name, version and architecture."""
        return f"{self.name} version {self.version} ({self.architecture})"

    def lineage(self) -> dict[str, str]:
        """Return what tells where it came from, as text."""
        names = ("name", "version", "run_id", "category", "architecture")
        return {name: str(getattr(self, name)) for name in names}


def load(address: str) -> LoadedVersion:
    """Return the version that an address names, such as ``bottle@champion``.

    Raises:
        UserError: there is none, or the store does not answer.
    """
    return load_version(find_version(connection.open_registry(), address))


def load_version(version: "ModelVersion") -> LoadedVersion:
    """Download a version and load its detector; no code that lies with it is run.

    Where that code is not what runs here, a line on the error stream says so.

    Raises:
        UserError: as `recorded_version.download`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = recorded_version.download(version, Path(folder))
        kept = path / "artifacts"
        threshold = files.read_json(kept / "threshold.json", required=("threshold",))["threshold"]
        image_size = files.read_json(kept / "prepared.json", required=("image_size",))["image_size"]
        found = LoadedVersion(
            name=version.name,
            version=str(version.version),
            category=version_tags.category(version),
            architecture=version_tags.architecture(version),
            run_id=version.run_id or "",
            detector=models.load(kept / "model"),
            threshold=threshold,
            image_size=image_size,
            example=_example(path / "input_example.json", image_size),
        )
        other = _other_code(path / "code/mlproject")
    if other:
        print(
            f"note: {found.title} came with other code than this mlproject {mlproject.__version__} "
            f"({', '.join(other[:3])}{', …' if other[3:] else ''}). `mlflow models serve` runs that code: "
            "its scores may differ from those here.",
            file=sys.stderr,
        )
    return found


def _other_code(packaged: Path) -> list[str]:
    """Return the packaged files that are not as they are installed here."""
    installed = Path(mlproject.__file__).parent
    return [
        name
        for name, file in files_in(packaged).items()
        if file.suffix == ".py"
        and not ((installed / name).is_file() and (installed / name).read_bytes() == file.read_bytes())
    ]


def _example(file: Path, image_size: int) -> np.ndarray:
    cells = [row[0] for row in json.loads(file.read_text(encoding="utf-8"))["data"]]
    return np.stack([decode_bytes(base64.b64decode(cell), image_size) for cell in cells])


class Offered(NamedTuple):
    """A version that may be chosen, not yet loaded, and how it is called in a list."""

    label: str
    version: "ModelVersion"


def offered(address: str) -> list[Offered]:
    """Return the version that an address names, then others of its category worth comparing it with.

    Those are every version with an alias and the newest of each architecture.

    Raises:
        UserError: as `load`.
    """
    client = connection.open_registry()
    asked = find_version(client, address)
    aliases: dict[str, list[str]] = {}
    for alias, number in client.get_registered_model(asked.name).aliases.items():
        aliases.setdefault(str(number), []).append(alias)
    versions = {int(v.version): v for v in client.search_model_versions(f"name = '{asked.name}'")}
    newest = {version_tags.architecture(versions[number]): number for number in sorted(versions)}
    chosen = sorted({*newest.values(), *map(int, aliases)} - {int(asked.version)}, reverse=True)
    return [
        Offered(_label(version, aliases.get(str(version.version), [])), version)
        for version in (asked, *(versions[number] for number in chosen))
    ]


def _label(version: "ModelVersion", aliases: list[str]) -> str:
    named = f" ({', '.join(sorted(aliases))})" if aliases else ""
    return f"{version_tags.architecture(version)}, version {version.version}{named}"


def good_scores(version: "ModelVersion") -> np.ndarray:
    """Return the (n,) recorded scores of good images that it was not trained on; none may be recorded.

    Raises:
        UserError: they are gone.
    """
    from mlflow.artifacts import list_artifacts, load_text

    if not version.run_id:
        return np.empty(0)
    path = "scores/scores.csv"
    with recorded_version.files_of(version):
        if path not in [file.path for file in list_artifacts(run_id=version.run_id, artifact_path="scores")]:
            return np.empty(0)
        table = pd.read_csv(StringIO(load_text(f"runs:/{version.run_id}/{path}")))
    good = table[(table["label"] == 0) & table["subset"].isin(NOT_TRAINED_ON)]
    return good["score"].to_numpy(dtype=np.float64)
