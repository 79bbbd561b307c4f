"""Work on several cores of this machine."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from itertools import islice
from typing import Any


def usable_cores() -> int:
    """Return the cores that this process may use (macOS and Windows do not say: all of them)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(tasks: Iterable[Future], ahead: int) -> Iterator[Any]:
    """Yield results in the tasks' order, at most `ahead` of them submitted: this keeps memory constant."""
    tasks = iter(tasks)
    waiting = deque(islice(tasks, ahead))
    try:
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(islice(tasks, 1))
    finally:
        for task in waiting:  # after an error
            task.cancel()
