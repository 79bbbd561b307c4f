"""Work shared out to processes: every result comes back, and a process that dies is told in one line."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from mlproject.core.errors import UserError
from mlproject.engines.processes import completed


def test_each_item_comes_back_with_its_result():
    assert dict(completed(abs, [-1, 2, -3], 2)) == {-1: 1, 2: 2, -3: 3}


def test_an_error_of_the_work_is_raised():
    with pytest.raises(ValueError, match="invalid literal"):
        list(completed(int, ["x"], 1))


def test_a_process_that_dies_is_told_in_one_line():
    with pytest.raises(UserError, match="One of 1 processes was killed"):
        list(completed(os._exit, [1], 1))


def test_each_process_is_started_once_with_what_it_shares(tmp_path):
    assert dict(completed(os.path.exists, ["here"], 1, os.chdir, (tmp_path,))) == {"here": False}
    (tmp_path / "here").touch()
    assert dict(completed(os.path.exists, ["here"], 1, os.chdir, (tmp_path,))) == {"here": True}


INTERRUPTED = """
import time
from mlproject.engines.processes import completed
try:
    list(completed(time.sleep, [600, 600], 2))
except KeyboardInterrupt:
    print("ended")
"""


@pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="Linux tells which processes another started"
)
@pytest.mark.parametrize("started", [2, 3])  # what keeps track of resources, what forks, and a worker
def test_ctrl_c_ends_all_processes_without_a_word_of_theirs(started):
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    while sum(1 for _ in descendants(process.pid)) < started:
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.communicate(timeout=60) == ("ended\n", "")


def descendants(pid: int):
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield child
        yield from descendants(int(child))
