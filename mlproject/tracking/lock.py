"""Lock on an experiment or a registered model, against other processes here and on other machines.

Processes of one machine wait for a lock of the kernel. MLflow has none for several machines that share a
server, so each raises a flag, a tag of what it locks, and then looks for others: of two, the later one sees
the earlier one's, takes its own down and tries again after a random time. A holder changes its flag while it
works; one that nobody changes is a dead process's, and is taken down.
"""

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from mlproject.tracking import connection, store_faults

if TYPE_CHECKING:
    from mlflow import MlflowClient

PREFIX = "mlproject.lock."
BEAT_SECONDS = 10.0  # between two changes of a holder's flag
DEAD_SECONDS = 45.0  # a flag that has been the same for so long is a dead process's
PAUSE_SECONDS = (0.2, 0.8)  # between two tries, drawn evenly
QUIET_SECONDS = 3.0  # of waiting before a line says for whom


class Place(NamedTuple):
    """What is locked: how its tags are read, set and deleted."""

    name: str
    read: Callable[[], Mapping[str, str]]
    set: Callable[[str, str], None]
    delete: Callable[[str], None]


@contextmanager
def on_experiment(client: "MlflowClient", experiment_id: str) -> Iterator[None]:
    """Hold the lock on an experiment, which all who make or complete its runs take.

    Not to be taken while this process holds a lock already.
    """
    place = Place(
        f"experiment {experiment_id}",
        lambda: client.get_experiment(experiment_id).tags,
        partial(client.set_experiment_tag, experiment_id),
        partial(client.delete_experiment_tag, experiment_id),
    )
    with connection.machine_lock(), _shared(place):
        yield


@contextmanager
def on_model(client: "MlflowClient", name: str) -> Iterator[None]:
    """Hold the lock on a registered model, which all who register or promote its versions take.

    Not to be taken while this process holds a lock already.
    """
    place = Place(
        name,
        lambda: client.get_registered_model(name).tags,
        partial(client.set_registered_model_tag, name),
        partial(client.delete_registered_model_tag, name),
    )
    with connection.machine_lock(), _shared(place):
        yield


@contextmanager
def _shared(place: Place) -> Iterator[None]:
    """Keep other machines out; a SQLite file has none."""
    if connection.is_file():
        yield
        return
    with held(place):
        yield


@contextmanager
def held(place: Place) -> Iterator[None]:
    """Hold the flag of a place that others, on any machine, may want."""
    flag = f"{PREFIX}{uuid.uuid4().hex}"
    try:
        _raise_alone(place, flag)
        with _beating(place, flag):
            yield
    finally:
        _take_down(place, flag)


def _raise_alone(place: Place, flag: str) -> None:
    """Raise the flag and return once no other is up."""
    others, began, told = _Others(place, flag), time.monotonic(), False
    while True:
        place.set(flag, _signed())
        if not others.up():
            return
        _take_down(place, flag)
        while up := others.up():
            if not told and time.monotonic() - began > QUIET_SECONDS:
                print(f"{place.name}: waiting for {' and '.join(sorted(up))}", flush=True)
                told = True
            time.sleep(random.uniform(*PAUSE_SECONDS))


class _Others:
    """The flags of others at a place, and since when each has been as it is."""

    def __init__(self, place: Place, own: str) -> None:
        self.place, self.own = place, own
        self.seen: dict[str, tuple[str, float]] = {}

    def up(self) -> set[str]:
        """Return whose flags are up; take down those of dead processes."""
        now, names = time.monotonic(), set()
        for flag, value in self.place.read().items():
            if not flag.startswith(PREFIX) or flag == self.own:
                continue
            if self.seen.get(flag, ("", 0.0))[0] != value:
                self.seen[flag] = (value, now)
            if now - self.seen[flag][1] > DEAD_SECONDS:
                _take_down(self.place, flag)
            else:
                names.add(value.rpartition(" ")[0])
        return names


@contextmanager
def _beating(place: Place, flag: str) -> Iterator[None]:
    """Change the flag every few seconds, in a thread, while the block runs."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_SECONDS):
            with suppress(*store_faults.kinds(OSError)):  # the block itself meets what is wrong
                place.set(flag, _signed())

    thread = threading.Thread(target=beat, name="mlflow-lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()  # or else it might raise the flag again


def _take_down(place: Place, flag: str) -> None:
    with suppress(*store_faults.kinds(OSError)):  # it is down already; or the store is away, and it dies
        place.delete(flag)


def _signed() -> str:
    """Return who holds the flag, and a text that is another one each time."""
    return f"{connection.who()} {time.time():.3f}"
