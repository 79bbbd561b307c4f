"""Search space of a tuning: ranges and choices by dotted key. Independent of who draws from them.

A model's `search_space` names keys of its own section of params.yaml ("map.smoothing"), and RATE. A section
whose `kind` is null is absent: its other keys are then not asked for. A choice of one is set, not asked.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Value = str | int | float | bool | None
RATE = "threshold.false_alarm_rate"  # of the section threshold, not of the model's own


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included.

    Attributes:
        log: drawn evenly in orders of magnitude.
        integer: whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def holds(self, value: Any) -> bool:
        """Say whether a value lies in the range."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high and (not self.integer or value == int(value))


@dataclass(frozen=True)
class Choice:
    """One of some values; null stands for an absent section."""

    options: tuple[Value, ...]

    def holds(self, value: Any) -> bool:
        """Say whether a value is one of them."""
        return value in self.options


Space = Mapping[str, Range | Choice]
Ask = Callable[[str, Range | Choice], Value]

THRESHOLD: Space = {RATE: Range(0.02, 0.2)}


def supported(space: Space, smallest_rate: float) -> Space:
    """Return the space without false-alarm rates that the calibration images cannot support."""
    rates = space.get(RATE)
    if not isinstance(rates, Range) or rates.low >= smallest_rate:
        return space
    above = Range(smallest_rate, rates.high) if smallest_rate < rates.high else Choice((rates.high,))
    return {**space, RATE: above}


def draw(space: Space, settings: Mapping[str, Any], ask: Ask) -> dict[str, Value]:
    """Return a value for every key that applies, in the space's order.

    Args:
        settings: the model's section; says whether a section that the space does not choose is there.
        ask: called with key and domain for whatever has more than one possibility.
    """
    values: dict[str, Value] = {}
    for key, domain in space.items():
        if not _applies(key, values, settings):
            continue
        fixed = isinstance(domain, Choice) and len(domain.options) == 1
        values[key] = domain.options[0] if fixed and isinstance(domain, Choice) else ask(key, domain)
    return values


def _applies(key: str, values: Mapping[str, Value], settings: Mapping[str, Any]) -> bool:
    section, _, name = key.rpartition(".")
    if key == RATE or not section or name == "kind":
        return True
    kind = f"{section}.kind"
    return values[kind] is not None if kind in values else settings.get(section) is not None


def apply(settings: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """Return a model's section with the values at their dotted keys; RATE is left to `rate`."""
    changed = copy.deepcopy(dict(settings))
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        if key == RATE:
            continue
        if not section:
            changed[name] = value
        elif name == "kind" and value is None:
            changed[section] = None
        else:
            changed[section] = {**(changed[section] or {}), name: value}
    return changed


def rate(values: Mapping[str, Value], default: float) -> float:
    """Return the false-alarm rate among the values, else the default."""
    found = values.get(RATE, default)
    return float(found) if isinstance(found, int | float) else default


def current(space: Space, settings: Mapping[str, Any], false_alarm_rate: float) -> dict[str, Value] | None:
    """Return the values that `settings` has at the space's keys; None where one lies outside the space."""
    outside: list[str] = []

    def look_up(key: str, domain: Range | Choice) -> Value:
        section, _, name = key.rpartition(".")
        held = settings[section] if section and key != RATE else settings
        value = false_alarm_rate if key == RATE else (held or {}).get(name)
        if not domain.holds(value):
            outside.append(key)
        return value

    found = draw(space, settings, look_up)
    fixed = {key: value for key, value in found.items() if not _is_asked(space[key])}
    differs = apply(settings, fixed) != dict(settings) if fixed else False
    return None if outside or differs else {key: found[key] for key in found if _is_asked(space[key])}


def _is_asked(domain: Range | Choice) -> bool:
    return isinstance(domain, Range) or len(domain.options) > 1
