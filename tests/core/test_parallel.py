"""Work on several cores: how many there are, and results in the tasks' order."""

import os
from concurrent.futures import ThreadPoolExecutor

from mlproject.core.parallel import in_order, usable_cores


def test_a_system_that_does_not_say_which_cores_may_be_used_has_all(monkeypatch):
    """macOS and Windows."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores() == 6


def test_results_come_in_order_and_few_tasks_are_submitted_ahead():
    submitted = []

    def tasks(pool):
        for number in range(20):
            submitted.append(number)
            yield pool.submit(abs, -number)

    with ThreadPoolExecutor(2) as pool:
        for number, result in enumerate(in_order(tasks(pool), ahead=3)):
            assert result == number
            assert len(submitted) <= number + 3 + 1
    assert len(submitted) == 20
