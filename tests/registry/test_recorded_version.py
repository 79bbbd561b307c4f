"""A version brought back: which images two versions share, and a model that does not load."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mlproject.core.errors import UserError
from mlproject.registry import hashes, recorded_version, version_tags


def brought_back(rows, data_hash="a", folder=Path()):
    """Return a version whose recorded rows are (path, subset, label, score, sha256)."""
    table = pd.DataFrame(rows, columns=["path", "subset", "label", "score", "sha256"]).assign(defect="any")
    kept = {version_tags.LINEAGE: json.dumps({"data_hash": data_hash}), "architecture": "pca"}
    version = SimpleNamespace(version="1", tags=kept)
    return recorded_version.RecordedVersion(version, folder, table, 0.5, 0.05, None)


WHOLE = [("g0", "test", 0, 0.1, "x"), ("g1", "test", 0, 0.2, "y"), ("d0", "test", 1, 0.9, "z")]


def test_images_that_a_supervised_model_learnt_from_are_not_compared():
    half = [("g0", "pool", 0, 0.0, "x"), ("d0", "test", 1, 0.8, "z"), ("g1", "test", 0, 0.3, "y")]
    both = recorded_version.shared(brought_back(WHOLE), brought_back(half))
    assert both["path"].tolist() == ["d0", "g1"]
    assert both["champion"].tolist() == [0.9, 0.2], "each image's own score, whatever the order"
    assert both["challenger"].tolist() == [0.8, 0.3]


def test_the_same_name_with_another_content_is_another_image():
    changed = [*WHOLE[:2], ("d0", "test", 1, 0.9, "changed")]
    both = recorded_version.shared(brought_back(WHOLE), brought_back(changed, data_hash="b"))
    assert both["path"].tolist() == ["g0", "g1"]


@pytest.mark.parametrize(("data_hash", "shared"), [("a", 3), ("b", 0)])
def test_unknown_contents_are_the_same_only_by_the_same_data_hash(data_hash, shared):
    unknown = [(path, subset, label, score, np.nan) for path, subset, label, score, _ in WHOLE]
    assert len(recorded_version.shared(brought_back(unknown), brought_back(WHOLE, data_hash))) == shared


def test_a_version_that_does_not_say_which_files_it_scored_is_not_scored_again():
    unknown = [(path, subset, label, score, np.nan) for path, subset, label, score, _ in WHOLE]
    here, wrong = recorded_version.unchanged(brought_back(unknown), "bottle")
    assert here.empty
    assert "does not say which files" in wrong


def test_a_model_that_does_not_load_is_a_line_of_text(tmp_path):
    folder = tmp_path / "1"
    folder.mkdir()
    with pytest.raises(UserError, match=r"version 1 \(pca\) does not load and answer: .*MLmodel"):
        recorded_version.ask(brought_back(WHOLE, folder=folder), [tmp_path / "image.png"])


def test_files_come_from_a_store_that_may_only_be_read(tmp_path, monkeypatch):
    """MLflow wrote a file there when it loaded the model, and copies it here as one not to be written to."""

    def download(uri, dst_path):
        (Path(dst_path) / "weights").touch()
        (Path(dst_path) / refused).touch()
        raise PermissionError(13, "Permission denied", f"{dst_path}/{refused}")

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    monkeypatch.setattr(version_tags, "lineage", lambda version: {"files": "hash"})
    monkeypatch.setattr(hashes, "verify", lambda folder, *_: verified.append(folder))
    verified, version = [], SimpleNamespace(name="bottle", version="1")
    refused = "registered_model_meta"
    assert recorded_version.download(version, tmp_path) == tmp_path
    assert verified == [tmp_path]
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
    refused = "MLmodel"
    with pytest.raises(UserError, match=r"cannot be brought back .*MLmodel"):
        recorded_version.download(version, tmp_path)


def test_what_is_downloaded_after_ctrl_c_does_not_stay(tmp_path):
    """MLflow downloads by threads, which end after the folder was removed and make it again."""
    into = tmp_path / "into"
    code = f"""
import concurrent.futures, pathlib, shutil, threading
import mlflow.artifacts
from types import SimpleNamespace
from mlproject.registry import recorded_version, version_tags

into, removed = pathlib.Path({str(into)!r}), threading.Event()

def write():
    removed.wait()
    into.mkdir(parents=True)
    (into / "weights").touch()
    print("written")

def download(uri, dst_path):
    concurrent.futures.ThreadPoolExecutor(1).submit(write)
    raise KeyboardInterrupt

mlflow.artifacts.download_artifacts = download
version_tags.lineage = lambda version: {{"files": {{}}}}
into.mkdir()
try:
    recorded_version.download(SimpleNamespace(name="bottle", version="1"), into)
except KeyboardInterrupt:
    shutil.rmtree(into)
    removed.set()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.returncode) == ("written\n", 0), ended.stderr
    assert not into.exists()
