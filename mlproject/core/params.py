"""params.yaml, the only home of defaults, read one key at a time into frozen, typed settings.

A stage calls `load` for the keys that dvc.yaml declares for it, and for no others.
"""

import os
import re
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from mlproject.core.errors import UserError, unknown_name
from mlproject.core.parallel import usable_cores

FILE = Path("params.yaml")
# lists of names → the section that has those that may be chosen
LISTS = {
    "detectors": "models",
    "models_tuned": "models",
    "generators_used": "generators",
    "studies_used": "studies",
}
LARGEST_SEED = 2**32 - 1  # that every library takes
RESERVED = ("settings", "studies", "benchmark")  # folders of artifacts/, where each category has one
_SAFE_NAME = re.compile(r"\w[\w.-]*")  # as a folder's name, and in the shell commands of dvc.yaml


class Section(BaseModel):
    """A part of params.yaml: frozen, every key known, no value guessed."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Data(Section):
    """Where the images come from."""

    source: Literal["sample", "folder", "mvtec"]
    path: str
    url: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    accept_licence: bool
    strict: bool

    @field_validator("path")
    @classmethod
    def _no_tilde(cls, path: str) -> str:
        """Refuse a path that DVC, which reads it too, would look for under the project's folder."""
        if path.startswith("~"):
            whole = str(Path(path).expanduser())
            raise PydanticCustomError("tilde", f"DVC does not expand ~. Write {whole!r}.")
        return path

    @property
    def dataset_name(self) -> str:
        """Name of the data set in MLflow: the source, or the folder's own name."""
        return Path(self.path).resolve().name if self.source == "folder" else self.source


class Prepare(Section):
    """How images are stored.

    Attributes:
        image_size: side of the stored square, pixels, at most: of smaller photos, their own shorter side.
    """

    image_size: int = Field(ge=16, le=2048)


class Split(Section):
    """How train/good is divided."""

    validation_share: float = Field(gt=0, lt=1)
    calibration: Literal["half", "cross"]
    folds: int = Field(ge=2, le=20)


class Training(Section):
    """How any model is trained; says nothing about which."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16"]
    processes: int = Field(ge=1, le=64)


class Threshold(Section):
    """The clean protocol: the false-alarm rate that is asked for, on average or with a confidence."""

    false_alarm_rate: float = Field(gt=0, lt=1)
    confidence: float | None = Field(default=None, gt=0, lt=1)  # files of release 0.2 lack it
    strict: bool


class Evaluate(Section):
    """How results are measured."""

    bootstrap: int = Field(ge=100)
    aupro_limit: float = Field(gt=0, le=1)


class Tune(Section):
    """How a tuning looks for better settings."""

    trials: int = Field(ge=1)
    epochs: int | None = Field(ge=1)
    objective: Literal["proxy", "labelled"]
    prune: bool
    workers: int = Field(ge=1, le=256)


class Promote(Section):
    """What a version must pass to be promoted."""

    margin: float = Field(ge=0, lt=0.5)
    false_alarm_rate: float = Field(gt=0, lt=1)
    bootstrap: int = Field(ge=100)
    tolerance: float = Field(gt=0, le=0.01)
    latency_ms: float = Field(gt=0)
    memory_mb: float = Field(gt=0)


# each at the key of its name in lower case
SECTIONS: tuple[type[Section], ...] = (
    Data, Prepare, Split, Training, Threshold, Evaluate, Tune, Promote
)  # fmt: skip
OTHER_KEYS = ("categories", "seed", "study_workers", "engine", "tuned")  # in neither SECTIONS nor LISTS

S = TypeVar("S", bound=BaseModel)


class _Loader(yaml.CSafeLoader):
    """As DVC reads the file: a key that is there twice is an error, not the second one."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._looked_at: set[int] = set()  # mappings, by id

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Write `<<` out, as the base class does; first of all, a key that is there twice is an error."""
        if id(node) not in self._looked_at:
            self._looked_at.add(id(node))
            seen = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                if key.value in seen:
                    place = f"line {key.start_mark.line + 1}: {key.value}"
                    raise yaml.constructor.ConstructorError(problem=f"{place} is there twice")
                seen.add(key.value)
        super().flatten_mapping(node)


def load_file(path: Path | None = None) -> dict[str, Any]:
    """Return params.yaml as nested dictionaries.

    Raises:
        UserError: the file is missing or is no YAML mapping.
    """
    path = path or FILE
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  (it is a safe loader)
    except FileNotFoundError:
        raise UserError(f"{path}: not found. Run the command in the project's folder.") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}: line {line} is not UTF-8. Save the file as UTF-8.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: must hold sections (data, prepare, …), found {type(tree).__name__}")
    return tree


def value(key: str, path: Path | None = None) -> Any:
    """Return the raw value at a dotted key, such as ``"models.kd_cae"``."""
    node: Any = load_file(path)
    walked: list[str] = []
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            names = node if isinstance(node, dict) else ()
            raise unknown_name(f"{path or FILE}: {'.'.join([*walked, part])}", part, names)
        node = node[part]
        walked.append(part)
    return node


def categories() -> list[str]:
    """Return the names of the categories.

    Raises:
        UserError: the list is empty, has a name twice or one that is unsafe in a path; says which name, and
            what is allowed.
    """
    names, where = value("categories"), f"{FILE}: categories"
    if not isinstance(names, list) or not names:
        raise UserError(f"{where} must list one category or more, such as [bottle, screw]")
    for name in names:
        if not isinstance(name, str):
            raise UserError(f"{where}: {name!r} is no text. Put it in quotes.")
        if not _SAFE_NAME.fullmatch(name):
            raise UserError(
                f"{where}: {name!r} is no name of a category. Allowed: letters, digits, _, - and ., "
                f"with a letter, a digit or _ first."
            )
        if name in RESERVED:
            raise UserError(f"{where}: {name} is a folder of artifacts/. Name the category otherwise.")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"{where}: {twice[0]} is there twice. Remove one.")
    return names


def chosen(key: str) -> list[str]:
    """Return the names at one of `LISTS`.

    Raises:
        UserError: it is no list of names, a name is there twice or has no section, or no detector is named.
    """
    names, known, where = value(key), value(LISTS[key]), f"{FILE}: {key}"
    if known is None:  # all of the section is commented out
        known = {}
    if not isinstance(known, dict):
        raise UserError(f"{FILE}: {LISTS[key]} is {known!r}: it must be a section")
    if not isinstance(names, list):
        raise UserError(f"{where} is {names!r}: it must be a list, such as [{', '.join(list(known)[:2])}]")
    for name in map(str, names):
        if name not in known:
            raise unknown_name(f"{where}: {name}", name, known)
        if not isinstance(known[name], dict):
            raise UserError(f"{FILE}: {LISTS[key]}.{name} is {known[name]!r}: it must be a section")
        if names.count(name) > 1:
            raise UserError(f"{where}: {name} is there twice. Remove one.")
    if not names and key == "detectors":
        raise UserError(f"{where} must list one detector or more: {', '.join(known)}")
    return names


def unknown_keys() -> list[UserError]:
    """Return an error for each key of the file's first level that nothing reads."""
    known = {*(section.__name__.lower() for section in SECTIONS), *LISTS, *LISTS.values(), *OTHER_KEYS}
    return [unknown_name(f"{FILE}: {key}", str(key), known) for key in load_file() if key not in known]


