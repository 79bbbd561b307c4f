"""Register trained detectors: a registered model for each category, a version for each distinct model."""

import base64
import functools
import hashlib
import importlib.metadata
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from io import BytesIO
from modulefinder import ModuleFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

import mlproject
from mlproject.core import files
from mlproject.core.errors import UserError
from mlproject.registry import card, description, hashes, recorded_version, version_tags
from mlproject.registry.address import model_name
from mlproject.tracking import connection, lineage, lock
from mlproject.tracking.detector_facts import DetectorFacts
from mlproject.tracking.store_faults import StoreFault
from mlproject.training.identity import run_key

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

SERVED_MODEL = Path(__file__).with_name("served_model.py")
EXAMPLE_SIZE = 64
REFUSED_IN_NAMES = re.compile(r"[/:.%\"']")  # by MLflow, in the name of a logged model


class Registered(NamedTuple):
    """A version, and whether this call made it."""

    name: str
    version: int
    new: bool


def register(dataset: str, category: str, model: str, run_id: str) -> Registered:
    """Make a version of this pair's model unless there is one; bring its tags and descriptions up to date.

    Equal weights, description, threshold and prepared size, tested on the same images, are the same
    version: that is all that is served, and the record that travels with it. Those who register the same
    model at once, on one machine or on several that share a server, wait for each other (`tracking.lock`).

    Raises:
        UserError: a file is missing, or another data set's or category's model has the same name.
        mlflow.exceptions.MlflowException: the store refused, or went away.
    """
    return register_facts(dataset, DetectorFacts.read(category, model), run_id)


def register_facts(dataset: str, facts: DetectorFacts, run_id: str) -> Registered:
    """Do what `register` does, of facts that were read."""
    client = connection.connect()
    category = facts.training["category"]
    name, served = model_name(dataset, category), _served_hash(facts)
    _ensure_registered_model(client, name)
    with lock.on_model(client, name):
        _demand_own(client, name, dataset, category)
        run = client.get_run(run_id)
        parameters = lineage.parameters_json(facts)
        if run.data.tags.get(lineage.PARAMETERS) != parameters:
            client.set_tag(run_id, lineage.PARAMETERS, parameters)
        found = _find(client, name, served)
        if found:
            known = version_tags.lineage(found)
            _bring_up_to_date(client, found, *_told(dataset, facts, run, served, known))
        version = found or _create(client, name, dataset, facts, run, served)
        _delete_leftovers(client, run, _logged_name(facts), name)
        description.update(client, name)
    return Registered(name, int(version.version), new=found is None)


def _told(
    dataset: str, facts: DetectorFacts, run: "Run", served: str, known: Mapping[str, str]
) -> tuple[dict[str, str], str]:
    """Return the tags and the description of a version.

    Args:
        known: its lineage so far: at least `files`.
    """
    run_id, category, model = run.info.run_id, facts.training["category"], facts.training["model"]
    # What was registered from another run tells of that run: its commit is not this one's.
    same_run = known if known.get("run_id") == run_id else {}
    values = {
        "category": category,
        "threshold": str(facts.threshold["threshold"]),
        "run_key": run_key(facts.training),
        "model_hash": facts.model_hash,
        "served_hash": served,
        "files": known["files"],
        **lineage.of_version(facts, run_id, run.data.tags, same_run),
    }
    tags = version_tags.make(model, facts.metrics, run.info.end_time or run.info.start_time, values)
    about = card.model_card(dataset, facts, in_registry=True)
    return tags, description.of_version(model, category, tags, about)


def _create(
    client: "MlflowClient", name: str, dataset: str, facts: DetectorFacts, run: "Run", served: str
) -> "ModelVersion":
    """Log the model and make its version."""
    run_id = run.info.run_id
    before = {str(version.version) for version in client.search_model_versions(f"name = '{name}'")}
    model_id, source, files_hash = _log_model(client, dataset, facts, run_id)
    tags, described = _told(dataset, facts, run, served, {"files": files_hash})
    client.create_model_version(name, source, run_id, tags, description=described, model_id=model_id)
    made = [found for found in _same(client, name, served) if str(found.version) not in before]
    for twin in made[:-1]:  # of a request whose answer was lost and that was sent again: the first stays
        client.delete_model_version(name, str(twin.version))
    return made[-1]


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


