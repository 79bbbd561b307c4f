"""`mlproject check`: look for faults in the photos before anything is trained."""

import typer

MODEL = "patch_kde"
LISTED = 5  # training images least like the others


def check() -> None:
    """Look for faults in the photos: masks, grey levels, sizes. Exit with 1 if something was found.

    Once patch_kde is trained, the good training images least like the others are listed too, as no fault.
    """
    from mlproject.core import artifacts, params
    from mlproject.data import checks
    from mlproject.data.ingest import source_folder
    from mlproject.data.layout import find_category, read_layout

    data = params.load("data", params.Data)
    root = source_folder(data) if data.source == "folder" else artifacts.RAW
    found = 0
    for name in params.categories():
        folder = find_category(root, name)
        entries = read_layout(folder)
        lines = checks.summary(folder, checks.check_category(folder, entries))
        found += len(lines)
        typer.echo("\n".join([*lines, f"{name}: {len(entries)} images checked", *least_alike(name)]))
    if found:
        raise typer.Exit(1)


def least_alike(category: str) -> list[str]:
    """Return lines on the training images with the highest leave-one-out scores of the trained patch_kde.

    None where it is not trained on the images that are prepared now. These may be others than those that are
    checked: `data.path` may have changed since.
    """
    import numpy as np
    from safetensors import safe_open

    from mlproject.core import artifacts, files, params
    from mlproject.core.errors import quoted
    from mlproject.data import prepared
    from mlproject.models.components.detector import WEIGHTS

    weights = artifacts.model_folder(category, MODEL) / WEIGHTS
    report = artifacts.training_report(category, MODEL)
    if not (weights.is_file() and report.is_file() and (artifacts.PREPARED / category).is_dir()):
        return []
    data, trained = prepared.load(category), files.read_json(report)
    if trained["data_hash"] != data.data_hash:
        return []
    with safe_open(weights, framework="numpy") as arrays:
        scores = arrays.get_tensor("left_out_scores")
    paths = data.paths(data.roles(params.Split(**trained["split"]), trained["seed"]).train)
    times = scores / np.median(scores)
    return [
        f"{category}: training images of {artifacts.RAW / category} least like the others: is one of them "
        f"defective? ({MODEL}'s leave-one-out score, as a multiple of the median)",
        *(f"  {times[i]:.1f}  {quoted(paths[i])}" for i in np.argsort(-scores, kind="stable")[:LISTED]),
    ]
