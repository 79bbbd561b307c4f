"""Work on images, each on one thread: the same values on however many cores."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch

T = TypeVar("T")
R = TypeVar("R")


def map_items(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return function(item) for each item: each is computed on one thread, as many at once as torch may use.

    The sums of a convolution or a matrix product are split by threads, and round differently when they are
    split differently: on one thread they are the same on any number of cores.
    """
    threads = torch.get_num_threads()
    return list(map(function, items) if threads == 1 else _threads(threads).map(function, items))


def map_images(function: Callable[[np.ndarray], R], images: np.ndarray) -> list[R]:
    """Return function(images[i : i + 1]) for each i, as `map_items` does.

    Sums are split by batch too: an image by itself gives the same values whatever comes with it. It is also
    the cheapest way: one image's values stay in the processor's cache.
    """
    return map_items(lambda i: function(images[i : i + 1]), range(len(images)))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, so that sums are equal in any process and on any number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def on_one_thread(function: Callable[[], T]) -> T:
    """Return function(), without gradients: to wake a second thread takes longer than what is small."""
    if torch.compiler.is_exporting():
        return function()

    @torch.inference_mode()
    def once(_: None) -> T:
        return function()

    return map_items(once, [None])[0]


@lru_cache(maxsize=4)
def _threads(count: int) -> ThreadPoolExecutor:
    """Return the threads of this process, the same for each call: to start them takes longer than a photo."""
    return ThreadPoolExecutor(count, initializer=_compute_alone)


def _compute_alone() -> None:
    """Let this thread wake no others, whatever the process sets later."""
    torch.get_num_threads()  # a thread takes the process's number when it first asks for it, not when told
    torch.set_num_threads(1)


os.register_at_fork(after_in_child=_threads.cache_clear)  # a forked process has none of them
