"""A Ray cluster gives what one process gives, byte for byte, and a task that is lost runs again.

`python benchmarks/ray_drill.py` is the long form: two nodes, one of them killed, the command killed.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import support.tuning_project as project
from conftest import ROOT
from support import object_store, ray_tasks
from support.object_store import BUCKET
from support.tuning_project import CATEGORY, fill, results

from mlproject import models
from mlproject.benchmark import engine, kept, plan, run
from mlproject.core import files, params
from mlproject.core.errors import UserError
from mlproject.data import buckets
from mlproject.data.photos import find
from mlproject.engines import Cluster, ray_cluster
from mlproject.inference import predict, sharded_predict
from mlproject.inference.results import table as as_table
from mlproject.inference.results import write
from mlproject.models.components.detector import Detector
from mlproject.training.run_options import RunOptions

pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
pytest_plugins = ["support.tuning_project"]

HERE = Cluster()  # Ray is started on this machine


@pytest.fixture(scope="module")
def own_keys(tmp_path_factory) -> Path:
    """The file that names keys and address of an S3 store to Ray's processes; it is not there yet."""
    return tmp_path_factory.mktemp("home") / "config"


@pytest.fixture(scope="module", autouse=True)
def cluster(own_keys) -> Iterator[None]:
    """Ray with one core, which every command in these tests finds running."""
    before = os.environ.get("PYTHONPATH")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "tests"), before])))
        patch.setenv("AWS_CONFIG_FILE", str(own_keys))
        patch.setattr(ray_cluster, "usable_cores", lambda: 1)
        with ray_cluster.connected(HERE):
            yield


def edit_small(tree) -> None:
    tree["detectors"] = ["pca"]
    tree["evaluate"]["bootstrap"] = 100
    tree["models"]["pca"]["components"] = 6


def test_cells_of_a_benchmark_are_those_of_one_process(tuning_home, monkeypatch):
    project.edit(edit_small)
    monkeypatch.setattr(run, "open_record", lambda planned: run.SilentRecord())
    run.benchmark(CATEGORY, "pca", "2", None, Path("out"), HERE)
    folder = Path("artifacts/benchmark").rename("over_ray")
    cells = plan.load(CATEGORY, "pca", "2").cells
    assert {path.name for path in folder.iterdir()} == {cell.key for cell in cells}
    for cell in cells:
        kept.write(cell, engine.attempt(cell))
        own = Path("artifacts/benchmark") / cell.key
        for name in (kept.SCORES, kept.PIXELS):
            assert (folder / cell.key / name).read_bytes() == (own / name).read_bytes()
        assert without_times(folder / cell.key) == without_times(own)


def without_times(folder: Path) -> dict[str, object]:
    found = files.read_json(folder / kept.CELL)
    varied = ("machine", "cores", "began", "ended", "seconds", "ms_per_image", "at_once", "commit")
    return found | {"measured": {k: v for k, v in found["measured"].items() if k not in varied}}


def test_a_cell_that_is_not_allowed_fails_as_in_one_process(tuning_home, monkeypatch, capsys):
    project.edit(edit_small)
    project.edit(lambda tree: tree["models"]["pca"].update(components=500))
    monkeypatch.setattr(run, "open_record", lambda planned: run.SilentRecord())
    with pytest.raises(
        UserError, match=r"1 of 1 trainings failed.*\n.*disc pca seed 0: pca: components is 500"
    ):
        run.benchmark(CATEGORY, "pca", "1", None, Path("out"), HERE)
    assert not Path("out").exists()


def test_trials_one_at_a_time_are_those_of_one_process(
    tuning_home, tmp_path_factory, prepared_disc, monkeypatch
):
    """Four epochs: the objective is asked after the third, and Optuna says whether to go on."""
    epochs = lambda tree: tree["models"]["ni_cae"].update(epochs=4, patience=4)  # noqa: E731
    project.edit(epochs)
    project.tune("ni_cae", cluster=HERE, trials=2)
    assert not list(Path("artifacts").rglob("running"))
    assert list(Path("artifacts").rglob("0000/model/weights.safetensors"))
    other = tmp_path_factory.mktemp("other")
    fill(other, prepared_disc)
    monkeypatch.chdir(other)
    project.edit(epochs)
    project.tune("ni_cae", trials=2)
    assert any(trial["rungs"] for trial in results("ni_cae"))
    assert results("ni_cae", tuning_home) == results("ni_cae")


@pytest.fixture
def photos(prepared_disc, tmp_path) -> list[Path]:
    """Forty photos, one of which is broken."""
    shutil.copytree(prepared_disc.parent / "raw" / CATEGORY / "train/good", tmp_path / "photos")
    (tmp_path / "photos/007.png").write_bytes(b"no photo")
    return sorted((tmp_path / "photos").iterdir())


@pytest.fixture
def model(prepared_disc) -> tuple[Detector, sharded_predict.Model]:
    """A small PCA, and as it is sent to machines."""
    images = np.load(prepared_disc / "images.npy")[:40]
    settings = params.value("models.pca", ROOT / "params.yaml") | {"image_size": 32, "components": 6}
    detector = models.create("pca", settings)
    detector.fit(images[8:], images[:8], RunOptions(seed=0))
    detector.calibrate(images[:8])
    return detector, sharded_predict.Model.of(detector, 1.0, 64)


