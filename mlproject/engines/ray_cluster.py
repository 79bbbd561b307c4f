"""Work shared out to the machines of a Ray cluster; results are those of `processes`, byte for byte.

A task is a function of a module and one item. It runs in the folder of the command on a machine with the
same versions that sees the same files, and its result comes back through Ray: only the machine of the
command writes. A task whose machine or process is lost runs again elsewhere.
"""

import logging
import os
import pickle
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from mlproject.core.errors import UserError
from mlproject.core.parallel import usable_cores
from mlproject.engines import Cluster, ray_worker

RETRIES = 5  # of a task whose machine or process was lost
ANSWER = 3.0  # seconds that the head has to answer
POLL = 0.5  # seconds between two looks at whether to stop
SETTINGS = {  # before ray is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_task_oom_retries": str(RETRIES),  # Ray's own default: for ever
}
T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def connected(cluster: Cluster) -> Iterator[int]:
    """Connect to a cluster, or start Ray on this machine; yield the number of its processor cores.

    Within another such block it is the cluster of that block.

    Raises:
        UserError: nothing answers at the address, this machine does not belong to that cluster, or the
            cluster has another version of Ray or Python.
    """
    ray = _ray()
    if ray.is_initialized():
        yield _count(ray, "CPU")
        return
    _connect(ray, cluster)
    try:
        yield _count(ray, "CPU")
    finally:
        ray.shutdown()


def completed(
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    at_once: int | None = None,
    needed: Sequence[Path] = (),
    start: Callable[..., None] | None = None,
    arguments: Sequence[object] = (),
    on_gpu: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[T, R]]:
    """Yield each item with what `work` returns for it, as soon as it is done; within `connected`.

    If this ends early, by an error or because the caller stops, tasks still running end when `connected`
    ends. They are not cancelled: Ray 2.60 can end the whole process if a task is cancelled just as its result
    arrives.

    Args:
        work: a function of a module, which machines import by its name.
        items: taken one by one, each when there is room for it.
        at_once: the most items that run or wait in the cluster; None: all.
        needed: paths, absolute or in the working directory, that every machine must see.
        start: called with `arguments` once in each process before its first item.
        on_gpu: each item has a GPU of its own.
        stopped: asked twice a second; ends the work.

    Raises:
        UserError: a machine has other versions or does not see what is needed; the cluster has no GPU; an
            item lost its process `RETRIES` times; or as `work`, whose errors are raised here.
    """
    ray = _ray()
    if on_gpu and not _count(ray, "GPU"):
        raise UserError("These trainings need a GPU and the cluster has none. Allowed: training.device: cpu")
    task = _task(ray, on_gpu)
    setting = [ray.put(ray_worker.Setting(Path.cwd(), needed, start, arguments))]
    expected, left = ray_worker.versions(), iter(items)
    waiting: dict[Any, T] = {}
    while not stopped():
        for item in islice(left, None if at_once is None else at_once - len(waiting)):
            waiting[task.remote(pickle.dumps((work, item)), expected, setting)] = item
        if not waiting:
            return
        done, _ = ray.wait(list(waiting), timeout=POLL)
        for reference in done:
            item = waiting.pop(reference)
            yield item, _result(ray, reference, item)


class Resident:
    """An object in a process of its own on the machine of the command, which tasks everywhere may call."""

    def __init__(self, make: Callable[..., Any], *arguments: object) -> None:
        ray = _ray()
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(num_cpus=0, scheduling_strategy=here)(ray_worker.Resident)
        self.actor = actor.remote(Path.cwd(), make, arguments)

    def call(self, method: str, *arguments: object) -> Any:
        """Return what a method of the object gives."""
        return _ray().get(self.actor.call.remote(method, arguments))


def _ray() -> Any:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray

    return ray


def _connect(ray: Any, cluster: Cluster) -> None:
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    if cluster.address is None:
        os.environ.setdefault(
            "RAY_AUTH_TOKEN", secrets.token_hex(32)
        )  # else Ray keeps one in the user's home
        ray.init("local", num_cpus=usable_cores(), include_dashboard=False, **quiet)
        return
    check_answers(cluster.address)
    try:
        ray.init(cluster.address, **quiet)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise explained(cluster.address, str(error)) from None


def check_answers(address: str) -> None:
    """Refuse an address at which nothing answers: Ray itself would try for a minute, then end the process.

    Raises:
        UserError: it is no address of a head, or nothing answers.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise UserError(
            f"--address {address}: Allowed: HOST:PORT of the cluster's head, such as 10.0.0.5:6379, or auto. "
            "A ray:// address is of Ray's client, which this project does not use."
        )
    try:
        socket.create_connection((host, int(port)), ANSWER).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"No Ray cluster answers at {address} ({getattr(error, 'strerror', None) or error}). Start its "
            f"head there: ray start --head --port {port}. Nothing was run."
        ) from None


def explained(address: str, said: str) -> UserError:
    """Return the error for a cluster that answers and cannot be used."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["no reason given"]
    if "Version mismatch" in said:
        return UserError(
            f"The cluster at {address} has another version of Ray or Python than this command: "
            f"{' '.join(lines)}. Install the same versions on all machines (constraints.txt)."
        )
    return UserError(
        f"The cluster at {address} cannot be used from this machine: {lines[0]}. The machine of the command "
        f"must belong to it; to join without taking work: ray start --address {address} --num-cpus 0. "
        "Where the cluster asks for a token, set RAY_AUTH_MODE=token and keep it in ~/.ray/auth_token."
    )


def _count(ray: Any, resource: str) -> int:
    return int(ray.cluster_resources().get(resource, 0))


def _task(ray: Any, on_gpu: bool) -> Any:
    def run(work: bytes, expected: dict[str, str], setting: list[Any]) -> Any:
        # a local function is sent as code: it must run on a machine that lacks this project, to say so
        from mlproject.engines import ray_worker

        return ray_worker.run(work, expected, setting)

    return ray.remote(num_cpus=1, num_gpus=int(on_gpu), max_retries=RETRIES)(run)


def _result(ray: Any, reference: Any, item: object) -> Any:
    """Return the result of a task that is done.

    Raises:
        UserError: see `completed`.
    """
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None
        if isinstance(error.cause, ModuleNotFoundError):
            raise UserError(
                f"The machine {getattr(error, 'ip', '?')} of the cluster has no {error.cause.name}. "
                "Install this project with the same versions on all machines (constraints.txt), and "
                "start Ray from that environment."
            ) from None
        raise
    except RayError as error:
        raise UserError(
            f"{item}: its process or machine was lost, {RETRIES} retries included. Where memory ended, use "
            "fewer at once (--workers) or larger machines; what was finished is kept. "
            f"Ray said: {str(error).splitlines()[0]}"
        ) from None
