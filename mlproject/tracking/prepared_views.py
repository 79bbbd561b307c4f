"""Prepared views in MLflow: a link opens the newest run of each model with chosen columns and charts.

MLflow 3.17 keeps a saved view in a tag of the experiment and lists it under "Views" on its runs page. Its
client has no function that writes one, so the format of the tag is repeated here.
"""

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mlproject.tracking.runs import image_steps

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

TAG = "mlflow.sharedViewState."
COMPRESSED = "deflate;"  # prefix by which the pages recognise a compressed view
COLOUR_TAG = "mlflow.runColor"

FIRST = ("kd_cae", "ni_cae", "pca")  # in this order; any other detector follows
# metric → width of its column, pixels
COLUMNS = {
    "auroc": 110,
    "auroc_low": 110,
    "auroc_high": 110,
    "clean.f1": 110,
    "all_defective_f1": 140,
    "clean.false_alarm_rate": 170,
    "training.seconds": 150,
}
# As in the studies' figures. MLflow derives a colour from the run's id: two runs may get the same.
COLOURS = {"kd_cae": "#E69F00", "ni_cae": "#009E73", "pca": "#56B4E9", "cnn": "#0072B2", "anogan": "#CC79A7"}
AXES = {"xaxis": "training.seconds", "yaxis": "auroc"}
IMAGES = "reconstructions"

State = dict[str, Any]


def prepare(client: "MlflowClient", experiment_id: str) -> dict[str, str]:
    """Write the view of every category that has a finished run of a detector; return category → its key.

    A view that the store already has is not written again. Runs that have no colour get their model's.

    Raises:
        mlflow.exceptions.MlflowException: the store refused, or went away.
    """
    found = newest_runs(_all_runs(client, experiment_id))
    known = client.get_experiment(experiment_id).tags
    for category, runs in found.items():
        for model, run in runs.items():
            if COLOUR_TAG not in run.data.tags and model in COLOURS:  # nobody chose another
                client.set_tag(run.info.run_id, COLOUR_TAG, COLOURS[model])
        view = packed(state(category, runs, _shared_epoch(client, runs.values())))
        tag = TAG + key(category)
        if view not in known.get(tag, ""):
            now = int(time.time() * 1000)
            about = {"name": f"{category}: {', '.join(runs)}", "createdAt": now, "updatedAt": now}
            client.set_experiment_tag(experiment_id, tag, json.dumps(about | {"state": view}))
    return {category: key(category) for category in found}


def newest_runs(runs: Iterable["Run"]) -> dict[str, dict[str, "Run"]]:
    """Return category → model → its newest finished run that has an AUROC, both in the order of display."""
    found: dict[str, dict[str, Run]] = {}
    for run in sorted(runs, key=lambda run: run.info.start_time):
        tags = run.data.tags
        if (
            run.info.status == "FINISHED"
            and "auroc" in run.data.metrics
            and {"category", "model"} <= set(tags)
        ):
            found.setdefault(tags["category"], {})[tags["model"]] = run
    return {
        category: {
            model: models[model] for model in [*FIRST, *sorted(models.keys() - set(FIRST))] if model in models
        }
        for category, models in sorted(found.items())
    }


def _all_runs(client: "MlflowClient", experiment_id: str) -> list["Run"]:
    page = client.search_runs([experiment_id], "tags.category LIKE '%'")
    found = list(page)
    while page.token:
        page = client.search_runs([experiment_id], "tags.category LIKE '%'", page_token=page.token)
        found += page
    return found


def _shared_epoch(client: "MlflowClient", runs: Iterable["Run"]) -> int:
    """Return the last epoch of which all runs that have pictures have one; 0 where none has any."""
    pictured = [steps for run in runs if (steps := image_steps(client, run.info.run_id, IMAGES))]
    return max(set.intersection(*pictured) or set.union(*pictured)) if pictured else 0


