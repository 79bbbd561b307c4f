"""Where the time of `dvc repro` with nothing to do goes.

    python benchmarks/profile_dvc.py

In a copy of this project with stand-ins as its stages' outputs, as `make bench` measures it. Times are
processor time under Python's profiler, which takes three times as long: what counts are the shares.
"""

import cProfile
import os
import pstats
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.speed import commands

PARTS = {  # end of the file's path, and the function whose calls, with all that they call, are a part
    "params.yaml, read for each stage": ("dvc/dependency/param.py", "read_param_file"),
    "dvc.yaml and dvc.lock, read": ("dvc/dvcfile.py", "_load_yaml"),
    "stages of dvc.yaml, made": ("dvc/stage/loader.py", "load_stage"),
    "the lock file of each stage": ("dvc/rwlock.py", "_edit_rwlock"),
    "inputs and outputs, looked up": ("dvc/output.py", "get_hash"),
    "graph of the stages": ("dvc/repo/index.py", "graph"),
}


def main() -> None:
    """Print the table."""
    from dvc.cli import main as dvc

    with tempfile.TemporaryDirectory() as scratch:
        commands.repro(small=False, scratch=scratch)
        os.chdir(Path(scratch, "project"))
        profiler = cProfile.Profile(time.process_time)
        profiler.runcall(dvc, ["repro", "--quiet", "report"])
        os.chdir("/")
    stats = pstats.Stats(profiler)
    found: dict[tuple[str, int, str], tuple[int, int, float, float, dict]] = stats.stats  # type: ignore[attr-defined]
    total: float = stats.total_tt  # type: ignore[attr-defined]
    rest = total
    print(f"{total:.2f} s under the profiler")
    for part, (path, function) in PARTS.items():
        seconds = sum(
            cumulative
            for (file, _, name), (_, _, _, cumulative, _) in found.items()
            if file.endswith(path) and name == function
        )
        rest -= seconds
        print(f"{seconds / total:6.1%}  {part}")
    print(f"{rest / total:6.1%}  all else, DVC's imports among it")


if __name__ == "__main__":
    main()
