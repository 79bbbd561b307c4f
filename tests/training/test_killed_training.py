"""A training killed at any moment goes on when it is run again, and ends with the same weights."""

import os
import re
import signal
import subprocess

import pytest
from support.pipeline_project import Project

STAGE = ("pipelines/train.py", "disc", "kd_cae")
EPOCHS = 25


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone with one prepared category and a training that lasts a while."""
    made = Project(tmp_path_factory.mktemp("killed"))
    made.edit(lambda tree: tree["models"]["kd_cae"].update(epochs=EPOCHS, patience=EPOCHS))
    made.call("dvc", "repro", "prepare@disc", "settings")
    return made


def weights(project):
    return (project.folder / "artifacts/disc/kd_cae/model/weights.safetensors").read_bytes()


def kill_when(project, happened):
    """Start the stage and kill it, without a chance to tidy up, as soon as `happened()`."""
    stage = subprocess.Popen(
        ["python", *STAGE], cwd=project.folder, env=project.environment, stdout=subprocess.DEVNULL
    )
    while not happened():
        assert stage.poll() is None, "the training ended before it was killed"
    os.kill(stage.pid, signal.SIGKILL)
    assert stage.wait() == -signal.SIGKILL


def test_killed_twice_it_ends_with_the_weights_of_an_uninterrupted_run(project):
    training = project.folder / "artifacts/disc/kd_cae/training"
    kill_when(project, lambda: any(training.glob("*.checkpoint")))
    kill_when(project, lambda: any(training.glob("reconstructions/epoch_0005.png")))
    assert not (project.folder / "artifacts/disc/kd_cae/model").exists()
    printed = project.call("python", *STAGE)
    first = int(re.search(r"epoch (\d+)/", printed)[1])
    assert first > 5
    resumed = weights(project)
    history = (training / "history.csv").read_text()
    assert len(history.splitlines()) == EPOCHS + 1
    assert not list(training.glob("*.checkpoint*"))

    printed = project.call("python", *STAGE)
    assert "epoch 1/" in printed
    assert weights(project) == resumed
    assert (training / "history.csv").read_text() == history


def test_a_checkpoint_of_other_settings_is_not_taken(project):
    training = project.folder / "artifacts/disc/kd_cae/training"
    kill_when(project, lambda: any(training.glob("*.checkpoint")))
    project.edit(lambda tree: tree["models"]["kd_cae"].update(epochs=3, learning_rate=0.002))
    project.call("dvc", "repro", "settings")
    assert "epoch 1/3" in project.call("python", *STAGE)
