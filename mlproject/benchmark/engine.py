"""Engine of a benchmark: cells run one after another, in processes or over a cluster, each on one thread.

A cell's outcome is the same wherever it runs; only its times are of the machine.
"""

import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mlproject.benchmark.cell import Cell, Outcome, evaluate
from mlproject.core import artifacts
from mlproject.core.errors import UserError
from mlproject.core.parallel import usable_cores
from mlproject.engines import Cluster, processes, ray_cluster
from mlproject.models.components import threads

Finished = Iterator[tuple[Cell, Outcome | UserError]]


def attempt(cell: Cell) -> Outcome | UserError:
    """Return a cell's outcome with its machine and times, or the mistake that keeps it from having one."""
    began = time.time()
    try:
        with threads.one_thread():
            outcome = evaluate(cell)
    except UserError as error:
        return error
    about = {
        "machine": processor(),
        "cores": usable_cores(),
        "began": round(began, 3),
        "ended": round(time.time(), 3),
    }
    return replace(outcome, measured=outcome.measured | about)


@contextmanager
def running(
    cells: Sequence[Cell], workers: int | None, cluster: Cluster | None
) -> Iterator[tuple[int, Finished]]:
    """Yield how many cells run at the same time, and each cell with its `attempt` once that is finished.

    Args:
        workers: the most at the same time; None: one a core. Processes do not share a GPU: one, there.
        cluster: None: processes of this machine.

    Raises:
        UserError: as `processes.completed`, `ray_cluster.connected` and `ray_cluster.completed`.
    """
    on_gpu = any(cell.facts["device"] == "cuda" for cell in cells)
    if cluster:
        with ray_cluster.connected(cluster) as count:
            needed = sorted({artifacts.PREPARED / cell.category for cell in cells})
            finished = ray_cluster.completed(attempt, cells, at_once=workers, needed=needed, on_gpu=on_gpu)
            yield min(workers or count, len(cells)), finished
        return
    at_once = 1 if on_gpu else max(1, min(workers or usable_cores(), len(cells)))
    if at_once == 1:
        yield at_once, ((cell, attempt(cell)) for cell in cells)
    else:
        yield at_once, processes.completed(attempt, cells, at_once)


def processor() -> str:
    """Return the name of this machine's processor, as far as the system tells it."""
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        for line in listed.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
