"""The facts that decide the result of a training, and the key made of them: equal facts, equal key."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mlproject.core import params
from mlproject.training import loop

FACTS = ("category", "model", "settings", "split", "data_hash", "seed", "device", "precision")


def run_key(facts: Mapping[str, Any]) -> str:
    """Return 16 hex digits that depend on all that decides a training's result.

    Args:
        facts: at least FACTS, as in artifacts/<category>/<model>/training/run.json.
    """
    decisive = {name: facts[name] for name in FACTS}
    text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_facts(category: str, model: str, own: Mapping[str, Any], data_hash: str) -> dict[str, Any]:
    """Return all that decides the result, with the device and precision that `auto` stands for here.

    Args:
        model: a detector's or a generator's name.
        own: the settings of `model`.
        data_hash: of the prepared category.
    """
    how = params.load("training", params.Training)
    device = loop.choose_device(how.device)
    return {
        "category": category,
        "model": model,
        "settings": dict(own),
        "split": params.load("split", params.Split).model_dump(),
        "data_hash": data_hash,
        "seed": params.value("seed"),
        "device": device,
        "precision": loop.choose_precision(how.precision, device),
    }
