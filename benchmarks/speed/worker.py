"""The process of one side: makes it, then measures it each time it is asked."""

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Measured:
    """What a side's `make` function returns.

    Attributes:
        once: measures once and returns the value, in the unit of the rows that compare it.
        facts: what there is to say of the work in the end.
    """

    once: Callable[[], float]
    facts: Callable[[], str] = lambda: ""


def make(name: str, options: Mapping[str, Any]) -> Measured:
    """Call ``module:function`` of this package."""
    module, _, function = name.partition(":")
    made: Measured = getattr(importlib.import_module(f"benchmarks.speed.{module}"), function)(**options)
    return made


class Here:
    """A side that is measured in this process."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self._measured = make(name, options)

    def once(self) -> float:
        return self._measured.once()

    def end(self) -> tuple[float, str]:
        return peak(), self._measured.facts()


def peak() -> float:
    """Return the most memory that this process has held, MiB; not a number where it is not Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    lines = status.read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> None:
    """Answer the questions on standard input; what the side prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    side: Here | None = None
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any] = {}
        if side is None:
            side = Here(question["make"], question["options"])
        elif question["do"] == "once":
            answer["value"] = side.once()
        else:
            answer["peak"], answer["facts"] = side.end()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
