"""Which of this project's code a piece of it stands on: what makes a kept result stale when it changes."""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "mlproject"


@functools.cache
def code_hash(*modules: str) -> str:
    """Return 16 hex digits over the source of modules and of all in this package that they import."""
    files = sorted(reached(modules))
    digests = (hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    names = (path.relative_to(ROOT).as_posix() for path in files)
    text = "".join(f"{name} {digest}\n" for name, digest in zip(names, digests, strict=True))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def reached(modules: tuple[str, ...]) -> set[Path]:
    """Return the files of modules and of all in this package that they import, however far."""
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        path = _file(waiting.pop())
        if path and path not in found:
            found.add(path)
            waiting += _imports(path)
    return found


def _file(module: str) -> Path | None:
    """Return the file of a module of this package; None for anything else, such as a name in a module."""
    base = ROOT.joinpath(*module.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    inside = module.split(".", maxsplit=1)[0] == PACKAGE
    return next((path for path in candidates if inside and path.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    """Yield what a file imports, in functions too; modules, and names that may be modules."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
