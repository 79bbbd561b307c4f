"""Files of a registered version that were changed after it was registered: refused on every path, by name."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import support.tracked_project as project
from mlflow import pyfunc
from mlflow.artifacts import download_artifacts
from PIL import Image
from safetensors.torch import load_file, save_file
from support import fork_server
from support.tracked_project import version_of

from mlproject.core import files
from mlproject.core.errors import UserError
from mlproject.core.params import Promote
from mlproject.registry import hashes, loaded_version, promotion
from mlproject.tracking import connection

pytest_plugins = ["support.tracked_project", "support.promotion_project"]

WEIGHTS, THRESHOLD = "artifacts/model/weights.safetensors", "artifacts/threshold.json"
NOT_THE_LIST = "hashes.json is not the one that was registered"
GATE = Promote(margin=0.4, false_alarm_rate=0.5, bootstrap=100, tolerance=0.01, latency_ms=1e9, memory_mb=1e9)


def weights_times_one_and_a_half(kept: Path) -> str:
    save_file({name: value * 1.5 for name, value in load_file(kept / WEIGHTS).items()}, kept / WEIGHTS)
    return f"{WEIGHTS} is not as it was registered"


def threshold_of_a_billion(kept: Path) -> str:
    files.write_json(kept / THRESHOLD, files.read_json(kept / THRESHOLD) | {"threshold": 1e9})
    return f"{THRESHOLD} is not as it was registered"


@pytest.fixture(
    params=[weights_times_one_and_a_half, threshold_of_a_billion], ids=lambda change: change.__name__
)
def wrong(request, first, shared_folder) -> Iterator[str]:
    """What the error must say of a version whose files were changed where MLflow keeps them."""
    (code,) = shared_folder.rglob("code/mlproject")
    kept = code.parents[1]
    before = {path: (kept / path).read_bytes() for path in (WEIGHTS, THRESHOLD)}
    yield request.param(kept)
    for path, content in before.items():
        (kept / path).write_bytes(content)


@pytest.fixture
def photo(tmp_path) -> Path:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_predict_refuses(wrong, mlproject, photo):
    code, out, err = mlproject("predict", "bottle/1", str(photo))
    assert (code, out) == (2, "")
    assert err.startswith(f"error: models:/sample-bottle/1: {wrong}. Nothing was loaded.")


def test_export_refuses(wrong, mlproject, tmp_path):
    code, out, err = mlproject("export", "bottle/1", str(tmp_path / "model.onnx"))
    assert (code, out) == (2, "")
    assert wrong in err
    assert not (tmp_path / "model.onnx").exists()


def test_inspect_refuses(wrong, mlproject):
    code, out, err = mlproject("inspect", "bottle/1", "--port", "0")
    assert (code, out) == (2, "")
    assert wrong in err


def test_promotion_refuses(wrong, first):
    with pytest.raises(UserError, match=wrong):
        list(promotion.checks(version_of(first), None, GATE))


def test_pyfunc_refuses(wrong, first):
    with pytest.raises(UserError, match=f"models:/{first.name}/1: {wrong}"):
        pyfunc.load_model(f"models:/{first.name}/1")


def test_pyfunc_refuses_files_that_were_changed_together_with_their_list(wrong, first, shared_folder):
    """Their list fits them then: only the registry knows that it is another one."""
    (code,) = shared_folder.rglob("code/mlproject")
    kept = code.parents[1]
    before = (kept / hashes.LIST).read_bytes()
    hashes.write_list(kept)
    try:
        with pytest.raises(UserError, match=f"models:/{first.name}/1: {NOT_THE_LIST}"):
            pyfunc.load_model(f"models:/{first.name}/1")
    finally:
        (kept / hashes.LIST).write_bytes(before)


@pytest.fixture
def copied(first, shared_folder, tmp_path) -> Iterator[Path]:
    """A version's files, downloaded; afterwards MLflow's address is the project's again."""
    address = connection.uri()
    yield Path(download_artifacts(f"models:/{first.name}/1", dst_path=str(tmp_path / "copied")))
    mlflow.set_tracking_uri(address)


def test_a_folder_that_was_copied_away_loads_where_there_is_no_registry(copied, tmp_path, capsys):
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/none.db")
    pyfunc.load_model(str(copied))
    assert not (tmp_path / "none.db").exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: MLflow's registry is not there: the files of sample-bottle version 1")


def test_a_folder_that_was_copied_away_is_compared_with_its_list_where_no_registry_answers(copied, capsys):
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    pyfunc.load_model(str(copied))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: MLflow's registry does not answer: the files of sample-bottle version 1")
    wrong = threshold_of_a_billion(copied)
    with pytest.raises(UserError, match=wrong):
        pyfunc.load_model(str(copied))


def test_a_list_that_was_changed_with_the_file_is_refused(first, shared_folder, mlproject, photo):
    (code,) = shared_folder.rglob("code/mlproject")
    kept = code.parents[1] / "hashes.json"
    before = kept.read_text()
    kept.write_text(before.replace('"artifacts/threshold.json": "', '"artifacts/threshold.json": "0'))
    code, _, err = mlproject("predict", "bottle/1", str(photo))
    kept.write_text(before)
    assert code == 2
    assert NOT_THE_LIST in err


@pytest.mark.parametrize("name", ["code/mlproject/added.py", "artifacts/model/more.json"])
def test_a_file_that_was_added_is_refused(first, shared_folder, name):
    (code,) = shared_folder.rglob("code/mlproject")
    added = code.parents[1] / name
    added.write_text("{}")
    with pytest.raises(UserError, match=f"{name} was added"):
        loaded_version.load_version(version_of(first))
    added.unlink()


def test_as_registered_it_loads(first, shared_folder):
    """Also after its code ran where MLflow keeps it, which leaves compiled files there."""
    code = f"import mlflow; mlflow.pyfunc.load_model('models:/{first.name}/1')"
    environment = os.environ | {"MLFLOW_TRACKING_URI": connection.uri(), "PYTHONPATH": str(project.ROOT)}
    python = fork_server.programs() / "python"
    subprocess.run([python, "-P", "-c", code], env=environment, cwd=shared_folder, check=True)
    assert loaded_version.load_version(version_of(first)).threshold == 1.5
    assert project.register() == first._replace(new=False)
