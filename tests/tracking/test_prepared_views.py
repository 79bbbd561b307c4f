"""Prepared views in a real store: which runs and columns they show, and when they are written again."""

import base64
import json
import zlib

import pytest
import support.tracked_project as project

from mlproject.registry import pages
from mlproject.tracking import connection, prepared_views, runs

pytest_plugins = ["support.tracked_project"]


def record(trained, *models: str, **changes) -> list[str]:
    """Record a training of each model; return the runs."""
    for model in models:
        project.write_pair(trained, model=model, **changes)
    category = project.facts(**changes)["category"]
    return [runs.record(project.DATASET, category, model) for model in models]


def kept_tag(category: str = project.CATEGORY) -> dict:
    """Return what the experiment's tag says of a category's view, its state unpacked."""
    client = connection.connect()
    tags = client.get_experiment(connection.experiment(client, project.DATASET)).tags
    kept = json.loads(tags[prepared_views.TAG + prepared_views.key(category)])
    packed = base64.b64decode(kept["state"].removeprefix("deflate;"))
    return kept | {"state": json.loads(zlib.decompress(packed))}


def prepare() -> dict[str, str]:
    client = connection.connect()
    return prepared_views.prepare(client, connection.experiment(client, project.DATASET))


def test_a_view_shows_every_models_newest_run(folder, trained):
    old = record(trained, "kd_cae", seed=1)
    new = record(trained, "pca", "other", "ni_cae", "kd_cae")
    other = record(trained, "kd_cae", category="screw")
    assert set(prepare()) == {"bottle", "screw"}
    kept = kept_tag()
    assert kept["name"] == "bottle: kd_cae, ni_cae, pca, other"
    shown = kept["state"]["searchFilter"]
    assert all(run_id in shown for run_id in new)
    assert not any(run_id in shown for run_id in old + other)


def test_f1_stands_next_to_that_of_calling_everything_defective(folder, trained):
    record(trained, "kd_cae", "ni_cae")
    prepare()
    state = kept_tag()["state"]
    columns = [name for name in state["columnOrder"] if name.startswith("metrics.")]
    f1 = columns.index("metrics.`clean.f1`")
    assert columns[f1 + 1] == "metrics.`all_defective_f1`"
    assert {"metrics.`auroc`", "metrics.`clean.false_alarm_rate`", "metrics.`training.seconds`"} <= set(
        columns
    )
    assert state["selectedColumns"] == columns
    measured = connection.connect().get_run(record(trained, "kd_cae")[0]).data.metrics
    assert {name[9:-1] for name in columns} <= measured.keys(), "a column that no run fills"
    drawn = {name for chart in state["compareRunCharts"] for name in chart.get("selectedMetricKeys", ())}
    assert drawn <= measured.keys()
    (picture,) = [chart for chart in state["compareRunCharts"] if chart["type"] == "IMAGE"]
    assert picture["step"] == max(project.PICTURED)


def test_a_view_is_written_again_only_for_another_run(folder, trained):
    record(trained, "kd_cae")
    prepare()
    first = kept_tag()
    prepare()
    assert kept_tag() == first
    (newer,) = record(trained, "kd_cae", seed=2)
    prepare()
    assert newer in kept_tag()["state"]["searchFilter"]


def test_a_colour_that_somebody_chose_stays(folder, trained):
    run_id, other = record(trained, "kd_cae", "ni_cae")
    client = connection.connect()
    client.set_tag(run_id, prepared_views.COLOUR_TAG, "#123456")
    prepare()
    assert client.get_run(run_id).data.tags[prepared_views.COLOUR_TAG] == "#123456"
    assert client.get_run(other).data.tags[prepared_views.COLOUR_TAG] == prepared_views.COLOURS["ni_cae"]


def test_links_name_table_charts_and_registered_model(first):
    said = "\n".join(pages.links(connection.connect(), project.DATASET, "http://127.0.0.1:5001"))
    key = prepared_views.key(project.CATEGORY)
    for mode in ("TABLE", "CHART"):
        assert f"viewStateShareKey={key}&workflowType=machine_learning&compareRunsMode={mode}" in said
    assert f"http://127.0.0.1:5001/#/models/{first.name}" in said


@pytest.mark.parametrize("given", ["http://me:secret@runs.test:5000", "http://runs.test:5000/"])
def test_a_server_of_its_own_shows_the_pages(monkeypatch, given):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    assert pages.address(5001) == "http://runs.test:5000"
