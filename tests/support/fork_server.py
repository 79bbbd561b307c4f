"""Fork server: commands of the tests that start in 50 ms, in a Python that has the large packages loaded.

To start Python and load torch, MLflow and DVC takes 3 to 6 s of processor time, and the tests run hundreds of
such commands. A server loads them once for all workers of pytest; each command is a fork of it, with the
command's own arguments, environment, directory and open files, in a process group of its own, to which its
client passes on signals. No module of this project is loaded before the fork. Where a command has worker
processes, the server that multiprocessing forks them from is such a fork as well, and so is what it starts
by `sys.executable -m`: MLflow's servers.
"""

import atexit
import fcntl
import gc
import importlib
import json
import multiprocessing
import os
import runpy
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
        # of MLflow's servers what does not look at the environment when it is imported
        *("flask", "flask_cors", "graphene", "aiohttp"),
    ),
    "dvc": ("dvc.cli", "dvc.repo"),  # a server of its own: MLflow and DVC both set up logging
}
PROGRAMS = dict.fromkeys(("python", "mlproject", "mlflow", "uvicorn"), "python") | {
    "dvc": "dvc"
}  # whose they are

ALIVE = "alive"  # a FIFO that each process that uses the servers holds open
SERVERS: list[subprocess.Popen[bytes]] = []  # those that this process has started
MOST_FILES = 250  # Linux passes on at most 253


@cache
def programs() -> Path:
    """Start the servers, or find those of pytest's other workers; return the folder of the programs that use
    them.

    They end with the last process that has called this.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"fork-server-{run}"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            os.open(folder / ALIVE, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody has started them, or they have ended
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _start(folder)
    return folder


def _start(folder: Path) -> None:
    """Write the programs, start the servers."""
    client = f"#!{sys.executable} -IS\n" + Path(__file__).with_name("fork_client.py").read_text()
    for name, kind in PROGRAMS.items():
        (folder / name).write_text(client.replace("KIND", kind))
        (folder / name).chmod(0o755)
    os.mkfifo(folder / ALIVE)
    nobody_lives = os.open(folder / ALIVE, os.O_RDONLY | os.O_NONBLOCK)
    os.open(folder / ALIVE, os.O_WRONLY)
    for kind in LOADED:
        with socket.socket(socket.AF_UNIX) as listener, (folder / f"{kind}.log").open("w") as log:
            listener.bind(str(folder / f"{kind}.socket"))
            listener.listen(64)
            SERVERS.append(subprocess.Popen(
                [sys.executable, "-P", __file__, kind, str(folder), str(listener.fileno())],
                env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                stdin=nobody_lives, stdout=log, stderr=log, pass_fds=[listener.fileno()],
            ))  # fmt: skip
    os.close(nobody_lives)


def serve(kind: str, folder: Path, listener: socket.socket) -> None:
    """Answer commands until the last process that has opened the FIFO at standard input has ended."""
    sys.modules["mlproject"] = None  # type: ignore[assignment]  # MLflow would load a plugin of it
    for name in LOADED[kind]:
        importlib.import_module(name)
    del sys.modules["mlproject"]
    if kind == "python":  # which MLflow does on loading a model, a second each time
        importlib.import_module("mlflow.utils.requirements_utils")._init_modules_to_packages_map()
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
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_suffix(".lock").unlink(missing_ok=True)


def _answer(link: socket.socket) -> NoReturn:
    """Be the command that a client asks for, to its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    data, received, _, _ = socket.recv_fds(link, 1 << 20, MOST_FILES)
    while not data.endswith(b"\n"):
        data += link.recv(1 << 20)
    # whoever kills the client kills this too, and what it started
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(link, fcntl.F_SETOWN, -os.getpid())
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
    # not closed where the command becomes another by `os.exec`: the client's end is that one's end too
    link = socket.socket(fileno=fcntl.fcntl(link.detach(), fcntl.F_DUPFD, above))
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
    """Run a program's file, ``-c code`` or ``-m module`` as Python does, `safe` as with -P; return the exit
    code."""
    main: Any = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    source, name, place = "", "<string>", ""
    if arguments[0] in ("-c", "-m"):
        source = arguments[1]
        sys.argv = [arguments[0], *arguments[2:]]
    else:
        file = Path(arguments[0])
        source, name, place = file.read_text(encoding="utf-8"), str(file), str(file.resolve().parent)
        main.__file__ = name
        sys.argv = arguments
    own = os.environ.get("PYTHONPATH")
    sys.path[:0] = [*([] if safe else [place]), *(own.split(os.pathsep) if own else [])]
    code = 0
    try:
        if arguments[0] == "-m":
            runpy.run_module(source, run_name="__main__", alter_sys=True)
        else:
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
    serve(sys.argv[1], Path(sys.argv[2]), socket.socket(fileno=int(sys.argv[3])))
