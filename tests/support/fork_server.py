"""Fork server: commands of the tests that start in 50 ms, in a Python that has the large packages loaded.

To start Python and load torch, MLflow and DVC takes 3 to 6 s of processor time, and the tests run hundreds of
such commands. A server loads them once; each command is a fork of it, with the command's own arguments,
environment, directory and open files, in a process group of its own, to which its client passes on signals.
No module of this project is loaded before the fork. Where a command has worker processes, the server that
multiprocessing forks them from is such a fork as well.
"""

import atexit
import fcntl
import gc
import importlib
import json
import multiprocessing
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

LOADED = {
    "python": (
        *("torch", "torchvision", "mlflow", "mlflow.pyfunc", "mlflow.pytorch", "pandas", "scipy.ndimage"),
        *("sklearn.metrics", "optuna", "matplotlib.figure", "matplotlib.backends.backend_agg", "PIL.Image"),
        *("safetensors.numpy", "typer", "rich.progress", "pydantic", "yaml", "scipy.stats", "alembic.config"),
        *("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"),
        *("optuna.visualization", "optuna.visualization.matplotlib", "plotly.graph_objects"),
    ),
    "dvc": ("dvc.cli", "dvc.repo"),  # a server of its own: MLflow and DVC both set up logging
}
PROGRAMS = {"python": "python", "mlproject": "python", "dvc": "dvc"}  # and whose they are

MOST_FILES = 250  # Linux passes on at most 253


@cache
def programs() -> Path:
    """Start servers that end with this process; return the folder of the programs that use them."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    client = f"#!{sys.executable} -IS\n" + Path(__file__).with_name("fork_client.py").read_text()
    for name, kind in PROGRAMS.items():
        (folder / name).write_text(client.replace("KIND", kind))
        (folder / name).chmod(0o755)
    for kind in LOADED:
        with socket.socket(socket.AF_UNIX) as listener, (folder / f"{kind}.log").open("w") as log:
            listener.bind(str(folder / f"{kind}.socket"))
            listener.listen(64)
            server = subprocess.Popen(
                [sys.executable, "-P", __file__, kind, str(listener.fileno())],
                env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[listener.fileno()],
            )  # fmt: skip
        atexit.register(server.kill)
    return folder


def serve(kind: str, listener: socket.socket) -> None:
    """Answer commands until the process that started this one has ended."""
    sys.modules["mlproject"] = None  # type: ignore[assignment]  # MLflow would load a plugin of it
    for name in LOADED[kind]:
        importlib.import_module(name)
    del sys.modules["mlproject"]
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # as in conftest.py
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that have ended
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        link, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _answer(link)
        link.close()


def _answer(link: socket.socket) -> NoReturn:
    """Be the command that a client asks for, to its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    data, received, _, _ = socket.recv_fds(link, 1 << 20, MOST_FILES)
    while not data.endswith(b"\n"):
        data += link.recv(1 << 20)
    # whoever kills the client kills this too
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(link, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(link, fcntl.F_SETFL, fcntl.fcntl(link, fcntl.F_GETFL) | os.O_ASYNC)
    asked = json.loads(data)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ
    for number in asked["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    link = _take(link, received, asked["files"])
    sys.executable = asked["client"]
    multiprocessing.set_executable(asked["client"])
    link.sendall(f"{os.getpid()}\n".encode())
    code = _run(asked["arguments"], asked["safe"])
    link.sendall(bytes([code]))
    os._exit(code)


def _take(link: socket.socket, received: list[int], numbers: list[int]) -> socket.socket:
    """Give received files the numbers that they have in the client; return the link, out of their way."""
    above = max(numbers) + 1
    link = socket.socket(fileno=fcntl.fcntl(link.detach(), fcntl.F_DUPFD_CLOEXEC, above))
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, above) for file in received]
    for file in received:
        os.close(file)
    for file, number in zip(moved, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False)
        if number:
            unbuffered = "PYTHONUNBUFFERED" in os.environ
            stream.reconfigure(line_buffering=name == "stderr", write_through=unbuffered)  # type: ignore[attr-defined]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    return link


def _run(arguments: list[str], safe: bool) -> int:
    """Run a program's file or ``-c code`` as Python does, `safe` as with -P; return the exit code."""
    main: Any = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    if arguments[0] == "-c":
        source, name, place = arguments[1], "<string>", ""
        sys.argv = ["-c", *arguments[2:]]
    else:
        file = Path(arguments[0])
        source, name, place = file.read_text(encoding="utf-8"), str(file), str(file.resolve().parent)
        main.__file__ = name
        sys.argv = arguments
    own = os.environ.get("PYTHONPATH")
    sys.path[:0] = [*([] if safe else [place]), *(own.split(os.pathsep) if own else [])]
    code = 0
    try:
        exec(compile(source, name, "exec"), main.__dict__)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if not stream.closed:  # as `script.run` leaves stdout
            stream.flush()
    return code


if __name__ == "__main__":
    serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
