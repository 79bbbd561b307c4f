"""Runner of a study's cells, in any order and number of processes; each result is kept once finished.

cells/<key>.csv    the scores: path, subset, defect, label, score
cells/<key>.json   the cell, its facts, seconds; written last: a cell without it is not finished

The key depends on everything that determines the scores, so a killed study resumes where it was, and a
change reruns only the cells that it affects.
"""

import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mlproject import studies
from mlproject.core import artifacts, files, params
from mlproject.core.errors import UserError
from mlproject.studies.components import fitting
from mlproject.studies.components.base import Cell, Study
from mlproject.studies.components.inputs import StudyInputs
from mlproject.studies.components.processes import completed
from mlproject.training import code_hash
from mlproject.training.identity import run_key

OnCell = Callable[[int, int, Cell, float], None]  # (done, of all, cell, seconds)


def key(facts: Mapping[str, Any], inputs: StudyInputs, modules: Sequence[str]) -> str:
    """Return the `identity.run_key` of a cell, or of a training that cells share.

    Args:
        facts: JSON values that vary; `model` names the detector whose code is included.
        modules: others whose code is included, with everything that they import.
    """
    model = f"mlproject.models.{facts['model']}"
    code = code_hash.code_hash(model, "mlproject.studies.components.fitting", *modules)
    return run_key(inputs.conditions | {"code": code}, facts)


def opened(category: str, name: str) -> Study:
    """Return the study with its settings from params.yaml."""
    where = f"{params.FILE}: studies.{name}"
    return studies.create(name, params.value(f"studies.{name}"), StudyInputs.load(category), where)


def run_all(
    study: Study, cells: Sequence[Cell], folder: Path, workers: int, on_cell: OnCell
) -> dict[Cell, pd.DataFrame]:
    """Return every cell's scores; cells that `folder` already has are not run again.

    Other cells are deleted at the end, so that the folder holds exactly what the result is made of.

    Args:
        workers: number of processes; 1 runs in this one. The scores are the same.
        on_cell: called after each cell.
    """
    keys = {cell: key(cell.facts, study.inputs, study.code) for cell in cells}
    missing = list(dict.fromkeys(keys[cell] for cell in cells if not _finished(folder, keys[cell])))
    by_key = {keys[cell]: cell for cell in reversed(cells)}
    done = len(set(keys.values())) - len(missing)
    for finished, seconds in _work_on(study, missing, by_key, folder, workers):
        done += 1
        on_cell(done, len(set(keys.values())), by_key[finished], seconds)
    for file in folder.glob("*.*"):
        if file.name.split(".")[0] not in set(keys.values()):
            file.unlink()
    return {cell: files.read_table(folder / f"{keys[cell]}.csv") for cell in cells}


def seconds(folder: Path) -> float:
    """Return the total time of the kept cells."""
    return float(sum(files.read_json(path)["seconds"] for path in folder.glob("*.json")))


def count_workers(wanted: Any) -> int:
    """Return the number of processes for a number or ``auto``: one per usable core.

    Raises:
        UserError: it is neither.
    """
    if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted >= 1:
        return wanted
    if wanted != "auto":
        raise UserError(f"{params.FILE}: study_workers is {wanted!r}. Allowed: auto, or a number from 1 on")
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes(study: Study, missing: int, workers: int) -> int:
    """Return the number of processes that run `missing` cells.

    Processes do not share a GPU, whose memory may not hold several; a loaded detector scores on the CPU.
    """
    on_gpu = study.trains and study.inputs.device == "cuda"
    return 1 if on_gpu else max(1, min(workers, missing))


def _finished(folder: Path, name: str) -> bool:
    return (folder / f"{name}.json").is_file() and (folder / f"{name}.csv").is_file()


def _work_on(
    study: Study, missing: Sequence[str], cells: Mapping[str, Cell], folder: Path, workers: int
) -> Iterator[tuple[str, float]]:
    """Yield each cell's key and seconds as it is finished."""
    at_once = processes(study, len(missing), workers)
    if at_once == 1:
        for name in missing:
            yield name, _work(study, cells[name], name, folder)
        return
    study_name = type(study).__module__.rsplit(".", 1)[-1]
    work = functools.partial(_work_by_key, folder)
    yield from completed(work, missing, at_once, _open, (study.inputs.category, study_name))


def _work(study: Study, cell: Cell, name: str, folder: Path) -> float:
    started = time.perf_counter()
    with fitting.one_thread():
        table = study.run(cell)
    took = round(time.perf_counter() - started, 3)
    about = {"arm": cell.arm, "series": cell.series, "level": cell.level, "seed": cell.seed}
    files.write_table(folder / f"{name}.csv", table)
    files.write_json(folder / f"{name}.json", about | {"facts": dict(cell.facts), "seconds": took})
    return took


_worker: dict[str, Any] = {}


def _open(category: str, name: str) -> None:
    study = opened(category, name)
    study.prepare(artifacts.study_folder(category, name))
    _worker["study"] = study
    _worker["cells"] = {key(cell.facts, study.inputs, study.code): cell for cell in study.cells()}


def _work_by_key(folder: Path, name: str) -> float:
    return _work(_worker["study"], _worker["cells"][name], name, folder)
