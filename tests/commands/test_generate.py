"""`mlproject generate`: PNG files of a trained generator, all or none."""

import shutil
import sys
from collections import namedtuple

import numpy as np
import pytest
import yaml
from conftest import ROOT
from PIL import Image

from mlproject import cli, generators
from mlproject.commands import generate
from mlproject.core import artifacts
from mlproject.core.errors import UserError


@pytest.fixture
def generator(tmp_path, monkeypatch):
    """An untrained generator where the stage would leave a trained one."""
    monkeypatch.chdir(tmp_path)
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())["generators"]["dcgan"]
    made = generators.create("dcgan", settings | {"image_size": 64, "filters": 4})
    made.save(artifacts.model_folder("bottle", "dcgan"))
    return made


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["mlproject", "generate", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_images_are_written_as_they_are_sampled(generator, tmp_path, monkeypatch):
    assert command(monkeypatch, "bottle", "out", "--count", "40", "--seed", "3") == 0
    files = sorted((tmp_path / "out").iterdir())
    assert [files[0].name, files[-1].name, len(files)] == ["000000.png", "000039.png", 40]
    assert np.array_equal(np.asarray(Image.open(files[-1])), generator.sample(40, 3)[-1])


def test_more_images_than_fit_the_disk_are_refused_before_writing(generator, tmp_path, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 0, 1_000_000))
    assert command(monkeypatch, "bottle", "new/out", "--count", "500") == 2
    error = capsys.readouterr().err
    assert "500 images need up to 0.01 GB" in error
    assert "at most 61" in error
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_something_is_left_alone(generator, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/photo.png").write_bytes(b"precious")
    with pytest.raises(UserError, match="mine: already exists"):
        generate.write(generator, 2, tmp_path / "mine", 0)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["photo.png"]


def test_a_folder_that_cannot_be_written_is_said_first(generator, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file may not be written to"):
        generate.write(generator, 2, tmp_path / "file/out", 0)


def test_cut_off_it_leaves_nothing(generator, tmp_path, monkeypatch):
    def cut(count, seed):
        yield np.zeros((64, 64, 3), np.uint8)
        if count > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(generator, "stream", cut)
    with pytest.raises(KeyboardInterrupt):
        generate.write(generator, 2, tmp_path / "out", 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifacts"]


def test_what_is_not_trained_yet_is_said(generator, monkeypatch, capsys):
    assert command(monkeypatch, "bottle", "out", "--generator", "gan") == 2
    assert "`dvc repro` makes it" in capsys.readouterr().err
