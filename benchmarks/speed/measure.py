"""Alternating measurement of several ways to do one thing, each in a process of its own."""

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from benchmarks.speed import machine, worker
from benchmarks.speed.machine import ROOT

PEERS = ROOT / ".peers"
NOT_MEASURED = "not measured"
NO_PEERS = "not measured: `make bench-peers` first"
PEAK = "MiB"  # unit of a row that compares memory


@dataclass(frozen=True)
class Side:
    """One way to do what a group measures.

    Attributes:
        name: as the table shows it.
        make: ``module:function`` in this package; it is called with `options` and returns `worker.Measured`.
        options: what JSON can hold.
        peers: whether it needs the packages of .peers.
        environment: set for its process.
    """

    name: str
    make: str
    options: Mapping[str, Any] = field(default_factory=dict)
    peers: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One line of the table: two sides of a group, and the goal for ours / against.

    Attributes:
        ours, against: keys of the group's sides.
        at_least, at_most: the goal for the ratio; both None where there is none.
        unit: of what is compared; `PEAK` compares the most memory that each side's process has held.
    """

    what: str
    ours: str
    against: str
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def goal(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    def met(self, ratio: float) -> bool:
        """Say whether a ratio reaches the goal, as it is printed."""
        shown = float(f"{ratio:.3g}")
        least = -math.inf if self.at_least is None else self.at_least
        return least <= shown <= (math.inf if self.at_most is None else self.at_most)


@dataclass(frozen=True)
class Group:
    """Sides that are measured in turn, in one run, and the rows that compare them."""

    name: str
    sides: Mapping[str, Side]
    rows: tuple[Row, ...]
    rounds: int = 5
    note: str = ""


@dataclass(frozen=True)
class Result:
    """What a group gave.

    Attributes:
        values: side → one value a round.
        peaks: side → the most memory that its process has held, MiB.
        facts: side → what it says of its work, such as the loss that a training reached.
        missing: side → why it was not measured.
        measured: when and at which commit; empty if not.
        others: cores that other processes took meanwhile.
        machine: that it was measured on.
    """

    group: Group
    values: dict[str, list[float]]
    peaks: dict[str, float]
    facts: dict[str, str]
    missing: dict[str, str]
    measured: str = ""
    others: float = 0.0
    machine: str = ""

    def of(self, row: Row) -> tuple[list[float], list[float]] | str:
        """Return each round's values of both sides of a row, or why there are none."""
        for key in (row.ours, row.against):
            if key in self.missing:
                return self.missing[key]
            if key not in self.values:  # added to the group since
                return NOT_MEASURED
        if row.unit == PEAK:
            return [self.peaks[row.ours]], [self.peaks[row.against]]
        return self.values[row.ours], self.values[row.against]


def ratios(ours: Sequence[float], against: Sequence[float]) -> tuple[float, float, float]:
    """Return median, minimum and maximum of the rounds' ratios."""
    each = [a / b for a, b in zip(ours, against, strict=True)]
    return statistics.median(each), min(each), max(each)


class Process(Protocol):
    """A side that is being measured: `worker.Here`, or `Worker` in a process of its own."""

    def once(self) -> float: ...
    def end(self) -> tuple[float, str]: ...


def run(group: Group, scratch: Path, in_process: bool = False) -> Result:
    """Measure a group's sides in turn, in the other order every second round.

    Args:
        scratch: an empty folder for what the sides make.
        in_process: without processes of their own, which tests have no time for.
    """
    result, load, commit = Result(group, {}, {}, {}, {}), machine.OtherLoad(), machine.commit()
    with ExitStack() as stack:
        running: dict[str, Process] = {}
        for key, side in group.sides.items():
            if side.peers and not (PEERS / "installed").exists():
                result.missing[key] = NO_PEERS
                continue
            try:
                running[key] = _start(side, scratch, in_process, stack)
            except Failed as error:
                result.missing[key] = str(error)
        for number in range(group.rounds):
            for key in list(running)[:: -1 if number % 2 else 1]:
                try:
                    result.values.setdefault(key, []).append(running[key].once())
                except Failed as error:
                    result.missing[key] = str(error)
                    del running[key]
        for key, process in running.items():
            result.peaks[key], result.facts[key] = process.end()
    when = f"{machine.today()}, commit {commit}"
    return replace(result, measured=when, others=load.cores(), machine=machine.described())


def _start(side: Side, scratch: Path, in_process: bool, stack: ExitStack) -> Process:
    options = {**side.options, "scratch": str(scratch)}
    if in_process:
        return worker.Here(side.make, options)
    return stack.enter_context(Worker(side, options))


class Failed(Exception):
    """A side could not be measured; the text says why."""


class Worker:
    """A side in a process of its own: `worker.main` there, this here."""

    def __init__(self, side: Side, options: Mapping[str, Any]) -> None:
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        python = PEERS / "bin/python" if side.peers else Path(sys.executable)
        # all cores, whatever was set for the shell; quiet TensorFlow
        left_out = {"OMP_NUM_THREADS", "MKL_NUM_THREADS"}
        environment = {name: value for name, value in os.environ.items() if name not in left_out}
        environment |= {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "NO_ALBUMENTATIONS_UPDATE": "1"}
        environment |= side.environment
        self._process = subprocess.Popen(  # noqa: S603
            [python, "-m", "benchmarks.speed.worker"], cwd=ROOT, env=environment, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip
        try:
            self._ask(make=side.make, options=dict(options))
        except Failed:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def once(self) -> float:
        return float(self._ask(do="once")["value"])

    def end(self) -> tuple[float, str]:
        answer = self._ask(do="end")
        return answer["peak"], answer["facts"]

    def _ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        with suppress(BrokenPipeError):  # it has ended: no answer
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines() or ["no message"]
            raise Failed(f"failed: {said[-1]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            assert stream
            with suppress(BrokenPipeError):
                stream.close()
