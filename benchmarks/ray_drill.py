"""What is lost when a node of a Ray cluster, or the command, is killed: `python -m benchmarks.ray_drill`.

Two nodes are started on this machine, `ray start` each, one core each. A benchmark, a tuning, a prediction
and a study run in one process and then over the two nodes: undisturbed, with the second node killed while it
works, and with the command killed and called again. Puts its rows into the table of docs/cluster.md. Names of
works (benchmark, tune, predict, "study samples") after the command limit it to these.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.speed import machine
from mlproject.core import files
from mlproject.inference.sharded_predict import SHARD

PAGE, BEGIN, END = (
    Path("docs/cluster.md"),
    "<!-- drill: python -m benchmarks.ray_drill -->\n",
    "<!-- drill: end -->",
)
PROGRAM = [sys.executable, "-c", "from mlproject import cli; cli.main()"]
STUDY = [sys.executable, "pipelines/study.py"]
CELLS = Path("artifacts/studies/bracket/samples/cells")
MODELS, SEEDS, TRIALS, PHOTOS = "pca,patch_kde,ni_cae", 3, 6, 6 * SHARD
TRIAL = "artifacts/bracket/pca/study/*/trials/*/trial.json"
VARIED = ("machine", "cores", "began", "ended", "seconds", "ms_per_image", "at_once", "commit")
SMALL = {"image_size": 64, "epochs": 12}
IDLE = ("::IDLE", "Agent")  # ends of the titles of Ray's processes that run no task
WAIT = 300.0  # seconds for anything to happen


@dataclass(frozen=True)
class Work:
    """A command that is run in several ways.

    Attributes:
        unit: of what it computes.
        made: what it leaves behind, removed before each run.
        finished: how many files with results there are.
        results: one text an item, which must be equal however it ran.
    """

    arguments: tuple[str, ...]
    unit: str
    made: tuple[str, ...]
    finished: Callable[[], int]
    results: Callable[[], list[str]]

    @property
    def name(self) -> str:
        """The command, or the study."""
        return f"study {self.arguments[1]}" if self.arguments[0] == "bracket" else self.arguments[0]


class Cluster:
    """Two nodes on this machine."""

    def __init__(self, environment: dict[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.environment = environment
        port = self.address.rpartition(":")[2]
        self.head = self._start("--head", "--port", port, "--include-dashboard", "false")
        wait(lambda: answers(self.address))
        self.second = self._start("--address", self.address)

    def restore(self) -> None:
        """Start the second node again if it was killed."""
        if self.second.poll() is not None:
            self.second = self._start("--address", self.address)

    def second_is_busy(self) -> bool:
        """Say whether a task runs on the second node."""
        titles = [" ".join(process.cmdline()).strip() for process in below(self.second.pid)]
        return any(title.startswith("ray::") and not title.endswith(IDLE) for title in titles)

    def kill_second(self) -> None:
        """Kill all processes of the second node, as when a machine loses its power."""
        kill(self.second)

    def close(self) -> None:
        """End both nodes."""
        kill(self.second)
        kill(self.head)

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        program = str(Path(sys.executable).with_name("ray"))
        command = [program, "start", *options, "--num-cpus", "1", "--node-ip-address", "127.0.0.1", "--block"]
        return subprocess.Popen(  # noqa: S603
            command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )


def answers(address: str) -> bool:
    """Say whether something listens at an address."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


