"""Short forms of the drills: a full disk, files of many kinds, kills, lost answers."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from drills import disk_full, kill, lost_answers, two_hundred_files

pytest_plugins = ["support.tracked_project"]

NO_TEMPORARY_FILE = """
import resource, tempfile
from mlproject.core import script
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
script.run(lambda: tempfile.gettempdir())
"""


def test_the_command_without_a_name_lists_the_drills():
    """As the documents have it: from the project's folder, with nothing on PYTHONPATH."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "tests/drills"], cwd=ROOT, env=own, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2, result.stderr
    files = (ROOT / "tests/drills").glob("[a-z]*.py")
    assert [line.split()[0] for line in result.stdout.splitlines()] == sorted(path.stem for path in files)


@pytest.mark.parametrize("limit", [0, 300])
def test_a_stage_on_a_full_disk_ends_with_one_line_and_changes_nothing(limit):
    for _, wrong in disk_full.drill(["ingest", "prepare"], (limit,)):
        assert wrong == ""


def test_where_no_temporary_file_can_be_written_one_line_says_so():
    """torch makes one before it trains."""
    result = subprocess.run(
        [sys.executable, "-c", NO_TEMPORARY_FILE],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.startswith("error: no temporary file can be written: the disk is full")
    assert len(result.stderr.splitlines()) == 1


def test_predict_scores_names_or_counts_every_file_of_any_kind(tmp_path):
    assert [found for found in two_hundred_files.drill(tmp_path, 1) if found[1]] == []


def test_a_registration_that_was_killed_twice_ends_as_if_nobody_had_killed_it():
    """tests/training/test_killed_training.py kills trainings."""
    assert kill.drill("register", tries=1) == [""]


def test_where_an_answer_is_lost_and_the_write_sent_again_nothing_is_registered_twice(
    tmp_path, empty_database, trained
):
    shutil.copy(empty_database, tmp_path)
    tries = list(lost_answers.drill(tmp_path, trained, ["/model-versions/create"], ["1"]))
    assert len(tries) == 1
    assert [(title, wrong) for title, wrong in tries if wrong] == []
