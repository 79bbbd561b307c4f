"""The epoch loop: early stopping, best weights, resuming, divergence."""

import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from mlproject.core.errors import UserError
from mlproject.training import loop
from mlproject.training.loop import Schedule
from mlproject.training.run_options import RunOptions

IMAGES = (torch.rand((24, 1, 16, 16), generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))


def noisy(batch, generator, training):
    return batch + torch.randn(batch.shape, generator=generator) * 0.1, batch


def squared_error(net, shown, target):
    return ((net(shown) - target) ** 2).mean()


def run(net, schedule, checkpoint=None, on_epoch=lambda epoch: None, loss=squared_error, seed=0):
    return loop.train(
        net,
        torch.optim.Adam(net.parameters(), lr=1e-2),
        noisy,
        loss,
        IMAGES[:16],
        IMAGES[16:],
        schedule,
        RunOptions(seed, checkpoint=checkpoint, on_epoch=on_epoch),
    )


def weights(net):
    return np.concatenate([p.detach().numpy().ravel() for p in net.parameters()])


def test_loss_falls_and_equal_seeds_give_equal_weights():
    one, two, other = network(), network(), network()
    history = run(one, Schedule(4, 8, 8)).history
    run(two, Schedule(4, 8, 8))
    run(other, Schedule(4, 8, 8), seed=1)
    assert history[-1]["loss"] < history[0]["loss"] / 2
    assert weights(one).tobytes() == weights(two).tobytes()
    assert weights(one).tobytes() != weights(other).tobytes()


def test_stops_early_and_keeps_the_best_epochs_weights():
    """Validation losses by script: the first of the best is epoch 3, so patience 2 ends after epoch 5."""
    script = iter([5.0, 4.0, 1.0, 1.0, 3.0, 0.0])
    seen = []

    def scripted(net, shown, target):
        if net.training:
            return squared_error(net, shown, target)
        return torch.tensor(next(script))

    net, snapshots = network(), {}
    progress = run(
        net,
        Schedule(16, 50, 2),
        on_epoch=lambda epoch: (
            seen.append(epoch.number),
            snapshots.update({epoch.number: weights(net).copy()}),
        ),
        loss=scripted,
    )
    assert seen == [1, 2, 3, 4, 5]
    assert progress.best_epoch == 3
    assert np.array_equal(weights(net), snapshots[3])


def test_an_observer_can_end_the_training_and_the_checkpoint_resumes_it(tmp_path):
    straight, broken = network(), network()
    run(straight, Schedule(4, 9, 9))

    class StopTraining(Exception):
        pass

    def stop(epoch):
        if epoch.number == 4:
            raise StopTraining

    with pytest.raises(StopTraining):
        run(broken, Schedule(4, 9, 9), tmp_path / "c", stop)
    resumed, seen = network(), []
    run(resumed, Schedule(4, 9, 9), tmp_path / "c", lambda epoch: seen.append(epoch.number))
    assert seen == [5, 6, 7, 8, 9]
    assert weights(resumed).tobytes() == weights(straight).tobytes()


def _killed_in_epoch_five(path):
    def kill(epoch):
        if epoch.number == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    run(network(), Schedule(4, 9, 9), path, kill)


def test_killed_and_run_again_ends_with_the_same_weights(tmp_path):
    child = multiprocessing.get_context("spawn").Process(target=_killed_in_epoch_five, args=(tmp_path / "c",))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    straight, resumed, seen = network(), network(), []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run(straight, Schedule(4, 9, 9))
        run(resumed, Schedule(4, 9, 9), tmp_path / "c", lambda epoch: seen.append(epoch.number))
    finally:
        torch.set_num_threads(threads)
    assert seen == [6, 7, 8, 9]
    assert weights(resumed).tobytes() == weights(straight).tobytes()


def test_a_finished_training_trains_no_further(tmp_path):
    first, again, seen = network(), network(), []
    run(first, Schedule(4, 3, 3), tmp_path / "c")
    run(again, Schedule(4, 3, 3), tmp_path / "c", seen.append)
    assert seen == []
    assert weights(again).tobytes() == weights(first).tobytes()


def test_a_loss_that_is_not_finite_is_said_with_its_epoch():
    with pytest.raises(UserError, match="diverged in epoch 1"):
        run(
            network(),
            Schedule(4, 3, 3),
            loss=lambda net, shown, target: squared_error(net, shown, target) * float("nan"),
        )


def test_asking_for_an_absent_gpu_is_an_error():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match="no GPU"):
        loop.choose_device("cuda")
    assert loop.choose_device("auto") == "cpu"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_losses_are_computed_in_the_precision_that_was_asked_for(precision):
    computed = []

    def loss(net, shown, target):
        made = net(shown)
        computed.append((net.training, made.dtype))
        return (made.float() - target).square().mean()

    net = network()
    loop.train(
        net, torch.optim.Adam(net.parameters()), noisy, loss, IMAGES[:16], IMAGES[16:], Schedule(8, 1, 1),
        RunOptions(0, precision=precision),
    )  # fmt: skip
    assert {dtype for training, dtype in computed if training} == {getattr(torch, precision)}
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
