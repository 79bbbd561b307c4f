"""One registered model a category, one version a distinct model: its detectors side by side."""

import base64
import functools
import hashlib
import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Mapping
from io import BytesIO
from modulefinder import ModuleFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

import mlproject
from mlproject.core import artifacts, files
from mlproject.registry import card
from mlproject.registry.address import model_name
from mlproject.tracking import connection, lineage, runs
from mlproject.tracking.facts import Facts
from mlproject.training.identity import run_key

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

SERVED_HASH = "mlproject.served_hash"
SERVED_MODEL = Path(__file__).with_name("served_model.py")
EXAMPLE_SIZE = 64
DESCRIPTION_LIMIT = 5000  # characters that MLflow's databases hold


class Registered(NamedTuple):
    """A version, and whether this call made it."""

    name: str
    version: int
    new: bool


def register(dataset: str, category: str, model: str, run_id: str) -> Registered:
    """Make a version of this pair's model unless there is one; bring its tags up to date.

    Equal weights, description, threshold and prepared size, tested on the same images, are the same
    version: that is all that is served, and the record that travels with it. Processes of one machine
    wait for each other (`store.lock`); two machines that register the same model on one server in the
    same second may both make one.

    Raises:
        UserError: a file is missing.
        mlflow.exceptions.MlflowException: the store refused, or went away.
    """
    facts = Facts.read(category, model)
    client = connection.connect()
    name, tags = model_name(dataset, category), _tags(facts)
    with connection.lock():
        found = _find(client, name, tags[SERVED_HASH])
        # What was registered from another run tells of that run: none of its lineage is kept.
        known = found.tags if found and found.tags.get("run_id") == run_id else {}
        tags |= lineage.tags(facts, run_id, client.get_run(run_id).data.tags, known)
        described = card.model_card(dataset, facts, in_registry=True)[:DESCRIPTION_LIMIT]
        if found:
            _bring_up_to_date(client, found, tags, described)
            return Registered(name, int(found.version), new=False)
        model_id, source = _log_model(client, dataset, facts, run_id)
        version = client.create_model_version(
            name, source, run_id, tags, description=described, model_id=model_id
        )
    return Registered(name, int(version.version), new=True)


def _bring_up_to_date(
    client: "MlflowClient", version: "ModelVersion", tags: dict[str, str], described: str
) -> None:
    """Write what changed of a version's tags and description."""
    number = str(version.version)
    for key, value in tags.items():
        if version.tags.get(key) != value:
            client.set_model_version_tag(version.name, number, key, value)
    if version.description != described:
        client.update_model_version(version.name, number, described)


def _find(client: "MlflowClient", name: str, served_hash: str) -> "ModelVersion | None":
    """Return the version with this content; makes the registered model if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(
            name, description="Anomaly detectors of one category; see each version's tags."
        )
        return None
    query = f"name = '{name}' and tags.`{SERVED_HASH}` = '{served_hash}'"
    return next(iter(client.search_model_versions(query, max_results=1)), None)


def _tags(facts: Facts) -> dict[str, str]:
    category, model = facts.training["category"], facts.training["model"]
    prepared = files.read_json(artifacts.PREPARED / category / "prepared.json")
    served = json.dumps(
        [facts.model_hash, facts.threshold["threshold"], prepared["image_size"], facts.training["data_hash"]]
    )
    metrics = facts.metrics
    values = {
        "architecture": model,
        "category": category,
        "auroc": metrics["auroc"],
        "auroc_low": metrics["auroc_low"],
        "auroc_high": metrics["auroc_high"],
        "clean_f1": metrics["clean"]["f1"],
        "threshold": facts.threshold["threshold"],
        runs.RUN_KEY: run_key(facts.training),
        runs.MODEL_HASH: facts.model_hash,
        SERVED_HASH: hashlib.sha256(served.encode()).hexdigest(),
    }
    return {name: str(value) for name, value in values.items()}


def _log_model(client: "MlflowClient", dataset: str, facts: Facts, run_id: str) -> tuple[str, str]:
    """Log the served model in its run; return MLflow's id of it and its address."""
    import mlflow

    category, model = facts.training["category"], facts.training["model"]
    before = client.get_run(run_id).info
    with tempfile.TemporaryDirectory() as folder:
        package, requirements = package_for(model, Path(folder))
        told = card.write(dataset, facts, Path(folder))
        with mlflow.start_run(run_id=run_id):
            info = mlflow.pyfunc.log_model(
                name=f"{category}-{model}",
                python_model=str(SERVED_MODEL),
                artifacts={
                    "model": str(artifacts.model_folder(category, model)),
                    "threshold": str(artifacts.scores_folder(category, model) / "threshold.json"),
                    "prepared": str(artifacts.PREPARED / category / "prepared.json"),
                    **told,
                },
                code_paths=[str(package)],
                pip_requirements=requirements,
                signature=_signature(),
                input_example=pd.DataFrame({"image": [_example()]}),
            )
    # Logging opened the run again: it ended when its training did.
    client.set_terminated(run_id, before.status, before.end_time)
    return info.model_id, info.model_uri


def package_for(model: str, folder: Path) -> tuple[Path, list[str]]:
    """Copy the files of `mlproject` that a served `model` imports; return the copy and pinned requirements.

    Both follow from the imports themselves, so a new model needs no entry here.
    """
    root = Path(mlproject.__file__).parent.parent
    finder = ModuleFinder([str(root)])
    finder.run_script(str(SERVED_MODEL))
    finder.import_hook(f"mlproject.models.{model}")
    for name, module in finder.modules.items():
        source = Path(getattr(module, "__file__", None) or root)
        if name.split(".")[0] == "mlproject":
            target = folder / source.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    imported = {name.split(".")[0] for name in finder.badmodules}
    return folder / "mlproject", _pins(imported)


def _pins(modules: set[str]) -> list[str]:
    """Return "distribution==version" of each module that comes from a package, not from Python itself."""
    distributions = _distributions()
    pins = set()
    for module in modules & distributions.keys():
        found = distributions[module]
        name = module if module in found else found[0]  # mlflow is in mlflow and in mlflow-skinny
        # Without the local part ("+cpu"): no registry knows that.
        pins.add(f"{name}=={importlib.metadata.version(name).split('+')[0]}")
    return sorted(pins)


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """Return module → the packages that have it. It takes a second, and this process changes none."""
    return importlib.metadata.packages_distributions()


def _signature() -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    outputs: list[Any] = [
        ColSpec("double", "score"),
        ColSpec("double", "threshold"),
        ColSpec("boolean", "defective"),
    ]
    outputs += [ColSpec(AnyType(), name, required=False) for name in ("anomaly_map", "reconstruction")]
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), "image")]),
        outputs=Schema(outputs),
        params=ParamSchema([ParamSpec("maps", "boolean", False)]),
    )


def _example() -> str:
    """Return a plain grey image as the base64 of a PNG file, so that no photo is published."""
    from PIL import Image

    file = BytesIO()
    Image.new("RGB", (EXAMPLE_SIZE, EXAMPLE_SIZE), (128, 128, 128)).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()
