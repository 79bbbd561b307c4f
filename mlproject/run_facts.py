"""What is known of a training before its first epoch, and decides its result: `run_key.run_key` names it."""

from collections.abc import Mapping
from typing import Any

from mlproject import params, training


def known(category: str, model: str, own: Mapping[str, Any], data_hash: str) -> dict[str, Any]:
    """Return all that decides the result, with the device and precision that `auto` stands for here.

    Args:
        model: a detector's or a generator's name.
        own: the settings of `model`.
        data_hash: of the prepared category.
    """
    how = params.load("training", params.Training)
    device = training.choose_device(how.device)
    return {
        "category": category,
        "model": model,
        "settings": dict(own),
        "split": params.load("split", params.Split).model_dump(),
        "data_hash": data_hash,
        "seed": params.value("seed"),
        "device": device,
        "precision": training.choose_precision(how.precision, device),
    }
