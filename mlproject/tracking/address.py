"""Which version of a registered model a person means by `bottle@champion`, `bottle/7` or a full address."""

import re
from typing import TYPE_CHECKING

from mlproject import params
from mlproject.errors import UserError, unknown_name
from mlproject.tracking import store

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

    A category is looked for in the data set of params.yaml, where there is one, then in every data set.

    Raises:
        UserError: there is none (names the nearest), or several data sets have that category.
    """
    found = {model.name: model for model in client.search_registered_models()}
    if name in found:
        return found[name]
    if params.FILE.is_file() and (own := model_name(store.dataset(), name)) in found:
        return found[own]
    same = sorted(full for full in found if full.endswith(f"-{model_name('', name)[1:]}"))
    if len(same) == 1:
        return found[same[0]]
    if same:
        raise UserError(f"{name} is a category of several data sets. Say which: {', '.join(same)}")
    raise unknown_name(f"{store.uri()}: registered model {name}", name, found)


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
    return ", ".join(f"{v.version} ({v.tags.get('architecture', '?')})" for v in ordered) or "(none)"
