"""What is known of a training before its first epoch, and decides its result: `run_key.run_key` names it."""

from typing import Any

from mlproject import params, training


def known(category: str, model: str, section: str, data_hash: str) -> dict[str, Any]:
    """Return all that decides the result, with the device and precision that `auto` stands for here.

    Args:
        model: a detector's or a generator's name.
        section: of params.yaml, that has the settings of `model`: models or generators.
        data_hash: of the prepared category.
    """
    settings = params.load("training", params.Training)
    device = training.choose_device(settings.device)
    return {
        "category": category,
        "model": model,
        "settings": params.value(f"{section}.{model}"),
        "split": params.load("split", params.Split).model_dump(),
        "data_hash": data_hash,
        "seed": params.value("seed"),
        "device": device,
        "precision": training.choose_precision(settings.precision, device),
    }
