"""Run stages' scripts and write down what each really imported, opened and read.

Usage: python trace_stage.py REPORTS, with {stage: [script, argument, …], …} as JSON on standard input
Not a test: tests/pipelines/test_stages.py runs it in a process of its own. It runs the stages one after the
other, so that the large packages are imported once, and forgets what each imported of the project.
"""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import matplotlib.figure  # noqa: F401
import mlflow  # noqa: F401
import pandas as pd  # noqa: F401
import sklearn.metrics  # noqa: F401
import torch  # noqa: F401

sys.dont_write_bytecode = True  # else the bytecode of what is imported would count as written by the stage
ROOT = Path.cwd()
opened: set[str] = set()
written: set[str] = set()
keys: set[str] = set()


def inside(path: object) -> str | None:
    """Return a path relative to the project, None for anything outside."""
    if not isinstance(path, str | bytes | Path):
        return None
    absolute = Path(str(path, "utf-8") if isinstance(path, bytes) else path)
    absolute = absolute if absolute.is_absolute() else ROOT / absolute
    return absolute.relative_to(ROOT).as_posix() if absolute.is_relative_to(ROOT) else None


def audit(event: str, arguments: tuple) -> None:
    """Note every file that is opened, for reading or for writing, and every rename."""
    if event == "open":
        path, mode, flags = arguments
        name = inside(path)
        if name is None:
            return
        writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & 3)
        (written if writes else opened).add(name)
    elif event == "os.rename":
        name = inside(arguments[1])
        if name:
            written.add(name)


def note_keys() -> None:
    """Wrap params.value: each key that decides what the stage (not its tracking) makes."""
    from mlproject.core import params

    value = params.value

    def noted(key, path=None):
        frame = sys._getframe(1)  # of params.load, or of who asks; not in a generator, which has a frame too
        callers = [f.f_globals.get("__name__", "") for f in (frame, frame.f_back) if f]
        refuses = frame.f_code.co_name == "chosen" and key in params.LISTS.values()  # and decides no result
        if not refuses and not any(caller.startswith("mlproject.tracking") for caller in callers):
            keys.add(key)
        return value(key, path)

    params.value = noted


def own_modules() -> dict[str, Any]:
    """Return what is imported of the project, by name."""
    return {
        name: module
        for name, module in sys.modules.items()
        if name.split(".")[0] in ("mlproject", "pipelines") and getattr(module, "__file__", None)
    }


def trace(report: Path, script: str, arguments: list[str]) -> None:
    """Run a script as a new process would, and write what was found."""
    for name in own_modules():
        del sys.modules[name]
    for found in (opened, written, keys):
        found.clear()
    note_keys()
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).parent)
    runpy.run_path(script, run_name="__main__")
    modules = {inside(module.__file__) for module in own_modules().values()}
    traced = {"modules": modules | {script}, "opened": opened, "written": written, "keys": keys}
    report.write_text(json.dumps({name: sorted(filter(None, values)) for name, values in traced.items()}))


def main() -> None:
    """Run each stage; stop at the first that fails."""
    sys.addaudithook(audit)
    reports = Path(sys.argv[1])
    for stage, (script, *arguments) in json.load(sys.stdin).items():
        print(stage, flush=True)
        trace(reports / f"{stage}.json", script, arguments)


main()
