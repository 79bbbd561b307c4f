"""Work on one thread for each image: the threads stay, a forked process has its own, small work is in one."""

import multiprocessing
import threading

import numpy as np
import pytest
import torch

from mlproject.models.components import threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def doubled(count):
    return threads.map_items(lambda number: 2 * number, range(count))


def test_results_come_in_the_order_of_the_items(two_threads):
    assert doubled(50) == list(range(0, 100, 2))


def test_each_image_comes_as_a_batch_of_one(two_threads):
    images = np.arange(24).reshape(6, 2, 2)
    assert np.array_equal(np.concatenate(threads.map_images(lambda image: 2 * image, images)), 2 * images)


def test_the_same_threads_serve_every_call_and_each_computes_alone(two_threads):
    def seen(_):
        return threading.get_ident(), torch.get_num_threads()

    found = [threads.map_items(seen, range(20)) for _ in range(5)]
    assert len({ident for call in found for ident, _ in call}) <= 2
    assert {count for call in found for _, count in call} == {1}


def test_a_forked_process_starts_threads_of_its_own(two_threads):
    doubled(4)  # the parent's threads, which a fork does not copy

    def child():
        raise SystemExit(0 if doubled(4) == [0, 2, 4, 6] else 1)

    forked = multiprocessing.get_context("fork").Process(target=child)
    forked.start()
    forked.join(60)
    forked.kill()
    assert forked.exitcode == 0


def test_small_work_is_on_one_thread_without_gradients(two_threads):
    count, grad = threads.on_one_thread(lambda: (torch.get_num_threads(), torch.is_grad_enabled()))
    assert (count, grad) == (1, False)


def test_an_error_of_one_image_is_the_callers(two_threads):
    with pytest.raises(ZeroDivisionError):
        threads.map_items(lambda number: 1 // number, range(3))
    assert doubled(3) == [0, 2, 4]
