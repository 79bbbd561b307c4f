"""A hash of the code that computes a result: another hash makes a kept result stale."""

import ast
import functools
import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "mlproject"
# where results lie, and how errors are worded
DECIDE_NOTHING = ("mlproject/core/artifacts.py", "mlproject/core/errors.py")


@functools.cache
def code_hash(*modules: str) -> str:
    """Return 16 hex digits over the code of modules and of all in this package that they import.

    Comments, docstrings and layout do not count, nor do DECIDE_NOTHING.
    """
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in reached(modules)}
    lines = [f"{name} {_digest(files[name])}\n" for name in sorted(files) if name not in DECIDE_NOTHING]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


@functools.cache
def _digest(code: bytes) -> str:
    """Return the hash of a file's syntax tree without docstrings."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node, clean=False) is not None
            node.body = node.body[documented:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def reached(modules: tuple[str, ...]) -> set[Path]:
    """Return the files of modules and of all in this package that they import, however far."""
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        path = _file(waiting.pop())
        if path and path not in found:
            found.add(path)
            waiting += _imports(path.read_bytes())
    return found


def _file(module: str) -> Path | None:
    """Return the file of a module of this package; None for anything else, such as a name in a module."""
    base = ROOT.joinpath(*module.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    inside = module.split(".", maxsplit=1)[0] == PACKAGE
    return next((path for path in candidates if inside and path.is_file()), None)


@functools.cache
def _imports(code: bytes) -> tuple[str, ...]:
    """Return what a file imports, in functions too; modules, and names that may be modules."""
    found: list[str] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)
