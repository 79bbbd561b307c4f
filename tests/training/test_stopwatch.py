"""A training's seconds are those of all the processes that it took, whatever lay between them."""

from types import SimpleNamespace

import pytest

from mlproject.training import stopwatch
from mlproject.training.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test sets it forward."""
    hands = SimpleNamespace(now=100.0)
    monkeypatch.setattr(
        stopwatch, "time", SimpleNamespace(perf_counter=lambda: hands.now, time=lambda: 1e9 + hands.now)
    )
    return hands


def test_what_a_killed_process_did_for_whole_epochs_counts_and_the_pause_does_not(tmp_path, clock):
    killed = Stopwatch(tmp_path / "a.checkpoint")
    clock.now += 20
    killed(None)
    clock.now += 7  # of an epoch that it did not finish
    clock.now += 3600
    resumed = Stopwatch(tmp_path / "a.checkpoint")
    clock.now += 30
    assert resumed.seconds == 50
    assert resumed.times(1000) == {"seconds": 50, "images_per_second": 20, "ended": 1e9 + clock.now}


def test_another_training_starts_at_nought(tmp_path, clock):
    Stopwatch(tmp_path / "a.checkpoint")(None)
    clock.now += 5
    assert Stopwatch(tmp_path / "b.checkpoint").seconds == 0
