"""Work on images, each on one thread: the same values on however many cores."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch

T = TypeVar("T")


def one_by_one(function: Callable[[np.ndarray], T], images: np.ndarray) -> list[T]:
    """Return function(images[i : i + 1]) for each i, each on one thread, as many at once as torch may use.

    The sums of a convolution or a matrix product are split by batch and by threads, and round otherwise
    when they are split otherwise: one image on one thread is the same whatever comes with it, on however
    many cores. It is also the cheapest: one image's values stay in the processor's cache.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return [function(images[i : i + 1]) for i in range(len(images))]
    return list(_threads(threads).map(lambda i: function(images[i : i + 1]), range(len(images))))


def on_one_thread(function: Callable[[], T]) -> T:
    """Return function(), without gradients: to wake a second thread takes longer than what is small."""
    if torch.compiler.is_exporting():
        return function()

    @torch.inference_mode()
    def once(_: np.ndarray) -> T:
        return function()

    return one_by_one(once, np.zeros(1))[0]


@lru_cache(maxsize=4)
def _threads(count: int) -> ThreadPoolExecutor:
    """Return the threads of this process, the same for each call: to start them takes longer than a photo."""
    return ThreadPoolExecutor(count, initializer=_compute_alone)


def _compute_alone() -> None:
    """Let this thread wake no others, whatever the process sets later."""
    torch.get_num_threads()  # a thread takes the process's number when it first asks for it, not when told
    torch.set_num_threads(1)


os.register_at_fork(after_in_child=_threads.cache_clear)  # a forked process has none of them
