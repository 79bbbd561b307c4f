"""A training that is measured one epoch at a time."""

import queue
import threading
from collections.abc import Callable
from typing import Any

from mlproject.training import memory

ARENA_MAX = -8  # glibc's name of what `mallopt` sets


class EpochByEpoch:
    """A training in a thread of its own, which waits after each epoch until the next one is asked for.

    Args:
        fit: trains without end; calls the function that it is given after each epoch, with its result.
    """

    def __init__(self, fit: Callable[[Callable[[Any], None]], Any]) -> None:
        # the thread's memory comes from where a main thread's does, as in a user's training
        memory.set_option(ARENA_MAX, 1)
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._next = threading.Semaphore(0)
        threading.Thread(target=self._train, args=(fit,), daemon=True).start()
        self.last = self._answer()  # the first epoch, which also warms up, is not measured

    def epoch(self) -> Any:
        """Train one epoch more; return what `fit` said of it."""
        self._next.release()
        self.last = self._answer()
        return self.last

    def _train(self, fit: Callable[[Callable[[Any], None]], Any]) -> None:
        try:
            fit(self._on_epoch)
        except BaseException as error:  # noqa: BLE001  # raised where the epoch was asked for
            self._ended.put(error)

    def _on_epoch(self, result: Any) -> None:
        self._ended.put(result)
        self._next.acquire()

    def _answer(self) -> Any:
        found = self._ended.get()
        if isinstance(found, BaseException):
            raise found
        return found
