"""How worker processes start."""

import multiprocessing
from multiprocessing.context import BaseContext


def context(module: str) -> BaseContext:
    """Return the context of processes that work in a module: forks of one process that has loaded it.

    What a module of this project imports takes seconds to load; so it is loaded once, not by each process.
    Where there is no such server (Windows), each process loads it.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([module])
    return found
