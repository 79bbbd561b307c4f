"""How worker processes start."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext


def context(*modules: str) -> BaseContext:
    """Return the context of processes that need these modules: forks of one process that has loaded them.

    What a module of this project imports takes seconds to load; so it is loaded once, not by each process.
    Where there is no such server (Windows), each process loads it.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(list(modules))
    return found


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: a terminal sends it to all of them, and one is to answer.

    Where it comes meanwhile, this process gets it at the end.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a new process inherits it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Let this process end as soon as its parent has ended, however: a killed parent cannot tell it."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None  # a worker has one
        parent.join()
        os._exit(1)  # even amid an item: what is on disk is complete

    threading.Thread(target=watch, daemon=True).start()
