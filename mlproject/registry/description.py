"""Descriptions in the registry: scores and card of a version, table of versions of a registered model."""

from typing import TYPE_CHECKING

from mlproject.registry import version_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

LIMIT = 5000  # characters that MLflow's databases hold
GAP = "&nbsp;" * 4  # MLflow's pages draw tables without space between columns
COLUMNS = ("version", "model", "AUROC [95% interval]", "F1 (of calling all defective)", "alias", "trained")


def of_version(model: str, category: str, tags: dict[str, str], card: str) -> str:
    """Return a version's description: one sentence, then its card.

    Args:
        tags: `version_tags.make`.
        card: Markdown.
    """
    scores = f"AUROC {tags[version_tags.AUROC]}, F1 {tags[version_tags.F1]}"
    first = f"{model} for {category}: {scores}."
    return f"{first}\n\n{card}"[:LIMIT]


def update(client: "MlflowClient", name: str) -> None:
    """Write a registered model's description: its versions, newest first, and how to promote one."""
    model = client.get_registered_model(name)
    found = sorted(client.search_model_versions(f"name = '{name}'"), key=lambda v: -int(v.version))
    aliases: dict[str, list[str]] = {}
    for alias, number in model.aliases.items():
        aliases.setdefault(str(number), []).append(alias)
    text = of_model(found, aliases)
    if text != model.description:
        client.update_registered_model(name, text)


def of_model(versions: "list[ModelVersion]", aliases: dict[str, list[str]]) -> str:
    """Return the description as Markdown; the oldest versions are left out where it would be too long.

    Args:
        versions: of one registered model, newest first.
        aliases: version number → its aliases.
    """
    category = next(filter(None, map(version_tags.category, versions)), "")
    before = [
        f"Anomaly detectors of the category {category}.",
        "",
        f"| {' | '.join(f'{column}{GAP}' for column in COLUMNS)} |",
        f"|{' --- |' * len(COLUMNS)}",
    ]
    after = [
        "",
        f"Compare a version with the champion, then promote it: `mlproject compare {category} --version N`, "
        f"`mlproject promote {category} --version N`",
    ]
    rows = [_row(version, aliases.get(str(version.version), [])) for version in versions]
    while len("\n".join([*before, *rows, *after])) > LIMIT:
        rows.pop()
    return "\n".join([*before, *rows, *after])


def _row(version: "ModelVersion", aliases: list[str]) -> str:
    cells = [
        f"[{version.version}](#/models/{version.name}/versions/{version.version})",
        version_tags.architecture(version),
        version.tags.get(version_tags.AUROC, ""),
        version.tags.get(version_tags.F1, ""),
        ", ".join(sorted(aliases)),
        version.tags.get(version_tags.TRAINED, ""),
    ]
    return f"| {' | '.join(cells)} |"
