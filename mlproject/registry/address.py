"""Addresses of registered versions: `bottle@champion`, `bottle/7` or a full `models:/` address."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlproject.core import params
from mlproject.core.errors import UserError, unknown_name
from mlproject.registry import version_tags
from mlproject.tracking import connection

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

FORM = re.compile(r"(?:models:/+)?(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<version>[0-9]+))?")
CHAMPION = "champion"


def model_name(dataset: str, category: str) -> str:
    """Return the registered model's name; characters that MLflow or its filters trip over become "-"."""
    return re.sub(r"[^\w.-]", "-", f"{dataset}-{category}")


def find_model(client: "MlflowClient", name: str) -> "RegisteredModel":
    """Return the registered model of a category, or of that name; outside a project's folder too.

    A category is looked for in the data set of params.yaml, where there is one, then in every data set: a
    registered model is of the category that its versions say.

    Raises:
        UserError: there is none (names the nearest), or several data sets have that category.
    """
    if model := _named(client, name):
        return model
    if params.FILE.is_file() and (model := _named(client, model_name(connection.dataset(), name))):
        return model
    found = {model.name: model for model in _all(client)}
    same = sorted(full for full in found if _is_of(client, full, name))
    if len(same) == 1:
        return found[same[0]]
    if same:
        raise UserError(f"{name} is a category of several data sets. Say which: {', '.join(same)}")
    raise unknown_name(f"{connection.shown()}: registered model {name}", name, found)


def _named(client: "MlflowClient", name: str) -> "RegisteredModel | None":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
    return None


def _all(client: "MlflowClient") -> "Iterator[RegisteredModel]":
    page = client.search_registered_models()
    yield from page
    while page.token:
        page = client.search_registered_models(page_token=page.token)
        yield from page


def _is_of(client: "MlflowClient", full: str, category: str) -> bool:
    """Say whether a registered model's versions are of a category; only its name's end is looked at first."""
    end = model_name("", category)
    if not full.endswith(end):
        return False
    versions = client.search_model_versions(f"name = '{full}'")
    return any(model_name("", version_tags.category(version)) == end for version in versions)


def find_version(client: "MlflowClient", text: str) -> "ModelVersion":
    """Return the version that `text` names; a category alone means its champion.

    Args:
        text: ``bottle@champion``, ``bottle/7``, ``sample-bottle@previous``, ``models:/sample-bottle/7``.

    Raises:
        UserError: no such form, model, alias or version; names what there is.
    """
    form = FORM.fullmatch(text)
    if form is None:
        raise UserError(f"{text}: name a model as bottle@champion, bottle/7 or models:/sample-bottle/7")
    model = find_model(client, form["name"])
    versions = {str(v.version): v for v in client.search_model_versions(f"name = '{model.name}'")}
    # search results have no aliases: they must be asked for one by one
    aliases = {alias: str(v) for alias, v in client.get_registered_model(model.name).aliases.items()}
    number = form["version"]
    if number is None:
        alias = form["alias"] or CHAMPION
        if alias not in aliases:
            raise UserError(
                f"{model.name} has no {alias}. It has aliases: {', '.join(sorted(aliases)) or '(none)'}; "
                f"versions: {_listed(versions)}. `mlproject promote` makes a champion."
            )
        number = aliases[alias]
    if number not in versions:
        raise UserError(f"{model.name} has no version {number}. It has: {_listed(versions)}")
    return versions[number]


def _listed(versions: "dict[str, ModelVersion]") -> str:
    ordered = sorted(versions.values(), key=lambda version: int(version.version))
    return ", ".join(f"{v.version} ({version_tags.architecture(v)})" for v in ordered) or "(none)"
