"""The name of a training: equal facts, equal key."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FACTS = ("category", "model", "settings", "split", "data_hash", "seed", "device", "precision")


def run_key(facts: Mapping[str, Any]) -> str:
    """Return 16 hex digits that depend on all that decides a training's result.

    Args:
        facts: at least FACTS, as in artifacts/<category>/<model>/training/run.json.
    """
    decisive = {name: facts[name] for name in FACTS}
    text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
