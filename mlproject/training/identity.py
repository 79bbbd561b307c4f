"""The identity of a training: the facts that decide its result, and the one key made of them.

A study's cells and tuning's trials have the same key; each adds what it varies.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mlproject.core import params
from mlproject.data.prepared import Prepared
from mlproject.training import code_hash

FACTS = ("category", "model", "settings", "split", "data_hash", "seed", "device", "precision", "processes")
DECISIVE = (*FACTS, "pixels_hash", "copies", "code", "versions", "threads")
COMPUTING = ("torch", "numpy")  # libraries whose other versions may give other digits


def run_key(facts: Mapping[str, Any], varied: Mapping[str, Any] | None = None) -> str:
    """Return 16 hex digits: equal for trainings that must have the same result, and for no others.

    Args:
        facts: DECISIVE, as `run_facts` returns them and run.json holds them. What a run.json of an earlier
            release lacks counts as unknown, so its key is that of no new training.
        varied: what else decides the result, JSON values: a study's cell or a tuning's plan.
    """
    decisive = {name: facts.get(name) for name in DECISIVE}
    decisive["versions"] = {name: (facts.get("versions") or {}).get(name) for name in COMPUTING}
    if facts["device"] != "cpu":
        del decisive["threads"]  # of the CPU, whose sums depend on how they are divided
    if facts.get("processes", 1) == 1:
        del decisive["processes"]  # releases before knew no other number
    text = json.dumps([decisive, varied], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_facts(
    data: Prepared, model: str, own: Mapping[str, Any], *modules: str, processes: int = 1
) -> dict[str, Any]:
    """Return the facts that decide a training, with the device and precision that `auto` stands for here.

    Args:
        model: a detector's or a generator's name.
        own: the settings of `model`.
        modules: dotted names of the code that computes; what they import counts too.
        processes: that the training is shared out to.

    Raises:
        UserError: there are not so many GPUs.
    """
    return conditions(data, processes=processes) | {
        "model": model,
        "settings": dict(own),
        "code": code_hash.code_hash(*modules),
    }


def conditions(data: Prepared, threads: int | None = None, processes: int = 1) -> dict[str, Any]:
    """Return the facts that all trainings on a category share: images, split, seed, machine, libraries.

    Args:
        threads: that torch computes on; None: as many as now.
        processes: as `run_facts`.
    """
    import torch  # takes seconds; who only reads facts, as stage register does, needs none

    from mlproject.training import data_parallel, loop

    how = params.load("training", params.Training)
    device = loop.choose_device(how.device)
    return {
        "category": data.category,
        "split": params.load("split", params.Split).model_dump(),
        "data_hash": data.data_hash,
        "pixels_hash": data.pixels_hash,
        "copies": data.copies,  # which have one role
        "seed": params.seed(),
        "device": device,
        "precision": loop.choose_precision(how.precision, device),
        "processes": data_parallel.checked_processes(processes, device),
        "threads": threads or torch.get_num_threads(),
        "versions": loop.versions(),
    }
