"""Runner of a study's cells, in any order, on any number of processes; each result is kept once finished.

cells/<key>.csv    the scores: path, subset, defect, label, score
cells/<key>.json   the cell, its facts, seconds, end; written last: a cell without it is not finished

The key depends on everything that determines the scores, so a killed study resumes where it was, and a
change reruns only the cells that it affects.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mlproject import studies
from mlproject.core import artifacts, files, params
from mlproject.core.tables import read_table, write_table
from mlproject.engines import processes
from mlproject.models.components import threads
from mlproject.studies.components.base import Cell, Study
from mlproject.studies.components.inputs import StudyInputs
from mlproject.training import code_hash
from mlproject.training.identity import run_key

OnCell = Callable[[int, int, Cell, float], None]  # (done, of all, cell, seconds)
# (work, items, start, arguments of start, whether on a GPU) → each item with its result.
# Given, not imported: what this module imports is in the keys of studies that use it.
Share = Callable[
    [Callable[..., Any], Sequence[str], Callable[..., None], Sequence[object], bool], Iterator[Any]
]


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
    study: Study,
    cells: Sequence[Cell],
    folder: Path,
    workers: int,
    on_cell: OnCell,
    share: Share | None = None,
) -> dict[Cell, pd.DataFrame]:
    """Return every cell's scores; cells that `folder` already has are not run again.

    Other cells are deleted at the end, so that the folder holds exactly what the result is made of.

    Args:
        workers: number of processes; 1 runs in this one. The scores are the same.
        on_cell: called after each cell.
        share: runs the missing cells elsewhere; None: processes of this machine.

    Raises:
        UserError: as the study, `share` and `processes.completed`.
    """
    keys = {cell: key(cell.facts, study.inputs, study.code) for cell in cells}
    missing = list(dict.fromkeys(keys[cell] for cell in cells if not _finished(folder, keys[cell])))
    by_key = {keys[cell]: cell for cell in reversed(cells)}
    done = len(set(keys.values())) - len(missing)
    for finished, (table, seconds) in _work_on(study, missing, by_key, workers, share):
        _keep(folder, finished, by_key[finished], table, seconds)
        done += 1
        on_cell(done, len(set(keys.values())), by_key[finished], seconds)
    for file in folder.glob("*.*"):
        if file.name.split(".")[0] not in set(keys.values()):
            file.unlink()
    return {cell: read_table(folder / f"{keys[cell]}.csv") for cell in cells}


def seconds(folder: Path) -> float:
    """Return the total time of the kept cells."""
    return float(sum(files.read_json(path)["seconds"] for path in folder.glob("*.json")))


def ended(folder: Path) -> float | None:
    """Return when the last of the kept cells ended, seconds since 1970; None if none says so."""
    known = (files.read_json(path).get("ended") for path in folder.glob("*.json"))
    return max((when for when in known if when is not None), default=None)


def count_processes(study: Study, missing: int, workers: int) -> int:
    """Return the number of processes that run `missing` cells.

    Processes do not share a GPU, whose memory may not hold several; a loaded detector scores on the CPU.
    """
    return 1 if _on_gpu(study) else max(1, min(workers, missing))


def _on_gpu(study: Study) -> bool:
    return study.trains and study.inputs.device == "cuda"


def _finished(folder: Path, name: str) -> bool:
    return (folder / f"{name}.json").is_file() and (folder / f"{name}.csv").is_file()


def _work_on(
    study: Study,
    missing: Sequence[str],
    cells: Mapping[str, Cell],
    workers: int,
    share: Share | None,
) -> Iterator[tuple[str, tuple[pd.DataFrame, float]]]:
    """Yield each cell's key, scores and seconds as it is finished."""
    category, name = study.inputs.category, type(study).__module__.rsplit(".", 1)[-1]
    at_once = count_processes(study, len(missing), workers)
    if share and missing:
        yield from share(_work_by_key, missing, _open, (category, name), _on_gpu(study))
    elif at_once == 1:
        yield from ((one, _work(study, cells[one])) for one in missing)
    else:
        yield from processes.completed(_work_by_key, missing, at_once, _open, (category, name))


def _work(study: Study, cell: Cell) -> tuple[pd.DataFrame, float]:
    started = time.perf_counter()
    with threads.one_thread():
        table = study.run(cell)
    return table, round(time.perf_counter() - started, 3)


def _keep(folder: Path, name: str, cell: Cell, table: pd.DataFrame, took: float) -> None:
    about = {"arm": cell.arm, "series": cell.series, "level": cell.level, "seed": cell.seed}
    write_table(folder / f"{name}.csv", table)
    times = {"seconds": took, "ended": round(time.time(), 3)}
    files.write_json(folder / f"{name}.json", about | {"facts": dict(cell.facts)} | times)


_worker: dict[str, Any] = {}


def _open(category: str, name: str) -> None:
    study = opened(category, name)
    study.prepare(artifacts.study_folder(category, name))
    _worker["study"] = study
    _worker["cells"] = {key(cell.facts, study.inputs, study.code): cell for cell in study.cells()}


def _work_by_key(name: str) -> tuple[pd.DataFrame, float]:
    return _work(_worker["study"], _worker["cells"][name])
