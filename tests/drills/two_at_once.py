"""Drill: two processes write one output at the same time; every file must be there, whole, afterwards.

    python tests/drills two_at_once [prepare | ingest]

The first process stops at its k-th change of the file system, for every k in turn; the second one then
starts. As soon as the second waits or has ended, the first goes on, or is killed. Prints how many were
tried, survived and lost.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mlproject.core import files, params
from mlproject.data.ingest import ingest
from mlproject.data.prepare import prepare_category

OUTPUTS = {"prepare": "prepared/nut", "ingest": "raw"}
WRITING = ("open", "os.mkdir", "os.rename", "shutil.copyfile")
PAUSED = "paused"


class Result(NamedTuple):
    """What became of one try.

    Attributes:
        lost: empty, or what is wrong.
        paused: False where the first process had fewer changes to make than it was to stop at.
    """

    lost: str
    paused: bool


def make_photos(folder: Path) -> None:
    """Write a small category in MVTec's layout as `folder/photos/nut`."""
    rng = np.random.default_rng(0)
    places = [f"train/good/{i}.png" for i in range(4)] + [f"test/good/{i}.png" for i in range(2)]
    for place in [*places, "test/dent/0.png"]:
        path = folder / "photos/nut" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(path)
    (folder / "photos/nut/ground_truth/dent").mkdir(parents=True)
    Image.new("L", (16, 16), 255).save(folder / "photos/nut/ground_truth/dent/0_mask.png")


def stage(name: str, folder: Path) -> None:
    """Run one stage on the photos in `folder`."""
    if name == "prepare":
        prepare_category(folder / "photos/nut", folder / OUTPUTS[name], 16, workers=1)
        return
    source = params.Data(
        source="folder",
        path=str(folder / "photos"),
        url="",
        sha256="0" * 64,
        accept_licence=False,
        strict=False,
    )
    ingest(source, ["nut"], folder / OUTPUTS[name], folder / "download")


def stop_at(change: int, folder: Path) -> None:
    """Print a line at this process's given change below `folder`, then wait for a line to read."""
    seen = 0

    def audit(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event not in WRITING or not str(arguments[0]).startswith(str(folder)):
            return
        if event == "open" and not (isinstance(arguments[1], str) and set(arguments[1]) & set("wax")):
            return
        seen += 1
        if seen == change:
            print(PAUSED, flush=True)
            sys.stdin.readline()

    sys.addaudithook(audit)


def start(name: str, folder: Path, change: int) -> subprocess.Popen[str]:
    """Start a process that runs the stage; `change` 0: without stopping."""
    return subprocess.Popen(
        [sys.executable, __file__, name, str(folder), str(change)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Return path → bytes of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def attempt(name: str, change: int, kill: bool) -> Result:
    """Run the stage in two processes at once and compare the output with that of one process alone."""
    with tempfile.TemporaryDirectory() as alone, tempfile.TemporaryDirectory() as both:
        for folder in (Path(alone), Path(both)):
            make_photos(folder)
        stage(name, Path(alone))
        first = start(name, Path(both), change)
        assert first.stdout is not None
        paused = first.stdout.readline().strip() == PAUSED
        second = start(name, Path(both), 0)
        assert second.stderr is not None
        said = second.stderr.readline()  # that it waits for the first; or nothing, as it has ended
        if kill:
            first.kill()
        codes = [process.communicate("\n") and process.returncode for process in (first, second)]
        parent, output = Path(both, OUTPUTS[name]).parent, Path(both, OUTPUTS[name])
        expected = contents(Path(alone, OUTPUTS[name]))
        if any(codes[1 if kill else 0 :]):
            return Result(f"exit codes {codes}: {said}", paused)
        missing = expected.keys() - contents(output).keys()
        if missing:
            return Result(f"without {', '.join(sorted(missing))}", paused)
        if contents(output) != expected:
            return Result("other content", paused)
        left = [path.name for path in parent.iterdir() if path.suffix == ".part"]
        return Result(f"left behind {left}" if left else "", paused)


def drill(name: str) -> Iterator[tuple[str, Result]]:
    """Try every change of the first process, going on after it and killed at it."""
    for kill in (False, True):
        change = 1
        while True:
            result = attempt(name, change, kill)
            if not result.paused:
                break
            yield f"{name}, first process {'killed' if kill else 'stopped'} at change {change}", result
            change += 1


def tries(arguments: list[str]) -> Iterator[tuple[str, str]]:
    """Run the drill of the stages named, or of all."""
    for name in arguments or OUTPUTS:
        yield from ((title, result.lost) for title, result in drill(name))


if __name__ == "__main__":  # a child
    files.QUIET_SECONDS = 0.0
    if int(sys.argv[3]):
        stop_at(int(sys.argv[3]), Path(sys.argv[2]))
    stage(sys.argv[1], Path(sys.argv[2]))
