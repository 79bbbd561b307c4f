"""Engine of a benchmark: cells run one after another or in processes, each on one thread.

A cell's outcome is the same wherever it runs; only its times are of the machine.
"""

import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mlproject.benchmark.cell import Cell, Outcome, evaluate
from mlproject.core.errors import UserError
from mlproject.data.prepare import cores
from mlproject.studies.components import fitting, processes


def attempt(cell: Cell) -> Outcome | UserError:
    """Return a cell's outcome with its machine and times, or the mistake that keeps it from having one."""
    began = time.time()
    try:
        with fitting.one_thread():
            outcome = evaluate(cell)
    except UserError as error:
        return error
    about = {
        "machine": processor(),
        "cores": cores(),
        "began": round(began, 3),
        "ended": round(time.time(), 3),
    }
    return replace(outcome, measured=outcome.measured | about)


def count_at_once(cells: Sequence[Cell], workers: int | None) -> int:
    """Return how many cells run at the same time; processes do not share a GPU.

    Args:
        workers: the most that are wanted; None: one a core.
    """
    on_gpu = any(cell.facts["device"] == "cuda" for cell in cells)
    return 1 if on_gpu else max(1, min(workers or cores(), len(cells)))


def run(cells: Sequence[Cell], at_once: int) -> Iterator[tuple[Cell, Outcome | UserError]]:
    """Yield each cell with what `attempt` returns, as soon as it is finished."""
    if at_once == 1:
        yield from ((cell, attempt(cell)) for cell in cells)
    else:
        yield from processes.completed(attempt, cells, at_once)


def processor() -> str:
    """Return the name of this machine's processor, as far as the system tells it."""
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        for line in listed.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
