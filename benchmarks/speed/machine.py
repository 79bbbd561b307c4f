"""Where and when a table was measured, and what else the machine did meanwhile."""

import datetime
import os
import platform
import resource
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = ("docs/speed.md", "docs/results/speed.json")  # the page, and what it is made of


def described() -> str:
    """Return the processor, its cores, the memory and the versions that matter."""
    name = platform.processor() or platform.machine()
    about = Path("/proc/cpuinfo")
    if about.exists():
        lines = about.read_text(encoding="utf-8").splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
        if "avx512_bf16" in about.read_text(encoding="utf-8"):
            name += " with bfloat16"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cores()} cores of {name}, {memory:.0f} GiB, no GPU used; Python {platform.python_version()}, "
        f"PyTorch {version('torch')}"
    )


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit() -> str:
    """Return the commit that is measured, and whether other files than WRITTEN differ from it."""
    found = _git("rev-parse", "--short", "HEAD")
    changed = [line for line in _git("status", "--porcelain").splitlines() if not line.endswith(WRITTEN)]
    return f"{found}, with uncommitted changes" if changed else found


def today() -> str:
    """Return the date."""
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


def _git(*arguments: str) -> str:
    found = subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        cwd=ROOT,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return found.stdout.strip()


class OtherLoad:
    """The processor time that other processes took, since this was made (Linux)."""

    def __init__(self) -> None:
        self._started, self._all, self._own = time.perf_counter(), _busy(), _own()

    def cores(self) -> float:
        """Return it in cores; 0 where the system does not say."""
        seconds = time.perf_counter() - self._started
        return round(max(0.0, _busy() - self._all - (_own() - self._own)) / seconds, 2)


def _busy() -> float:
    """Return the seconds that all cores were busy or taken by a host; elsewhere than Linux `_own`."""
    path = Path("/proc/stat")
    if not path.exists():
        return _own()
    numbers = [int(n) for n in path.read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]]
    user, nice, system, _, _, irq, softirq, steal = numbers
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """Return the processor time of this process and of its children that have ended, seconds."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, whose))