def below(pid: int) -> list[psutil.Process]:
    """Return the processes that one started, and those that these started."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill(process: subprocess.Popen[Any]) -> None:
    """Kill a process and all below it."""
    for one in [*below(process.pid), process]:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            one.kill()
    process.wait()


def wait(happened: Callable[[], bool]) -> None:
    """Wait until something has happened."""
    until = time.monotonic() + WAIT
    while not happened():
        if time.monotonic() > until:
            raise TimeoutError(f"{WAIT:.0f} s")
        time.sleep(0.05)


@contextmanager
def project() -> Iterator[dict[str, str]]:
    """Go to a clone with a small category and a champion; yield the environment of its commands."""
    root = machine.ROOT
    with tempfile.TemporaryDirectory(prefix="ray-drill-") as name:
        folder = Path(name) / "project"
        subprocess.run(["git", "clone", "-q", str(root), str(folder)], check=True)  # noqa: S603, S607
        os.chdir(folder)
        tree = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
        tree |= {"categories": ["bracket"], "detectors": ["pca"]}
        tree["prepare"]["image_size"] = 96
        tree["evaluate"]["bootstrap"] = 200
        tree["tune"] |= {"trials": TRIALS, "epochs": 12, "prune": False}
        for settings in tree["models"].values():
            settings |= {key: value for key, value in SMALL.items() if key in settings}
        tree["models"]["patch_kde"]["image_size"] = 96
        tree["studies"]["samples"] |= {"detectors": ["pca"], "sizes": [20, 40]}
        tree["study_workers"] = 1
        Path("params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_"))}
        program_path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = kept | {
            "PYTHONPATH": str(folder), "PATH": program_path, "OMP_NUM_THREADS": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true", "RAY_USAGE_STATS_ENABLED": "0",
        }  # fmt: skip
        run(environment, "run", "register")
        run(environment, "promote", "bracket", "--model", "pca", "--force", "--why", "drill")
        photos = sorted(Path("data/raw/bracket").rglob("*.png"))
        photos = [photo for photo in photos if "ground_truth" not in photo.parts]
        Path("photos").mkdir()
        for number in range(PHOTOS):
            os.link(photos[number % len(photos)], f"photos/{number:05d}.png")
        yield environment
        os.chdir(root)


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start a command of mlproject in a process group of its own, as a terminal does."""
    program = STUDY if arguments[0] == "bracket" else PROGRAM
    return subprocess.Popen(  # noqa: S603
        [*program, *arguments], env=environment, encoding="utf-8", start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def run(environment: dict[str, str], *arguments: str) -> None:
    """Run a command of mlproject to its end."""
    end(start(environment, *arguments))


def end(process: subprocess.Popen[str], code: int = 0) -> None:
    """Wait for a command's end; its exit code must be `code`."""
    said, _ = process.communicate()
    if process.returncode != code:
        raise RuntimeError(f"{process.args!r}: {process.returncode}\n{said}")


def count(pattern: str) -> Callable[[], int]:
    """Return a function that counts files."""
    return lambda: sum(1 for _ in Path().glob(pattern))


def cells() -> list[str]:
    """Return what a benchmark found of each cell, without its times."""
    found = []
    for folder in sorted(Path("artifacts/benchmark").iterdir()):
        about = files.read_json(folder / "cell.json")
        about["measured"] = {key: v for key, v in about["measured"].items() if key not in VARIED}
        arrays = [(folder / name).read_bytes() for name in ("scores.csv", "pixels.npy")]
        found.append(repr((folder.name, about, arrays)))
    return found


def trials() -> list[str]:
    """Return what a tuning found of each trial that counts."""
    kept = ("state", "reason", "values", "verdict", "rungs", "history")
    found = [files.read_json(path) for path in Path().glob(TRIAL)]
    return [str([trial[name] for name in kept]) for trial in found if trial["state"] != "interrupted"]


WORKS = (
    Work(
        ("benchmark", "--models", MODELS, "--seeds", str(SEEDS)), "trainings",
        ("artifacts/benchmark", "reports/benchmark"), count("artifacts/benchmark/*/cell.json"), cells,
    ),
    Work(
        ("tune", "--category", "bracket", "--model", "pca"), "trials",
        ("artifacts/bracket/pca/study", "data/tuned/bracket"), count(TRIAL), trials,
    ),
    Work(
        ("predict", "bracket@champion", "photos", "--out", "r.csv"), "photos",
        ("r.csv", "r.csv.shards"), count("r.csv.shards/*.parquet"),
        lambda: Path("r.csv").read_text(encoding="utf-8").splitlines()[1:],
    ),
    Work(
        ("bracket", "samples"), "trainings",
        ("artifacts/studies", "reports/categories/bracket/studies"), count(f"{CELLS}/*.json"),
        lambda: [f"{path.name} {path.read_text(encoding='utf-8')}" for path in CELLS.glob("*.csv")],
    ),
)  # fmt: skip


def undisturbed(process: subprocess.Popen[str], work: Work, cluster: Cluster) -> None:
    """Do nothing."""


def second_node_killed(process: subprocess.Popen[str], work: Work, cluster: Cluster) -> None:
    """Kill the second node while it works, once something is finished."""
    wait(lambda: work.finished() > 0 and cluster.second_is_busy())
    cluster.kill_second()


def command_killed(process: subprocess.Popen[str], work: Work, cluster: Cluster) -> None:
    """Kill the command once something is finished; `tried` calls it again."""
    wait(lambda: work.finished() > 0)
    kill(process)


def interrupted(process: subprocess.Popen[str], work: Work, cluster: Cluster) -> None:
    """Press Ctrl-C once something is finished; `tried` calls the command again."""
    wait(lambda: work.finished() > 0)
    os.killpg(process.pid, signal.SIGINT)
    end(process, 130)
    if parts := list(Path().glob("**/*.part")):
        raise RuntimeError(f"half-written: {parts}")


COMMAND_KILLED, CTRL_C = "command killed, called again", "Ctrl-C, called again"
WAYS = {
    "none": undisturbed,
    "second node killed at work": second_node_killed,
    COMMAND_KILLED: command_killed,
    CTRL_C: interrupted,
}


def tried(
    work: Work, way: str, cluster: Cluster, environment: dict[str, str], expected: list[str]
) -> list[str]:
    """Run a work over the cluster, disturbed in one way; return a row of the table."""
    cluster.restore()
    clear(work)
    options: tuple[str, ...] = ("--engine", "ray", "--address", cluster.address)
    if work.name == "tune":
        options += ("--workers", "2")
    elif work.name.startswith("study"):
        options = ()
        set_engine("ray")
    began = time.perf_counter()
    process = start(environment, *work.arguments, *options)
    WAYS[way](process, work, cluster)
    if way in (COMMAND_KILLED, CTRL_C):
        run(environment, *work.arguments, *options)
    else:
        end(process)
    return row(work, way, expected, work.results(), time.perf_counter() - began)


def row(work: Work, way: str, expected: list[str], found: list[str], seconds: float) -> list[str]:
    """Return a row of the table."""
    lost = sum((Counter(expected) - Counter(found)).values())
    more = sum((Counter(found) - Counter(expected)).values())
    survived = len(expected) - lost
    return [
        f"`{work.name}`",
        way,
        *map(str, (f"{len(expected)} {work.unit}", survived, lost, more)),
        f"{seconds:.0f}",
    ]


def set_engine(engine: str) -> None:
    """Set params.yaml's engine, which studies run on."""
    path = Path("params.yaml")
    tree = yaml.safe_load(path.read_text(encoding="utf-8")) | {"engine": engine}
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def clear(work: Work) -> None:
    """Remove what a work left behind."""
    for name in work.made:
        path = Path(name)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def main(names: list[str]) -> None:
    """Run the drill of some works, or of all; print their rows and put them into the page's table."""
    header = ["command", "disturbance", "tried", "survived", "lost", "twice or other", "seconds", "commit"]
    page, commit, lines = machine.ROOT / PAGE, machine.commit(), []
    chosen = [work for work in WORKS if not names or work.name in names]
    with project() as environment:
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        cluster = Cluster(environment)
        environment["RAY_ADDRESS"] = cluster.address  # for the study
        try:
            for work in chosen:
                began = time.perf_counter()
                one = ("--workers", "1") if work.name in ("benchmark", "tune") else ()
                run(environment, *work.arguments, *one)
                expected = work.results()
                rows = [row(work, "one process, no Ray", expected, expected, time.perf_counter() - began)]
                for way in WAYS if work.name == "benchmark" else (*WAYS,)[:-1]:
                    rows.append(tried(work, way, cluster, environment, expected))
                lines += [f"| {' | '.join([*cells, commit])} |\n" for cells in rows]
                print("".join(lines[-len(rows) :]), end="", flush=True)
        finally:
            cluster.close()
    text = page.read_text(encoding="utf-8")
    before = text.partition(BEGIN)[2].partition(END)[0].splitlines(keepends=True)
    left = (
        [line for line in before if line.startswith("| `") and line.split("`")[1] not in names]
        if names
        else []
    )
    table = [f"| {' | '.join(header)} |\n", f"{'| --- ' * len(header)}|\n", *left, *lines]
    about = f"\n*{machine.described()}; {machine.today()}.*\n"
    pattern = re.compile(f"(?<={re.escape(BEGIN)}).*(?={re.escape(END)})", re.DOTALL)
    files.write_text(page, pattern.sub(lambda _: "".join([*table, about]), text))


if __name__ == "__main__":
    main(sys.argv[1:])
