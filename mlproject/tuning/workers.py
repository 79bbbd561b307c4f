"""Worker processes of one tuning, and their reaction to Ctrl-C.

The first Ctrl-C lets each process end after its current epoch; the second ends the command at once, and
the next call of `mlproject tune` replaces the trials that it cut off.
"""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from types import FrameType
from typing import Any

import optuna

from mlproject.core import process_start
from mlproject.core.errors import UserError
from mlproject.tuning import data, search, storage
from mlproject.tuning.asked_trial import Record
from mlproject.tuning.plan import Plan

POLL = 0.5  # seconds between two looks at what the others have finished
Ended = Callable[[dict[str, Any]], None]


@contextmanager
def stoppable(said: str) -> Iterator[Event]:
    """Yield an event that the first Ctrl-C sets; the second raises KeyboardInterrupt as usual.

    Args:
        said: printed at the first.
    """
    event = process_start.context(__name__).Event()
    before = signal.getsignal(signal.SIGINT)

    def on_signal(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print(said, flush=True)

    signal.signal(signal.SIGINT, on_signal)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def run(
    plan: Plan,
    images: data.TuningData,
    tuning: optuna.Study,
    stop: Event,
    record: Record,
    ended: Ended,
) -> None:
    """Work on a tuning with as many processes as planned, until it has its trials or is stopped.

    Several processes each open the tuning and its images themselves.

    Raises:
        UserError: as `search.work`; or a process died.
    """
    if plan.workers > 1:
        _run_processes(plan, stop, record, ended)
        return
    search.work(plan, images, tuning, record, stop.is_set, ended)


def _run_processes(plan: Plan, stop: Event, record: Record, ended: Ended) -> None:
    seen = set(trial_files(plan.folder))
    started = _start(plan, stop, record)
    try:
        while any(process.is_alive() for process in started):
            for process in started:
                process.join(POLL / len(started))
            for file in sorted(set(trial_files(plan.folder)) - seen):
                seen.add(file)
                ended(json.loads(file.read_text(encoding="utf-8")))
    finally:
        for process in started:
            process.terminate()
            process.join()
    for file in sorted(set(trial_files(plan.folder)) - seen):
        ended(json.loads(file.read_text(encoding="utf-8")))
    codes = [process.exitcode for process in started if process.exitcode]
    if codes:
        raise UserError(
            f"{len(codes)} of {len(started)} processes ended with code {codes[0]}: see what they said "
            "above. The same command goes on with the trials that there are."
        )


def _start(plan: Plan, stop: Event, record: Record) -> list[BaseProcess]:
    context = process_start.context(__name__)
    started = [
        context.Process(target=_work, args=(plan, stop, record), daemon=True)  # type: ignore[attr-defined]
        for _ in range(plan.workers)
    ]
    with process_start.without_interrupts():  # they watch `stop`
        for process in started:
            process.start()
    return started


def _work(plan: Plan, stop: Event, record: Record) -> None:
    """Run trials in one of the processes."""
    command = parent_process()

    def stopped() -> bool:
        return stop.is_set() or command is None or not command.is_alive()  # also when it was killed

    try:
        tuning = storage.open_tuning(plan)
        search.work(plan, data.prepare(plan), tuning, record, stopped, lambda content: None)
    except UserError as error:
        print(f"error: {error}", flush=True)
        raise SystemExit(error.exit_code) from None


def trial_files(folder: Path) -> list[Path]:
    """Return the trial.json of every trial that ended on this machine, in order."""
    return sorted((folder / "trials").glob("*/trial.json"))
