"""Finished cells, kept in a folder each so that none is trained again: written whole or not at all."""

from pathlib import Path

from mlproject.benchmark.cell import Cell, Outcome
from mlproject.core import artifacts, files
from mlproject.core.tables import read_table, write_table

CELL, SCORES, PIXELS = "cell.json", "scores.csv", "pixels.npy"


def is_kept(cell: Cell) -> bool:
    """Say whether the cell was finished before."""
    return (artifacts.benchmark_cell_folder(cell.key) / CELL).is_file()


def write(cell: Cell, outcome: Outcome) -> None:
    """Keep the outcome of a cell."""
    with files.written_whole(artifacts.benchmark_cell_folder(cell.key)) as part:
        write_table(part / SCORES, outcome.scores)
        files.write_array(part / PIXELS, outcome.pixels)
        facts = {"facts": dict(cell.facts), "evaluate": dict(cell.evaluation)}
        files.write_json(part / CELL, facts | {"measured": outcome.measured})


def read(cell: Cell) -> Outcome:
    """Return the outcome of a cell that is kept.

    Raises:
        UserError: a file is missing or damaged.
    """
    folder: Path = artifacts.benchmark_cell_folder(cell.key)
    return Outcome(
        scores=read_table(folder / SCORES),
        pixels=files.read_array(folder / PIXELS),
        measured=files.read_json(folder / CELL, required=("measured",))["measured"],
    )
