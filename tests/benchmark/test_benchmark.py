"""`mlproject benchmark`: cells are trained once, equal in any process and to the pipeline's results."""

import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from support import fork_server
from support.pipeline_project import TINY, write_category

from mlproject import cli
from mlproject.benchmark import cell, engine, plan, run
from mlproject.core import artifacts, files
from mlproject.core.tables import read_table
from mlproject.data.prepare import prepare_category
from mlproject.tracking import connection
from mlproject.training.progress import SilentRun
from pipelines import score, settings, train

pytest_plugins = ["support.tracked_project"]

ARGUMENTS = ("--categories", "disc", "--models", "pca,patch_kde")
COSTS = ["training_seconds", "ms_per_image", "machines", "dates", "commits", "at_once"]
NOWHERE = "http://127.0.0.1:9"  # the discard port: no MLflow answers there


@pytest.fixture(scope="module")
def prepared_disc(tmp_path_factory) -> Path:
    """Forty good images to train on, twelve test images; 64 px."""
    folder = tmp_path_factory.mktemp("disc")
    write_category(folder / "raw/disc", seed=0)
    prepare_category(folder / "raw/disc", folder / "disc", 64, workers=1)
    return folder / "disc"


def fill(folder: Path, prepared: Path) -> Path:
    """Write params.yaml and the prepared category into a folder."""
    shutil.copytree(prepared, folder / "data/prepared/disc")
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree |= {"categories": ["disc"], "detectors": ["pca", "patch_kde", "cnn"]}
    tree["prepare"]["image_size"] = 64
    tree["evaluate"]["bootstrap"] = 100
    for own in tree["models"].values():
        own |= {key: value for key, value in TINY.items() if key in own}
    tree["models"]["pca"]["components"] = 6
    (folder / "params.yaml").write_text(yaml.safe_dump(tree))
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch, prepared_disc) -> Path:
    """The working directory of a test, whose MLflow is not asked."""
    monkeypatch.chdir(fill(tmp_path, prepared_disc))
    monkeypatch.setattr(run, "open_record", lambda planned: run.SilentRecord())
    return tmp_path


def edit(change: Callable[[Any], None]) -> None:
    tree = yaml.safe_load(Path("params.yaml").read_text())
    change(tree)
    Path("params.yaml").write_text(yaml.safe_dump(tree))


def benchmark(seeds: str = "1", models: str | None = "pca,patch_kde", workers: int = 1) -> pd.DataFrame:
    """Run a benchmark in this process; return its table."""
    run.benchmark("disc", models, seeds, workers, Path("out"))
    return read_table(Path("out/benchmark.csv"))


