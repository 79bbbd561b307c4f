"""One training shared out to processes of this machine, one a GPU, by PyTorch's DistributedDataParallel.

Each process has the whole network and computes its rows of every batch; gradients are averaged before each
step, so that all take the same step. The calling process is the first of them and the only one that writes,
shows or decides. Gradients travel by NCCL between GPUs, by gloo between processes on CPUs.
"""

import io
import os
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch
import torch.distributed as dist

from mlproject.core import process_start
from mlproject.core.errors import UserError
from mlproject.training.learner import Images, Learner, Losses
from mlproject.training.share import Share

TIMEOUT = timedelta(minutes=5)  # that a process waits for the others' gradients
GRACE = 5.0  # seconds that a process has to end after its loss was noticed
Worker = tuple[BaseProcess, Connection]


def checked_processes(wanted: int, device: str) -> int:
    """Return `wanted`, the number of processes that a training is shared out to.

    Raises:
        UserError: the device is cuda, and there are fewer GPUs.
    """
    if device == "cuda" and wanted > (gpus := torch.cuda.device_count()):
        raise UserError(f"training.processes is {wanted}: each needs a GPU. Allowed here: 1 to {gpus}")
    return wanted


@contextmanager
def shared_out(learner: Learner, images: Images, processes: int) -> Iterator[Callable[[int], Losses]]:
    """Yield a function of an epoch's number that learns for one epoch in all processes.

    At the end, whatever ends it, no other process is left. With one process none is started.

    Args:
        learner: can be pickled; each other process gets a copy.
        images: all processes share their memory.

    Raises:
        UserError: a process was killed, or there is too little shared memory.
        RuntimeError: another process failed; with its traceback.
    """
    if processes == 1:
        yield learner.begin(Share(), images)
        return
    threads = torch.get_num_threads()
    workers: list[Worker] = []
    waiting = False  # whether all other processes wait for their next epoch
    with tempfile.TemporaryDirectory() as meeting:
        try:
            torch.set_num_threads(max(1, threads // processes))
            with _faults_of(workers):
                _start(workers, learner, images, processes, meeting)
                _join(Share(0, processes), learner.device, meeting)
                here = learner.begin(Share(0, processes), images)

            def everywhere(number: int) -> Losses:
                nonlocal waiting
                waiting = False
                with _faults_of(workers):
                    for _, link in workers:
                        link.send(number)
                    losses = here(number)
                waiting = True
                return losses

            waiting = True
            yield everywhere
        finally:
            _end(workers, waiting)
            torch.set_num_threads(threads)


def _start(workers: list[Worker], learner: Learner, images: Images, processes: int, meeting: str) -> None:
    """Start all processes but this one, add them to `workers`, and wait until they have loaded."""
    try:
        for tensor in images:
            if tensor is not None:
                tensor.share_memory_()
    except RuntimeError as error:
        raise UserError(
            f"training.processes is {processes}: the images do not fit into shared memory "
            f"({str(error).splitlines()[0]}). Make it larger (of a container: --shm-size), or set "
            "training.processes: 1"
        ) from None
    packed = io.BytesIO()  # not as an argument: its weights would be shared with the process
    torch.save(learner, packed)
    context = process_start.context(__name__, "torch._dynamo")  # which takes seconds
    with process_start.without_interrupts():
        for rank in range(1, processes):
            link, theirs = context.Pipe()
            share, threads = Share(rank, processes), torch.get_num_threads()
            arguments = (share, packed.getvalue(), images, threads, meeting, theirs)
            process = context.Process(target=_work, args=arguments)  # type: ignore[attr-defined]
            process.start()
            theirs.close()
            workers.append((process, link))
    for _, link in workers:
        if (said := link.recv()) is not None:
            raise RuntimeError(said)


def _end(workers: Sequence[Worker], waiting: bool) -> None:
    """End all processes but this one: those that wait for an epoch by a message, others at once."""
    for process, link in workers:
        if waiting:
            with suppress(OSError):  # killed while it waited
                link.send(None)
        else:
            process.kill()
    if dist.is_initialized():
        if not waiting:
            dist.group.WORLD.abort()  # what it has begun with them never ends
        dist.destroy_process_group()
    for process, link in workers:
        process.join(GRACE)
        process.kill()
        process.join()
        link.close()


def _work(share: Share, packed: bytes, images: Images, threads: int, meeting: str, link: Connection) -> None:
    """Be one of the processes until the first sends None. What fails is sent to it as text."""
    process_start.end_with_parent()
    try:
        torch.set_num_threads(threads)
        places = {"cuda:0": f"cuda:{share.rank}"}
        learner: Learner = torch.load(io.BytesIO(packed), map_location=places, weights_only=False)
        if learner.device == "cuda":
            torch.cuda.set_device(share.rank)
        link.send(None)
        _join(share, learner.device, meeting)
        here = learner.begin(share, images)
        while (number := link.recv()) is not None:
            here(number)
        dist.destroy_process_group()
    except Exception:  # noqa: BLE001  # whatever it is, the first process is told, and raises it
        link.send(f"in process {share.rank + 1} of {share.processes}:\n{traceback.format_exc()}")


def _join(share: Share, device: str, meeting: str) -> None:
    """Join the processes, which find each other by a file in the folder `meeting`."""
    for _, interface in socket.if_nameindex():
        if interface in ("lo", "lo0"):  # gloo listens there alone: no other machine can reach it
            os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
    hook = sys.excepthook
    dist.init_process_group(
        "nccl" if device == "cuda" else "gloo",
        store=dist.FileStore(f"{meeting}/store", share.processes),
        rank=share.rank,
        world_size=share.processes,
        timeout=TIMEOUT,
    )
    sys.excepthook = hook  # not PyTorch's, which puts "[rank0]" before each line of an error


@contextmanager
def _faults_of(workers: Sequence[Worker]) -> Iterator[None]:
    """Where something fails because another process has ended, raise what ended that one."""
    try:
        yield
    except (RuntimeError, OSError, EOFError) as error:
        wait([process.sentinel for process, _ in workers], GRACE)
        if any(process.exitcode for process, _ in workers):
            raise UserError(
                f"One of {len(workers) + 1} processes of this training was killed, which the system does "
                "where memory ends. Run again: the training goes on from its last epoch. With a smaller "
                "training.processes it needs less memory, but starts from the first epoch."
            ) from None
        said = []
        for _, link in workers:
            with suppress(EOFError):  # it has ended, and all that it said was read
                if link.poll() and (text := link.recv()):
                    said.append(text)
        if said:
            raise RuntimeError("\n".join(said)) from error
        raise
