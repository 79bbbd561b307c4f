"""One training shared out to processes is the training of one process, and leaves no process behind."""

import multiprocessing
import os
import select
import signal

import numpy as np
import pytest
import torch
from support.small_models import detector_settings
from torch import nn

from mlproject import models
from mlproject.core.errors import UserError
from mlproject.models.components.detector import Labelled
from mlproject.training import loop
from mlproject.training.data_parallel import checked_processes
from mlproject.training.run_options import RunOptions
from mlproject.training.share import Share

SHARED = [name for name in models.names() if models.detector_class(name).data_parallel]
SHORT = {"epochs": 3, "patience": 3, "batch_size": 5, "jitter": 0.2, "augment": True}
# Adam and RMSprop take a whole step in the direction of a gradient that is nothing but rounding, as some of
# KD-CAE's are: there another number of threads makes a difference of 1e-4 too
GENTLE = {"optimiser": "adadelta", "learning_rate": 0.01}
NOISE = {"variance": 0.05, "share": 0.7, "redraw": True, "target": "clean"}
LABELLED = [*range(4), *range(15, 22)]  # test images, the first ones good; one chooses the epoch
TOLERANCE = 1e-5


def trained(images, name, kind="structured", optimiser=GENTLE, **run):
    """A detector after three short epochs, and its history.

    The last batch has one image, so one of two processes has none; the others have five, an odd number.
    """
    given, small = detector_settings(name), SHORT | optimiser | {"noise": NOISE | {"kind": kind}}
    detector = models.create(name, given | {key: value for key, value in small.items() if key in given})
    labelled = Labelled(images.test[LABELLED], images.labels[LABELLED], np.array(LABELLED, str))
    history = detector.fit(
        images.train[:11],
        images.validation[:3],
        RunOptions(seed=3, **run),
        labelled if detector.supervised else None,
    )
    return detector, history


def difference(one, other):
    """The largest difference of two trainings in anything learnt and in any loss."""
    (first, history), (second, again) = one, other
    arrays, others = first.state(), second.state()
    assert arrays.keys() == others.keys()
    learnt = [np.abs(arrays[name].astype(float) - others[name]).max() for name in arrays]
    losses = [abs(a[name] - b[name]) for a, b in zip(history, again, strict=True) for name in a]
    return max(learnt + losses)


def test_the_autoencoders_and_the_cnn_can_be_shared_out():
    assert {"ni_cae", "kd_cae", "vae", "cnn"} <= set(SHARED)


@pytest.mark.parametrize(
    ("name", "kind", "optimiser"),
    [
        *((name, "structured", GENTLE) for name in SHARED),
        ("ni_cae", "poisson", {"optimiser": "adam"}),
        ("ni_cae", "structured", GENTLE | {"skips": True}),
    ],
)
def test_two_processes_learn_what_one_does(name, kind, optimiser, small_images):
    """Noise that pastes from other images of the batch, or depends on their values, is the same in both."""
    one = trained(small_images, name, kind, optimiser)
    two = trained(small_images, name, kind, optimiser, processes=2)
    assert difference(one, two) < TOLERANCE
    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed_is_told_in_one_line_and_the_training_goes_on(small_images, tmp_path):
    """Resumed, both processes need the optimiser's state: without it, it ends with other weights."""

    def kill(epoch):
        (worker,) = multiprocessing.active_children()
        os.kill(worker.pid, signal.SIGKILL)

    shared = {"processes": 2, "checkpoint": tmp_path / "c"}
    with pytest.raises(UserError, match="One of 2 processes of this training was killed") as told:
        trained(small_images, "kd_cae", on_epoch=kill, **shared)
    assert "\n" not in str(told.value)
    assert multiprocessing.active_children() == []
    seen = []
    resumed = trained(small_images, "kd_cae", on_epoch=lambda epoch: seen.append(epoch.number), **shared)
    assert seen == [2, 3]
    assert difference(resumed, trained(small_images, "kd_cae")) < TOLERANCE


def whole(batch, generator, training):
    return (batch,)


def fails_elsewhere(net, images):
    if multiprocessing.parent_process() is not None:
        raise ValueError("only in the other process")
    return net(images).square().mean()


class NotLoadedElsewhere:
    """A loss that other processes cannot load."""

    def __getstate__(self):
        return "anything"

    def __setstate__(self, state):
        raise ValueError("only in the other process")

    def __call__(self, net, images):
        return net(images).square().mean()


@pytest.mark.parametrize("loss", [fails_elsewhere, NotLoadedElsewhere()])
def test_an_error_of_another_process_is_raised_with_its_traceback(loss):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    images = torch.zeros((4, 1, 8, 8), dtype=torch.uint8)
    with pytest.raises(RuntimeError, match=r"in process 2 of 2:[\s\S]*ValueError: only in the other"):
        loop.train(
            net, torch.optim.Adam(net.parameters()), whole, loss, images, images,
            loop.Schedule(4, 1, 1), RunOptions(0, processes=2),
        )  # fmt: skip
    assert multiprocessing.active_children() == []


def test_what_ends_the_calling_process_ends_the_others(small_images):
    threads = torch.get_num_threads()

    def interrupt(epoch):
        assert len(multiprocessing.active_children()) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(small_images, "ni_cae", processes=2, on_epoch=interrupt)
    assert multiprocessing.active_children() == []
    assert not torch.distributed.is_initialized()
    assert torch.get_num_threads() == threads


def killed_after_an_epoch(images, link):
    def kill(epoch):
        (worker,) = multiprocessing.active_children()
        link.send(worker.pid)
        link.recv()
        os.kill(os.getpid(), signal.SIGKILL)

    trained(images, "ni_cae", processes=2, on_epoch=kill)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux tells when a process of another has ended")
def test_a_killed_training_leaves_no_process_behind(small_images):
    context = multiprocessing.get_context("forkserver")
    link, theirs = context.Pipe()
    training = context.Process(target=killed_after_an_epoch, args=(small_images, theirs))
    training.start()
    worker = os.pidfd_open(link.recv())
    assert select.select([worker], [], [], 0) == ([], [], [])
    link.send("go on")
    training.join()
    assert training.exitcode == -signal.SIGKILL
    assert select.select([worker], [], [], 60) == ([worker], [], [])
    os.close(worker)


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_each_image_counts_in_one_process_and_each_process_has_one_to_compute(n, processes):
    counted = []
    for rank in range(processes):
        rows, count = Share(rank, processes).rows(n)
        assert len(range(n)[rows]) >= 1
        counted += range(n)[rows][:count]
    assert counted == list(range(n))


def test_more_processes_than_gpus_are_refused():
    gpus = torch.cuda.device_count()
    with pytest.raises(UserError, match=f"training.processes is {gpus + 1}.*Allowed here: 1 to {gpus}"):
        checked_processes(gpus + 1, "cuda")
    assert checked_processes(gpus + 1, "cpu") == gpus + 1