def written() -> dict[str, int]:
    """Return when each cell was written."""
    found = Path("artifacts/benchmark").glob("*/cell.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in found}


def measures(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=COSTS)


def test_killed_midway_it_goes_on_where_it_was_and_finds_the_same(home, tmp_path_factory, prepared_disc):
    code = (
        "from pathlib import Path\n"
        "from mlproject.benchmark import run\n"
        "run.open_record = lambda planned: run.SilentRecord()\n"
        "run.benchmark('disc', 'pca,patch_kde', '3', 1, Path('out'))\n"
    )
    process = subprocess.Popen(
        [fork_server.programs() / "python", "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("1/6"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = written()
    assert 1 <= len(before) < 6
    assert not Path("out").exists()

    table = benchmark(seeds="3")
    after = written()
    assert len(after) == 6
    assert {key: after[key] for key in before} == before
    text = Path("out/benchmark.md").read_text()
    benchmark(seeds="3")
    assert written() == after
    assert Path("out/benchmark.md").read_text() == text

    os.chdir(fill(tmp_path_factory.mktemp("whole"), prepared_disc))
    pd.testing.assert_frame_equal(measures(benchmark(seeds="3")), measures(table))


def test_only_what_a_change_touches_is_trained_again(home):
    first = benchmark()
    before = written()
    edit(lambda tree: tree["models"]["pca"].update(components=4))
    second = benchmark()
    changed = written()
    assert len(changed) == 3
    assert {key: changed[key] for key in before} == before
    assert first["auroc"][1] == second["auroc"][1]

    edit(lambda tree: tree["threshold"].update(false_alarm_rate=0.5))
    third = benchmark()
    assert written() == changed  # a threshold is set from the scores that are kept
    assert (third["false_alarm_rate_asked"] == 0.5).all()


def test_a_seed_decides_the_split_so_deterministic_models_differ_by_seed(home):
    table = benchmark(seeds="0,3", models="pca")
    assert table["seeds"].tolist() == [2]
    assert (table["auroc_spread"] >= 0).all()
    cells = plan.load("disc", "pca", "0,3").cells
    scores = [read_table(artifacts.benchmark_cell_folder(one.key) / "scores.csv") for one in cells]
    calibration = [set(one.loc[one["subset"] == "calibration", "path"]) for one in scores]
    assert calibration[0] != calibration[1]
    tested = [one.loc[one["subset"] == "test", "path"].tolist() for one in scores]
    assert tested[0] == tested[1]


@pytest.mark.parametrize(
    ("model", "calibration"), [("pca", "cross"), ("patch_kde", "half"), ("patch_kde", "cross")]
)
def test_scores_and_threshold_are_those_of_the_pipeline(home, monkeypatch, model, calibration):
    edit(lambda tree: tree.update(detectors=[model]))
    edit(lambda tree: tree["split"].update(calibration=calibration, folds=2))
    monkeypatch.setattr(train, "_streamed", lambda facts, key: SilentRun())
    settings.main()
    train.main("disc", model)
    score.main("disc", model)
    piped = read_table(artifacts.scores_folder("disc", model) / "scores.csv")
    threshold = files.read_json(artifacts.scores_folder("disc", model) / "threshold.json")

    (one,) = plan.load("disc", model, "1").cells
    outcome = engine.attempt(one)
    assert isinstance(outcome, cell.Outcome)
    own = outcome.scores[outcome.scores["subset"] == "test"]
    expected = piped[piped["subset"] == "test"]
    assert own["path"].tolist() == expected["path"].tolist()
    np.testing.assert_allclose(own["score"], expected["score"], rtol=1e-5)
    found = run.summary.figures(outcome, plan.load("disc", model, "1").pairs[0].threshold)
    assert found["threshold"] == pytest.approx(threshold["threshold"], rel=1e-5)
    n = (outcome.scores["subset"] == "calibration").sum()
    assert n == threshold["n_calibration"]


def test_a_cell_is_a_value_that_any_process_can_run(home):
    (one,) = plan.load("disc", "pca", "7,").cells
    sent = pickle.loads(pickle.dumps(one))
    assert sent.key == one.key
    outcomes = [pickle.loads(pickle.dumps(cell.evaluate(cell_))) for cell_ in (one, sent)]
    pd.testing.assert_frame_equal(outcomes[0].scores, outcomes[1].scores)
    np.testing.assert_array_equal(outcomes[0].pixels, outcomes[1].pixels)
    assert outcomes[0].pixels.shape == (100, 2)


def test_a_cell_that_fails_is_named_and_the_others_are_kept(home, monkeypatch, capsys):
    edit(lambda tree: tree["models"]["pca"].update(components=500))
    monkeypatch.setattr(sys, "argv", ["mlproject", "benchmark", *ARGUMENTS, "--seeds", "1", "--workers", "1"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert "disc pca seed 0: pca: components is 500" in said.err
    assert "disc patch_kde seed 0" in said.out
    assert len(written()) == 1
    assert not Path("reports/benchmark").exists()


MISTAKES = [
    (("--categories", "dics"), "--categories dics is not known. Did you mean disc?"),
    (("--models", "pac"), "--models pac is not known. Did you mean pca?"),
    (("--models", "cnn"), "--models cnn: learns from half of the test images"),
    (("--seeds", "many"), "--seeds many: Allowed: how many"),
    (("--seeds", "0"), "--seeds 0: Allowed: how many"),
    (("--seeds", "4294967296,"), "--seeds 4294967296,: Allowed: how many"),
    (("--seeds", "99999999999999999999"), "such as 0,5 or 7, of seeds from 0 to 4294967295"),
    (("--categories", ""), "--categories: names nothing. Allowed: disc"),
    (("--categories", "plate"), "--categories plate is not known"),
    (("--out", "params.yaml"), "params.yaml: is a file. Name a folder."),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES)
def test_mistakes_are_told_before_anything_is_trained(home, monkeypatch, capsys, arguments, said):
    monkeypatch.setattr(sys, "argv", ["mlproject", "benchmark", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not Path("artifacts").exists()


def test_a_category_that_is_not_prepared_names_the_command(home):
    edit(lambda tree: tree.update(categories=["disc", "plate"]))
    with pytest.raises(run.UserError, match=r"plate: is not prepared.*mlproject run prepare"):
        run.benchmark(None, "pca", "1", 1, Path("out"))
    edit(lambda tree: tree["prepare"].update(image_size=48))
    with pytest.raises(
        run.UserError, match=r"prepared at 64 px, but prepare.image_size: 48 in params.yaml now gives 48"
    ):
        benchmark()


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ({"categories": "disc"}, "categories must list one category or more"),
        ({"detectors": "pca"}, "detectors is 'pca': it must be a list"),
        ({"detectors": ["cnn"]}, "detectors: all learn from half of the test images"),
    ],
)
def test_a_list_of_params_yaml_that_names_nothing_to_train_is_told(home, listed, said):
    edit(lambda tree: tree.update(listed))
    with pytest.raises(run.UserError, match=said):
        plan.load(None, None, "1")


def test_photos_that_are_smaller_than_the_side_asked_for_are_prepared_well(home):
    edit(lambda tree: tree["prepare"].update(image_size=512))
    assert [pair.category for pair in plan.load(None, "pca", "1").pairs] == ["disc"]


def test_supervised_detectors_of_params_yaml_are_left_out(home):
    assert [pair.model for pair in plan.load(None, None, "1").pairs] == ["pca", "patch_kde"]


def test_mlflow_has_a_run_for_each_cell_below_one_parent(
    tmp_path, monkeypatch, prepared_disc, empty_database
):
    monkeypatch.chdir(fill(tmp_path, prepared_disc))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    table = benchmark(models="pca", seeds="2")
    benchmark(models="pca", seeds="2")
    client = connection.connect()
    found = client.search_runs([connection.experiment(client, "sample-benchmark")])
    (parent,) = [one for one in found if "mlflow.parentRunId" not in one.data.tags]
    children = [one for one in found if one is not parent]
    assert sorted(one.data.tags["mlflow.runName"] for one in children) == [
        "disc pca seed 0",
        "disc pca seed 1",
    ]
    assert {one.data.tags["mlflow.parentRunId"] for one in children} == {parent.info.run_id}
    assert {one.info.status for one in found} == {"FINISHED"}
    aurocs = [one.data.metrics["auroc"] for one in children]
    assert np.mean(aurocs) == pytest.approx(table["auroc"][0])
    assert {item.path for item in client.list_artifacts(parent.info.run_id)} == {
        "benchmark.csv", "benchmark.md", "benchmark.png"
    }  # fmt: skip


def test_where_mlflow_is_away_one_line_says_so(tmp_path, monkeypatch, prepared_disc, capsys):
    monkeypatch.chdir(fill(tmp_path, prepared_disc))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    table = benchmark(models="pca")
    assert len(table) == 1
    assert capsys.readouterr().out.count("The benchmark goes on") == 1


def test_every_table_says_where_it_was_measured(home):
    benchmark()
    text = Path("out/benchmark.md").read_text()
    tables = text.partition("## How to read it")[0].count("| --- |")
    assert tables == 4
    assert text.count(f"*Measured on {run.report.escape(engine.processor())}, ") == tables
    assert "none of them was measured here" in text
    header = pd.read_csv(io.StringIO(Path("out/benchmark.csv").read_text())).columns
    assert {"machines", "dates", "commits", "differences.pca.auroc.difference"} <= set(header)
    assert Path("out/benchmark.png").stat().st_size > 10_000
    kept = json.loads(next(Path("artifacts/benchmark").glob("*/cell.json")).read_text())
    assert kept["facts"]["threads"] == 1
