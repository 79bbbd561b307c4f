"""One identity of a training: all that decides its result, and nothing else."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import ROOT
from support.interrupted_training import cut_off_after_second_epoch
from support.tuning_project import edit

from mlproject.core import artifacts, files, params
from mlproject.data import prepared
from mlproject.data.prepare import prepare_category
from mlproject.studies.components import runner
from mlproject.studies.components.inputs import StudyInputs
from mlproject.training import code_hash, identity
from mlproject.training.identity import run_key
from mlproject.training.progress import SilentRun
from mlproject.tuning import plan
from pipelines import train

pytest_plugins = ["support.tuning_project"]
CATEGORY, MODEL = "disc", "kd_cae"
FACTS = {
    "category": "disc", "model": "pca", "settings": {"components": 4}, "split": {"folds": 4}, "seed": 0,
    "data_hash": "a", "pixels_hash": "b", "copies": {}, "code": "c", "device": "cpu",
    "precision": "float32", "processes": 1, "threads": 2,
    "versions": {"torch": "2", "numpy": "2", "python": "3.11", "mlproject": "1"},
}  # fmt: skip


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A function that edits a file of a copy of the code, which is what keys are made of."""
    copy = tmp_path / "code"
    shutil.copytree(ROOT / "mlproject", copy / "mlproject", ignore=shutil.ignore_patterns("__pyc*"))
    monkeypatch.setattr(code_hash, "ROOT", copy)

    def replace(name, before, after):
        path = copy / "mlproject" / name
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after, 1))
        code_hash.code_hash.cache_clear()

    yield replace
    code_hash.code_hash.cache_clear()


def keys():
    """The keys of a training, of a study's cell and of a tuning, as they stand now."""
    data, settings = prepared.load(CATEGORY), params.value("models.pca")
    facts = identity.run_facts(data, "pca", settings, "mlproject.models.pca")
    cell = runner.key({"model": "pca", "settings": settings}, StudyInputs.load(CATEGORY), [])
    return run_key(facts), cell, plan.load(CATEGORY, "pca").key


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "other") for name in FACTS if name not in ("versions", "threads")),
        ("threads", 1),
        ("versions", FACTS["versions"] | {"torch": "3"}),
        ("versions", FACTS["versions"] | {"numpy": "3"}),
    ],
)
def test_every_fact_that_decides_a_result_is_in_the_key(name, value):
    assert run_key(FACTS | {name: value}) != run_key(FACTS)


def test_what_is_varied_is_in_the_key_and_what_decides_nothing_is_not():
    assert len({run_key(FACTS), run_key(FACTS, {"count": 1}), run_key(FACTS, {"count": 2})}) == 3
    python = FACTS["versions"] | {"python": "3.12", "mlproject": "2"}
    assert run_key(FACTS | {"versions": python, "seconds": 3.0}) == run_key(FACTS)
    on_gpu = FACTS | {"device": "cuda"}
    assert run_key(on_gpu | {"threads": 1}) == run_key(on_gpu)


def test_images_of_another_size_are_another_training_cell_and_tuning(tuning_home, prepared_disc):
    before = keys()
    raw, folder = prepared_disc.parent / "raw" / CATEGORY, artifacts.PREPARED / CATEGORY
    prepare_category(raw, folder, 40, workers=1)
    assert prepared.load(CATEGORY).data_hash == plan.load(CATEGORY, "pca").facts["data_hash"]
    assert all(now != then for now, then in zip(keys(), before, strict=True))
    prepare_category(raw, folder, 64, workers=1)
    assert keys() == before


def test_comments_docstrings_and_locations_change_no_key_and_code_does(tuning_home, code):
    before = keys()
    code("core/artifacts.py", "RAW = ", "# a comment\nRAW = ")
    code("core/artifacts.py", "RAW = ", "NEW = Path('elsewhere')\nRAW = ")
    code("models/pca.py", '"""', '"""Another docstring. ')
    code("models/components/reconstruction.py", "class ", "# a comment\n\n\nclass ")
    assert keys() == before
    code("models/components/anomaly_maps.py", "\nimport", "\nCHANGED = 1\nimport")
    assert all(now != then for now, then in zip(keys(), before, strict=True))


@pytest.fixture
def cut_off(tuning_home, monkeypatch):
    """A KD-CAE whose training was cut off in its second epoch of four."""
    monkeypatch.setattr(train, "_streamed", lambda facts, key: SilentRun())
    edit(lambda tree: tree["models"][MODEL].update(epochs=4, patience=4))
    settings = params.value(f"models.{MODEL}")
    files.write_json(
        artifacts.settings_file(CATEGORY, MODEL), {"source": "here", "settings": settings, "labels": None}
    )
    cut_off_after_second_epoch(lambda: train.main(CATEGORY, MODEL))


def test_only_a_model_whose_training_can_be_shared_out_is_trained_by_several_processes(
    tuning_home, monkeypatch
):
    monkeypatch.setattr(train, "_streamed", lambda facts, key: SilentRun())
    edit(lambda tree: tree["training"].update(processes=2))
    for model, processes in ((MODEL, 2), ("pca", 1)):
        settings = params.value(f"models.{model}") | ({"epochs": 1} if model == MODEL else {})
        files.write_json(
            artifacts.settings_file(CATEGORY, model), {"source": "", "settings": settings, "labels": None}
        )
        train.main(CATEGORY, model)
        assert files.read_json(artifacts.training_report(CATEGORY, model))["processes"] == processes


def first_epoch(capsys):
    """Train to the end; return the first epoch shown, how often a new start was said, and the weights."""
    capsys.readouterr()
    train.main(CATEGORY, MODEL)
    printed = capsys.readouterr().out
    weights = (artifacts.model_folder(CATEGORY, MODEL) / "weights.safetensors").read_bytes()
    number = int(re.search(r"epoch (\d+)/4", printed)[1])
    return number, printed.count("training starts from the first epoch"), weights


def test_a_checkpoint_of_images_of_another_size_is_not_resumed(cut_off, prepared_disc, capsys):
    raw = prepared_disc.parent / "raw" / CATEGORY
    prepare_category(raw, artifacts.PREPARED / CATEGORY, 40, workers=1)
    number, said, weights = first_epoch(capsys)
    assert (number, said) == (1, 1)
    assert first_epoch(capsys) == (1, 0, weights)


def test_a_checkpoint_of_other_code_is_not_resumed_and_of_other_comments_is(cut_off, code, capsys):
    shutil.copytree("artifacts", "kept")
    code("models/components/autoencoder.py", "F.mse_loss", "F.l1_loss")
    assert first_epoch(capsys)[:2] == (1, 1)
    shutil.rmtree("artifacts")
    Path("kept").rename("artifacts")
    code("models/components/autoencoder.py", "F.l1_loss", "F.mse_loss")
    code("models/components/autoencoder.py", "\nimport", "\n# a comment\nimport")
    assert first_epoch(capsys)[:2] == (3, 0)