def _ensure_registered_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        try:
            client.create_registered_model(name)
        except MlflowException as refused:
            # made meanwhile: by another machine, or by the same request, sent again as its answer was lost
            if refused.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _demand_own(client: "MlflowClient", name: str, dataset: str, category: str) -> None:
    """Refuse a name that is also another pair's: a-b and c make the name of a and b-c, "a b" that of a-b.

    Whose it is, its newest version says: by its category, and by the experiment of its run, which is called
    as the data set. An experiment that was renamed since names no data set of this model.
    """
    from mlflow.exceptions import MlflowException

    versions = client.search_model_versions(f"name = '{name}'")
    newest = max(versions, key=lambda version: int(version.version), default=None)
    if newest is None or not (of := version_tags.category(newest)):
        return
    try:
        run = client.get_run(newest.run_id or "")
        owner = client.get_experiment(run.info.experiment_id).name
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        owner = dataset  # deleted for good
    if of != category or (owner != dataset and model_name(owner, of) == name):
        raise UserError(
            f"{name} is the registered model of category {of} of data set {owner}; category {category} of "
            f"data set {dataset} would share its versions and its champion. Rename that category, or the "
            "folder that data.path names."
        )


def _find(client: "MlflowClient", name: str, served: str) -> "ModelVersion | None":
    """Return the newest version with this content whose files are there as they were registered."""
    for version in _same(client, name, served):
        try:
            with tempfile.TemporaryDirectory() as folder:
                recorded_version.download(version, Path(folder))
        except StoreFault:  # it says nothing of the files: another version of the same would be one too many
            raise
        except UserError as error:
            print(f"{error} It is registered again.")
        else:
            return version
    return None


def _same(client: "MlflowClient", name: str, served: str) -> "list[ModelVersion]":
    """Return the versions with this content, newest first."""
    versions = client.search_model_versions(f"name = '{name}'")
    same = [found for found in versions if version_tags.lineage(found).get("served_hash") == served]
    return sorted(same, key=lambda version: -int(version.version))


def _delete_leftovers(client: "MlflowClient", run: "Run", logged_name: str, registered: str) -> None:
    """Delete what was logged of this model and no version refers to.

    Registering was cut off, or the answer to a request was lost and the client sent it again.
    """
    versions = client.search_model_versions(f"name = '{registered}'")
    kept = {str(version.source).removeprefix("models:/") for version in versions}
    for logged in client.search_logged_models([run.info.experiment_id], f"name = '{logged_name}'"):
        if logged.source_run_id == run.info.run_id and logged.model_id not in kept:
            client.delete_logged_model(logged.model_id)


def _logged_name(facts: DetectorFacts) -> str:
    """Return the name of a pair's logged models."""
    return REFUSED_IN_NAMES.sub("-", f"{facts.training['category']}-{facts.training['model']}")


def _served_hash(facts: DetectorFacts) -> str:
    """Return the sha256 of what decides a version: weights, threshold, prepared size, tested images."""
    prepared = files.read_json(facts.served["prepared"])
    served = json.dumps(
        [facts.model_hash, facts.threshold["threshold"], prepared["image_size"], facts.training["data_hash"]]
    )
    return hashlib.sha256(served.encode()).hexdigest()


def _log_model(
    client: "MlflowClient", dataset: str, facts: DetectorFacts, run_id: str
) -> tuple[str, str, str]:
    """Log the served model in its run; return MLflow's id of it, its address, the hash of its files' list."""
    import mlflow

    before = client.get_run(run_id).info
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package, requirements = package_for(facts.training["model"], folder)
        told = card.write(dataset, facts, folder)
        served = {key: _copied(path, folder / "artifacts") for key, path in facts.served.items()}
        with mlflow.start_run(run_id=run_id), hashes.being_logged():
            info = mlflow.pyfunc.log_model(
                name=_logged_name(facts),
                python_model=str(SERVED_MODEL),
                artifacts=served | told,
                code_paths=[str(package)],
                pip_requirements=requirements,
                signature=signature(),
                input_example=pd.DataFrame({"image": [_example()]}),
            )
        # Logging opened the run again: it ended when its training did.
        client.set_terminated(run_id, before.status, before.end_time)
        stored = Path(mlflow.artifacts.download_artifacts(info.model_uri, dst_path=str(folder / "stored")))
        files_list = hashes.write_list(stored)
        client.log_model_artifact(info.model_id, str(files_list))
        return info.model_id, info.model_uri, files.sha256(files_list)


def _copied(path: Path, into: Path) -> str:
    """Copy a file or folder; return where. DVC may keep links in its place, which MLflow refuses."""
    into.mkdir(exist_ok=True)
    target = into / path.name
    return str(shutil.copytree(path, target) if path.is_dir() else shutil.copyfile(path, target))


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


def signature() -> "ModelSignature":
    """Return the table that the served model takes, and the one that it returns."""
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