def state(category: str, runs: Mapping[str, "Run"], epoch: int) -> State:
    """Return the view of these runs as MLflow's pages store it, the best AUROC first.

    Args:
        epoch: the one whose reconstructions are shown first.
    """
    # A filter compares a tag with one value only; a run's id may be one of a list.
    ids = ", ".join(f"'{run.info.run_id}'" for run in runs.values())
    metrics = {_column("metrics", name): width for name, width in COLUMNS.items()}
    sections, charts = _sections(category, epoch)
    return {
        "searchFilter": f"tags.category = '{category}' and attributes.run_id IN ({ids})",
        "orderByKey": _column("metrics", "auroc"),
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(metrics),
        "columnOrder": [_column("attributes", "Run Name"), "runDateAndNestInfo", "duration", *metrics],
        "columnWidths": {_column("attributes", "Run Name"): 190, "runDateAndNestInfo": 150} | metrics,
        "runsHiddenMode": "SHOW_ALL",
        "isAccordionReordered": True,  # else the page sorts the sections by name
        "compareRunSections": sections,
        "compareRunCharts": charts,
    }


def _sections(category: str, epoch: int) -> tuple[list[State], list[State]]:
    """Return the sections of the chart page, and the charts of all of them."""
    bars = [_chart("BAR", name) for name in ("auroc", "clean.false_alarm_rate", "training.seconds")]
    against = {axis: {"key": name, "dataAccessKey": name, "type": "METRIC"} for axis, name in AXES.items()}
    content: dict[str, tuple[list[State], int]] = {
        f"{category}: AUROC, F1, false alarms": (
            [bars[0], _chart("BAR", "clean.f1", "all_defective_f1"), bars[1]],
            3,
        ),
        "Cost and training": ([bars[2], {"type": "SCATTER"} | against, _chart("LINE", "validation_loss")], 3),
        "Originals, and reconstructions below them": (
            [{"type": "IMAGE", "imageKeys": [IMAGES], "step": epoch, "showRunParams": False}],
            1,
        ),
        "Model metrics": ([], 3),  # where the page puts a chart of every other metric: folded
    }
    sections: list[State] = []
    charts: list[State] = []
    for name, (members, columns) in content.items():
        about = {"uuid": name, "name": name, "columns": columns}
        sections.append(about | {"display": bool(members), "isReordered": True})
        for chart in members:
            common = {"uuid": f"chart {len(charts)}", "metricSectionId": name, "runsCountToCompare": 100}
            charts.append(common | {"deleted": False, "isGenerated": False} | chart)
    return sections, charts


def _chart(kind: str, *metrics: str) -> State:
    chart: State = {"type": kind, "metricKey": metrics[0], "selectedMetricKeys": list(metrics)}
    if kind == "LINE":
        # losses of detectors of different kinds lie orders of magnitude apart
        chart |= {"xAxisKey": "step", "yAxisKey": "metric", "scaleType": "log", "xAxisScaleType": "linear"}
        chart |= {"lineSmoothness": 0, "yAxisExpressions": [], "range": {}, "useGlobalXaxisKey": True}
    return chart


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"


def packed(view: State) -> str:
    """Return a view as text, compressed as the pages do it."""
    text = json.dumps(view, separators=(",", ":"))
    return COMPRESSED + base64.b64encode(zlib.compress(text.encode())).decode()


def key(category: str) -> str:
    """Return the name of a category's view in tag and link: always the same, so that links stay valid."""
    return hashlib.sha256(f"mlproject {category}".encode()).hexdigest()[:32]


def link(experiment_id: str, view_key: str, *, charts: bool = False) -> str:
    """Return the part of a link after the server's address: the view's table, or its charts."""
    query = f"viewStateShareKey={view_key}&workflowType=machine_learning"
    return f"#/experiments/{experiment_id}/runs?{query}&compareRunsMode={'CHART' if charts else 'TABLE'}"