def seed() -> int:
    """Return the seed of every random number.

    Raises:
        UserError: it is no whole number from 0 to `LARGEST_SEED`.
    """
    found = value("seed")
    if type(found) is not int or not 0 <= found <= LARGEST_SEED:
        raise UserError(f"{FILE}: seed is {found!r}: it must be a whole number from 0 to {LARGEST_SEED}")
    return found


def is_tuned() -> bool:
    """Return whether a tuning's settings replace those of `models`, where there are any.

    Raises:
        UserError: the value is neither true nor false.
    """
    found = value("tuned")
    if not isinstance(found, bool):
        raise UserError(f"{FILE}: tuned is {found!r}. Allowed: true, false")
    return found


def study_workers() -> int:
    """Return the number of processes of a study; ``auto``: one per usable core.

    Raises:
        UserError: it is neither ``auto`` nor a number from 1 on.
    """
    found = value("study_workers")
    if isinstance(found, int) and not isinstance(found, bool) and found >= 1:
        return found
    if found != "auto":
        raise UserError(f"{FILE}: study_workers is {found!r}. Allowed: auto, or a number from 1 on")
    return usable_cores()


def load(key: str, schema: type[S], path: Path | None = None) -> S:
    """Return the settings at a dotted key, checked against their schema.

    Raises:
        UserError: a key is missing, unknown (the nearest is named) or has a value that is not allowed.
    """
    return check(value(key, path), schema, f"{os.fspath(path or FILE)}: {key}")


def check(tree: Any, schema: type[S], where: str) -> S:
    """Return `tree` as a `schema`, or raise a UserError that names the first wrong key."""
    if not isinstance(tree, dict):
        raise UserError(f"{where} must be a section with keys {', '.join(schema.model_fields)}")
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        # a misspelt key is unknown and its right name missing: the first of the two says what to do
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        place = ".".join(str(part) for part in (where, *first["loc"]))
        if first["type"] == "extra_forbidden":
            raise unknown_name(place, str(first["loc"][-1]), schema.model_fields) from None
        if first["type"] == "missing":
            raise UserError(f"{place} is missing. It must be set.") from None
        reason = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # a rule about several keys, each of which is right
            raise UserError(f"{place}: {reason}") from None
        raise UserError(f"{place} is {first['input']!r}: {reason}") from None
