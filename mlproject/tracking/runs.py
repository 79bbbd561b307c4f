"""Runs from files: found by their key, completed by what is missing, gathered under a parent."""

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.core import artifacts
from mlproject.core.wording import minute
from mlproject.tracking import connection, lock
from mlproject.tracking.detector_facts import DetectorFacts
from mlproject.tracking.facts import Facts, files_hash, git_tags, mlflow_parameters
from mlproject.tracking.lineage import tags_from_files
from mlproject.training.identity import run_key

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

RUN_KEY = "mlproject.run_key"
MODEL_HASH = "mlproject.model_hash"
WORKSPACE = "mlproject.workspace"  # `connection.workspace_id` of where it was made
CONTENT_HASH = "mlproject.content_hash"
COMPARISON_HASH = "mlproject.comparison_hash"
PIPELINE = "mlproject.pipeline"  # on parents
PARENT = "mlflow.parentRunId"
DIGEST_LENGTH = 36  # MLflow allows no more
BATCH = 1000  # metrics a request, MLflow's limit


def record(dataset: str, category: str, model: str) -> str:
    """Log whatever the store lacks of this pair's files; return the run's id.

    Each trained model has one run: what the later stages changed is brought up to date in it. Nothing is
    written when the store has it all. Interrupted, it completes the same run when called again.

    Raises:
        UserError: a file is missing, or the experiment was deleted.
        mlflow.exceptions.MlflowException: the store refused, or went away.
    """
    return log(dataset, DetectorFacts.read(category, model))


def log(dataset: str, facts: Facts) -> str:
    """Do what `record` does, of facts that were read."""
    client = connection.connect()
    experiment_id = connection.experiment(client, dataset)
    known = find(client, experiment_id, run_key(facts.training), facts.model_hash)
    if known and _is_whole(known, facts):
        return known.info.run_id
    with lock.on_experiment(client, experiment_id):
        run = find(client, experiment_id, run_key(facts.training), facts.model_hash)
        if run and _is_whole(run, facts):  # by another process meanwhile
            return run.info.run_id
        if run:
            run_id = run.info.run_id
        else:
            run_id = create(client, experiment_id, facts.training, stage=facts.stage, from_files=True)
            _delete_twins(client, experiment_id, run_key(facts.training), run_id)
        client.set_tag(run_id, MODEL_HASH, facts.model_hash)
        _complete(client, run_id, facts)
    return run_id


def _is_whole(run: "Run", facts: Facts) -> bool:
    return run.data.tags.get(CONTENT_HASH) == facts.content_hash and run.info.status == "FINISHED"


def _delete_twins(client: "MlflowClient", experiment_id: str, key: str, run_id: str) -> None:
    """Delete the runs that one request made: a client that gets no answer sends it again."""
    for run in client.search_runs([experiment_id], f"tags.`{RUN_KEY}` = '{key}'"):
        if run.info.run_id != run_id and MODEL_HASH not in run.data.tags and not _is_elsewhere(run):
            client.delete_run(run.info.run_id)


def find(client: "MlflowClient", experiment_id: str, key: str, model_hash: str | None = None) -> "Run | None":
    """Return the run of a training, newest first; not one that another workspace trains just now.

    Args:
        key: `identity.run_key`.
        model_hash: of the trained model: its own run, else one that no model was recorded for yet.
            None while it trains: only a run that was cut off before its end will do.
    """
    query = f"tags.`{RUN_KEY}` = '{key}'"
    found = client.search_runs([experiment_id], query, order_by=["attributes.start_time DESC"])
    pending = [run for run in found if MODEL_HASH not in run.data.tags and not _is_elsewhere(run)]
    if model_hash is None:
        return next((run for run in pending if run.info.status != "FINISHED"), None)
    same = [run for run in found if run.data.tags.get(MODEL_HASH) == model_hash]
    return next(iter(same + pending), None)


def _is_elsewhere(run: "Run") -> bool:
    """Say whether another workspace makes a run just now, or was cut off while it did."""
    here = connection.workspace_id()
    return run.info.status == "RUNNING" and run.data.tags.get(WORKSPACE, here) != here


def create(
    client: "MlflowClient",
    experiment_id: str,
    training: Mapping[str, Any],
    *,
    stage: str = DetectorFacts.stage,
    from_files: bool = False,
    running: float = 0,
) -> str:
    """Make the run of a training that goes on, or (`from_files`) has ended; return its id.

    Only of what goes on is the commit that lies here known to be its own.

    Args:
        running: seconds that it has gone on for.
    """
    now = time.time()
    # what earlier releases trained does not say when it ended
    started = training.get("ended", now) - training["seconds"] if from_files else now - running
    category, model = training["category"], training["model"]
    tags = {
        RUN_KEY: run_key(training),
        WORKSPACE: connection.workspace_id(),
        "mlflow.runName": f"{category} {model}",
        "mlflow.source.name": f"dvc repro {stage}@{category}-{model.removeprefix('study ')}",
        "mlflow.source.type": "LOCAL",
        # which it is; and MLflow's pages unfold the parents of such runs, so charts show them at once
        "mlflow.runType": "evaluation",
        "category": category,
        "model": model,
        **({} if from_files else git_tags()),
    }
    return client.create_run(experiment_id, start_time=int(started * 1000), tags=tags).info.run_id


def image_steps(client: "MlflowClient", run_id: str, key: str = DetectorFacts.image_key) -> set[int]:
    """Return the epochs whose pictures of that key the run already shows."""
    names = (Path(item.path).name for item in client.list_artifacts(run_id, "images"))
    # MLflow names them key, step, time and id, parted by "+" or, in older releases, "%".
    matches = (re.match(rf"{key}[+%]step[+%](\d+)[+%]", name) for name in names)
    return {int(match[1]) for match in matches if match}


