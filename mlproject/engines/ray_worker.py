"""One task of a Ray cluster, on the machine that runs it."""

import functools
import hashlib
import os
import pickle
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import mlproject
from mlproject.core.errors import UserError

# What decodes and computes. Another version of one may give other digits, and no key of a result would tell.
LIBRARIES = ("ray", "torch", "numpy", "scipy", "scikit-learn", "pandas", "pillow")


@dataclass(frozen=True)
class Setting:
    """What all tasks of one piece of work share.

    Attributes:
        folder: of the command; tasks run in it.
        needed: paths that every machine must see, absolute or in `folder`.
        start: called with `arguments` once in each process before its first task.
    """

    folder: Path
    needed: Sequence[Path]
    start: Callable[..., None] | None
    arguments: Sequence[object]


@functools.cache
def versions() -> dict[str, str]:
    """Return what must be the same on all machines: Python, this project's code, and `LIBRARIES`."""
    root = Path(mlproject.__file__).parent
    code = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        code.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return {
        "python": platform.python_version(),
        "mlproject": mlproject.__version__,
        "code of mlproject": code.hexdigest()[:16],
        **{name: metadata.version(name) for name in LIBRARIES},
    }


_ready: set[str] = set()  # settings that this process has set up


def run(work: bytes, expected: Mapping[str, str], setting: Sequence[Any]) -> Any:
    """Return what a pickled (function, item) gives, after setting up this process if it is new.

    Args:
        expected: `versions` of the machine of the command.
        setting: holds the reference of a `Setting`; in a sequence, Ray does not fetch it for every task.

    Raises:
        UserError: this machine has other versions, or does not see what is needed; or as the function.
    """
    import ray

    check_versions(expected, versions())
    if (key := setting[0].hex()) not in _ready:
        set_up(ray.get(setting[0]))
        _ready.add(key)
    function, item = pickle.loads(work)  # noqa: S301  # from the command, as the function itself
    return function(item)


def check_versions(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Refuse a machine whose results could differ.

    Raises:
        UserError: names each version that is another one.
    """
    others = [
        f"{name} {found.get(name)} ({expected[name]} here)"
        for name in expected
        if found.get(name) != expected[name]
    ]
    if others:
        raise UserError(
            f"The machine {platform.node()} of the cluster has other versions than the command: "
            f"{', '.join(others)}. Install the same on all of them (constraints.txt), and restart Ray there."
        )


def set_up(setting: Setting) -> None:
    """Go to the folder of the command and prepare this process.

    Raises:
        UserError: the folder or what is needed in it is not there.
    """
    for path in (setting.folder, *(setting.folder / path for path in setting.needed)):
        if not path.exists():
            raise UserError(
                f"The machine {platform.node()} of the cluster does not see {path}. Every machine must find "
                "the same files under the same path: share the folder, or copy it there (docs/cluster.md)."
            )
    os.chdir(setting.folder)
    if setting.start:
        setting.start(*setting.arguments)


class Resident:
    """Actor that keeps an object; `ray_cluster.Resident` calls its methods."""

    def __init__(self, folder: Path, make: Callable[..., Any], arguments: Sequence[object]) -> None:
        os.chdir(folder)
        self.kept = make(*arguments)

    def call(self, method: str, arguments: Sequence[object]) -> Any:
        """Return what a method of the object gives."""
        return getattr(self.kept, method)(*arguments)
