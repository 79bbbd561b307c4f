"""Two processes in one stage, as after a kill of DVC alone: the second waits, and nothing is lost."""

import pytest
from drills.two_at_once import attempt


@pytest.mark.parametrize(("stage", "change"), [("prepare", 5), ("ingest", 10)])
def test_two_processes_in_one_stage_lose_no_file(stage, change):
    assert attempt(stage, change, kill=False) == ("", True)


def test_the_lock_of_a_killed_process_is_taken_over():
    assert attempt("prepare", 5, kill=True) == ("", True)