def join(dataset: str, run_ids: Sequence[str]) -> str | None:
    """Gather runs that have no parent under a new one, with the comparison; return the parent's id.

    Where all have one, the newest parent's comparison is brought up to date and no run is made.
    """
    client = connection.connect()
    experiment_id = connection.experiment(client, dataset)
    with lock.on_experiment(client, experiment_id):
        runs = [client.get_run(run_id) for run_id in run_ids]
        orphans = [run.info.run_id for run in runs if PARENT not in run.data.tags]
        if orphans:
            parent = _open_parent(client, experiment_id)
            for run_id in orphans:
                client.set_tag(run_id, PARENT, parent.info.run_id)
        elif runs:
            parents = [client.get_run(parent_id) for parent_id in {run.data.tags[PARENT] for run in runs}]
            parent = max(parents, key=lambda run: run.info.start_time)
        else:
            return None
        _log_comparison(client, parent)
    return parent.info.run_id


def _open_parent(client: "MlflowClient", experiment_id: str) -> "Run":
    """Return a new parent, or the one that was made when recording was cut off."""
    query = f"tags.`{PIPELINE}` = 'true' and attributes.status = 'RUNNING'"
    oldest_first = ["attributes.start_time ASC"]
    if not (found := client.search_runs([experiment_id], query, order_by=oldest_first)):
        name = f"pipeline {minute(time.time())}"
        tags = {"mlflow.runName": name, "mlflow.source.name": "dvc repro", PIPELINE: "true"}
        client.create_run(experiment_id, tags=tags | git_tags())
        found = client.search_runs([experiment_id], query, order_by=oldest_first)
    for twin in found[1:]:
        client.delete_run(twin.info.run_id)
    return found[0]


def _log_comparison(client: "MlflowClient", parent: "Run") -> None:
    found = (path for kind in ("comparison", "paper") for path in artifacts.REPORTS.glob(f"{kind}.*"))
    files = {path.name: path for path in sorted(found) if path.suffix != ".part"}
    content = files_hash(files)
    if parent.data.tags.get(COMPARISON_HASH) != content:
        for path in files.values():
            client.log_artifact(parent.info.run_id, str(path))
        client.set_tag(parent.info.run_id, COMPARISON_HASH, content)
    if parent.info.status != "FINISHED":
        client.set_terminated(parent.info.run_id)


def _complete(client: "MlflowClient", run_id: str, facts: Facts) -> None:
    """Log what the run lacks; the content hash comes last, so that an interruption is noticed."""
    from mlflow.entities import Param, RunTag

    run = client.get_run(run_id)
    parameters = {k: v for k, v in mlflow_parameters(facts.training).items() if k not in run.data.params}
    # The commit that it was trained at stands; a later evaluation does not move it.
    tags = tags_from_files(facts) | run.data.tags | facts.tags()
    changed = {name: value for name, value in tags.items() if run.data.tags.get(name) != value}
    client.log_batch(
        run_id,
        params=[Param(name, value) for name, value in parameters.items()],
        tags=[RunTag(name, value) for name, value in changed.items()],
    )
    missing = _missing_history(client, run, facts) + _changed_figures(run, facts)
    for first in range(0, len(missing), BATCH):
        client.log_batch(run_id, metrics=missing[first : first + BATCH])
    _log_files(client, run_id, facts)
    _log_data(client, run_id, facts)
    if run.info.status != "FINISHED":
        end = run.info.start_time + int(facts.training["seconds"] * 1000)
        # later than that if the training was cut off and went on after a while
        client.set_terminated(run_id, end_time=max(end, int(facts.training.get("ended", 0) * 1000)))
    client.set_tag(run_id, CONTENT_HASH, facts.content_hash)


def _missing_history(client: "MlflowClient", run: "Run", facts: Facts) -> "list[Metric]":
    """Return the epochs that the store lacks, timed as if all had taken the same."""
    from mlflow.entities import Metric

    per_epoch = facts.training["seconds"] * 1000 / max(len(facts.history), 1)
    points = []
    for name in facts.history.columns.drop("epoch"):
        known = {(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)}
        for epoch, value in zip(facts.history["epoch"], facts.history[name], strict=True):
            if math.isfinite(value) and (int(epoch), float(value)) not in known:
                when = run.info.start_time + int(epoch * per_epoch)
                points.append(Metric(name, float(value), when, int(epoch)))
    return points


def _changed_figures(run: "Run", facts: Facts) -> "list[Metric]":
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    known = run.data.metrics
    return [Metric(k, value, now, 0) for k, value in facts.figures().items() if known.get(k) != value]


def _log_files(client: "MlflowClient", run_id: str, facts: Facts) -> None:
    import mlflow

    for name, path in facts.files.items():
        client.log_artifact(run_id, str(path), str(Path(name).parent))
    shown = image_steps(client, run_id, facts.image_key)
    for epoch, path in sorted(facts.pictures.items()):
        if epoch not in shown:
            client.log_image(run_id, mlflow.Image(str(path)), key=facts.image_key, step=epoch)


def _log_data(client: "MlflowClient", run_id: str, facts: Facts) -> None:
    """Log the images, by their hash, as the run's input data."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    category = facts.training["category"]
    source = json.dumps({"uri": (artifacts.RAW / category).as_posix()})
    counts = {name: facts.training[name] for name in ("n_train", "n_validation") if name in facts.training}
    digest = facts.training["data_hash"][:DIGEST_LENGTH]
    data = Dataset(category, digest, "local", source, profile=json.dumps(counts))
    client.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
