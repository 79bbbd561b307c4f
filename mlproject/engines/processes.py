"""Work shared out to processes on this machine, which end when their parent does."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children
from typing import TypeVar

from mlproject.core import process_start
from mlproject.core.errors import UserError

T = TypeVar("T")
R = TypeVar("R")


def completed(
    work: Callable[[T], R],
    items: Sequence[T],
    at_once: int,
    start: Callable[..., None] | None = None,
    arguments: Sequence[object] = (),
) -> Iterator[tuple[T, R]]:
    """Yield each item with what `work` returns for it, as soon as it is done.

    An error of `work` is raised here; items that were begun are finished first, others are not begun. Ctrl-C
    ends the processes at once.

    Args:
        work: a function of a module, which processes import by its name.
        items: hashable or not; each is sent to one process.
        at_once: number of processes, at least 1.
        start: called with `arguments` once in each process before its first item.

    Raises:
        UserError: a process was killed, which the system does where memory ends.
    """
    # no forks of this process, whose torch may have started threads that a fork would wait for
    context = process_start.context(work.__module__)
    with ProcessPoolExecutor(at_once, context, initializer=_start, initargs=(start, arguments)) as pool:
        try:
            with process_start.without_interrupts():
                futures = {pool.submit(work, item): item for item in items}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise UserError(
                f"One of {at_once} processes was killed. Where memory ended, run again with fewer of them; "
                "what was finished is kept."
            ) from None
        except KeyboardInterrupt:
            for process in active_children():
                process.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start(start: Callable[..., None] | None, arguments: Sequence[object]) -> None:
    process_start.end_with_parent()
    if start:
        start(*arguments)
