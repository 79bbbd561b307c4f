"""`mlproject run`: which stage of how many it says, what is left, and that it is DVC that runs."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mlproject.commands.run import Progress

STAGES = ["ingest", "train@disc-kd_cae", "train@disc-pca", "compare"]
STAGE = "python -c \"open('{0}', 'w').write('{0}')\""


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said(clock, capsys):
    """Return a function that gives DVC's message to the progress, and returns what it printed."""
    progress = Progress(STAGES, clock)

    def give(message: str, *arguments: str) -> str:
        progress.handle(logging.LogRecord("dvc", logging.INFO, "", 0, message, arguments, None))
        return capsys.readouterr().out

    return give


def test_each_stage_has_its_number_and_skipped_ones_count(said):
    assert said("Running stage '%s':", "ingest").startswith("stage 1 of 4, about 1 min left")
    assert said("Stage '%s' didn't change, skipping", "train@disc-kd_cae") == ""
    assert said("Running stage '%s':", "train@disc-pca").startswith("stage 3 of 4")


def test_the_time_left_is_as_fast_as_the_stages_that_have_run(said, clock):
    said("Running stage '%s':", "ingest")
    clock.now = 150.0  # ten times what is usual
    minutes = re.search(r"about (\d+) min left", said("Running stage '%s':", "train@disc-kd_cae"))
    assert int(minutes[1]) == round((30 + 5 + 3) * 10 / 60)


@pytest.mark.parametrize(
    "message", [("Updating lock file '%s'", "dvc.lock"), ("Running stage '%s':", "other"), ("",)]
)
def test_other_messages_say_nothing(said, message):
    assert said(*message) == ""


def write_pipeline(folder: Path) -> None:
    stages = {
        "first": {"cmd": STAGE.format("a.txt"), "outs": ["a.txt"]},
        "second": {"cmd": STAGE.format("b.txt"), "deps": ["a.txt"], "outs": ["b.txt"]},
        "third": {"cmd": "exit 3", "deps": ["b.txt"], "outs": ["c.txt"]},
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))


def test_dvc_runs_the_stages_and_its_failure_is_the_commands(tmp_path):
    write_pipeline(tmp_path)
    subprocess.run(["dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)

    def run(*targets: str) -> subprocess.CompletedProcess[str]:
        code = "from mlproject import cli; cli.main()"
        return subprocess.run(
            [sys.executable, "-c", code, "run", *targets],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("second")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"stage \d of \d", done.stdout) == ["stage 1 of 2", "stage 2 of 2"]
    assert (tmp_path / "b.txt").read_text() == "b.txt"
    failed = run()
    assert failed.returncode != 0
    assert "stage 3 of 3" in failed.stdout
    assert run("fourth").returncode != 0