def test_photos_get_one_row_each_and_finished_shards_are_not_scored_again(
    photos, model, tmp_path, monkeypatch
):
    monkeypatch.setattr(sharded_predict, "SHARD", predict.BATCH)
    monkeypatch.chdir(tmp_path)
    detector, sent = model
    first = sharded_predict.Run(sent, photos, tmp_path / "r.csv")
    assert [len(shard.paths) for shard in first.missing] == [16, 16, 8]
    finished = [next(first.score(HERE, [str(tmp_path / "photos")]))]
    again = sharded_predict.Run(sent, photos, tmp_path / "r.csv")
    assert [shard for shard in again.shards if shard not in again.missing] == finished
    assert set(again.score(HERE, [str(tmp_path / "photos")])) == set(again.missing)
    again.finish()
    assert [path.name for path in tmp_path.glob("r.csv*")] == ["r.csv"]

    rows = [one.row() for one in predict.predict_photos(detector, 1.0, 64, photos)]
    write(tmp_path / "expected.csv", rows)
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()
    table = pd.read_csv(tmp_path / "r.csv")
    assert table["path"].tolist() == [str(photo) for photo in photos]
    assert table["error"].notna().sum() == 1


def test_photos_of_a_bucket_get_one_row_each(photos, model, own_keys, tmp_path, monkeypatch):
    monkeypatch.setattr(sharded_predict, "SHARD", predict.BATCH)
    monkeypatch.chdir(tmp_path)
    buckets.client.cache_clear()
    (detector, sent), lot = model, f"s3://{BUCKET}/lot"
    with object_store.running() as store:
        for photo in photos:
            store.client().put_object(Bucket=BUCKET, Key=f"lot/{photo.name}", Body=photo.read_bytes())
        names = {"AWS_ENDPOINT_URL": "endpoint_url", "AWS_DEFAULT_REGION": "region"}
        lines = [f"{names.get(name, name.lower())} = {value}\n" for name, value in store.keys.items()]
        own_keys.write_text("[default]\n" + "".join(lines))
        first = sharded_predict.Run(sent, find([lot]).paths, tmp_path / "r.csv")
        assert len(first.missing) == 3
        finished = [next(first.score(HERE, [lot]))]
        again = sharded_predict.Run(sent, find([lot]).paths, tmp_path / "r.csv")
        assert [shard for shard in again.shards if shard not in again.missing] == finished
        assert set(again.score(HERE, [lot])) == set(again.missing)
        table = again.finish()
        store.client().put_object(Bucket=BUCKET, Key="lot/000.png", Body=b"other")
        changed = sharded_predict.Run(sent, find([lot]).paths, tmp_path / "r.csv")
    same = [new.key == old.key for new, old in zip(changed.shards, again.shards, strict=True)]
    assert same == [False, True, True]
    rows = [one.row() for one in predict.predict_photos(detector, 1.0, 64, photos)]
    assert table["path"].tolist() == [f"{lot}/{photo.name}" for photo in photos]
    pd.testing.assert_series_equal(table["score"], as_table(rows)["score"], check_exact=True)
    assert table["error"].notna().sum() == 1


def test_a_photo_that_changed_is_scored_again(photos, tmp_path):
    before = [shard.key for shard in sharded_predict.shards(photos, "model")]
    assert before == [shard.key for shard in sharded_predict.shards(photos, "model")]
    assert before != [shard.key for shard in sharded_predict.shards(photos, "other model")]
    os.utime(photos[3], (0, 0))
    assert before != [shard.key for shard in sharded_predict.shards(photos, "model")]


def test_a_task_whose_process_is_killed_runs_again(tmp_path):
    marker = tmp_path / "killed"
    assert dict(ray_cluster.completed(ray_tasks.killed_once, [marker])) == {marker: "ran again"}


def test_a_task_that_is_killed_every_time_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(ray_cluster, "RETRIES", 0)
    with pytest.raises(
        UserError, match=r"cell 7: its process or machine was lost, 0 retries included\. Where memory"
    ):
        list(ray_cluster.completed(ray_tasks.killed, ["cell 7"]))


def test_an_error_for_people_arrives_as_it_was_raised():
    """Twenty times: when such a task was cancelled, Ray ended the whole process in one run of three."""
    for number in range(20):
        with pytest.raises(UserError) as raised:
            list(ray_cluster.completed(ray_tasks.refuses, [f"bottle {number}"]))
        assert str(raised.value) == f"bottle {number}: is not allowed"


def test_an_error_ends_what_still_runs(tmp_path):
    command = (
        "from support import ray_tasks\n"
        "from mlproject.engines import Cluster, ray_cluster\n"
        "ray_cluster.cores = lambda: 2\n"
        "with ray_cluster.connected(Cluster()):\n"
        f"    list(ray_cluster.completed(ray_tasks.refuses_beside, [{str(tmp_path)!r}] * 2))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", command], check=False, capture_output=True, text=True, timeout=300
    )
    assert "UserError: refused while another runs" in ran.stderr, ran.stderr
    running = int((tmp_path / "running").read_text())
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(running)
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(30)
        assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_items_are_taken_when_there_is_room_for_them():
    taken = []

    def items():
        for number in range(5):
            taken.append(number)
            yield number

    results = ray_cluster.completed(ray_tasks.square, items(), at_once=2)
    assert taken == []
    first = next(results)
    assert first == (0, 0)
    assert taken == [0, 1]
    assert dict([first, *results]) == {number: number**2 for number in range(5)}
