"""Work shared out to processes: every result comes back, and a process that dies is told in one line."""

import os

import pytest

from mlproject.core.errors import UserError
from mlproject.studies.components.processes import completed


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
