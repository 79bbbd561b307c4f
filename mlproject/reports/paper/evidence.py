"""Evidence of the report: results read from the files of earlier stages. Missing results stay missing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mlproject.core import artifacts, files
from mlproject.core.tables import read_table
from mlproject.reports.paper.published import RESULTS

Pair = tuple[str, str]


@dataclass(frozen=True)
class Study:
    """One study of one category: its summary, and its table with one row per measurement."""

    summary: dict[str, Any]
    table: pd.DataFrame


@dataclass(frozen=True)
class Evidence:
    """Results by (category, name); a missing pair was not made.

    Attributes:
        source: data.source of params.yaml.
        categories, detectors, generators: as listed in params.yaml.
        rows: (category, model) → row of comparison.json.
        trainings: (category, model) → training.json.
        qualities: (category, generator) → quality.json.
        studies: (category, study) → its outcome.
        tunings: (category, model) → tuning.json.
        pictures: paths relative to reports/, posix.
    """

    source: str
    categories: Sequence[str]
    detectors: Sequence[str]
    generators: Sequence[str]
    rows: Mapping[Pair, Mapping[str, Any]]
    trainings: Mapping[Pair, Mapping[str, Any]]
    qualities: Mapping[Pair, Mapping[str, Any]]
    studies: Mapping[Pair, Study]
    tunings: Mapping[Pair, Mapping[str, Any]]
    pictures: frozenset[str]

    def table_categories(self) -> list[str]:
        """Return the paper's categories in its order, then the other categories here."""
        return [*RESULTS, *(name for name in self.categories if name not in RESULTS)]

    def missing(self) -> list[str]:
        """Return the paper's categories without images here."""
        return [name for name in RESULTS if name not in self.categories]

    def picture(self, category: str, name: str, figure: str) -> str | None:
        """Return the path of one of a model's or a generator's figures, None if it was not drawn."""
        path = f"categories/{category}/{name}/{figure}.png"
        return path if path in self.pictures else None


def read(
    source: str, categories: list[str], detectors: list[str], generators: list[str], studies: list[str]
) -> Evidence:
    """Read the results of everything that params.yaml lists; files left by anything else are ignored.

    Raises:
        UserError: the result of an earlier stage is missing; the message names the command that makes it.
    """
    pairs = [(category, model) for category in categories for model in detectors]
    made = [(category, name) for category in categories for name in generators]
    rows = {
        (row["category"], row["model"]): row for row in files.read_json(artifacts.REPORTS / "comparison.json")
    }
    return Evidence(
        source,
        categories,
        detectors,
        generators,
        rows={pair: rows[pair] for pair in pairs if pair in rows},
        trainings={pair: files.read_json(artifacts.training_report(*pair)) for pair in pairs},
        qualities={pair: files.read_json(artifacts.report_folder(*pair) / "quality.json") for pair in made},
        studies=dict(_studies(categories, studies)),
        tunings=dict(_tunings(pairs)),
        pictures=frozenset(
            path.relative_to(artifacts.REPORTS).as_posix()
            for path in sorted(artifacts.REPORTS.rglob("*.png"))
            if path.is_relative_to(artifacts.REPORTS / "categories") or path.name == "comparison.png"
        ),
    )


def _studies(categories: list[str], studies: list[str]) -> Iterator[tuple[Pair, Study]]:
    for category in categories:
        for name in studies:
            folder = artifacts.study_report_folder(category, name)
            table = read_table(folder / "table.csv")
            yield (category, name), Study(files.read_json(folder / "summary.json"), table)


def _tunings(pairs: list[Pair]) -> Iterator[tuple[Pair, Any]]:
    for pair in pairs:
        path = artifacts.report_folder(*pair) / "tuning.json"
        if path.exists():
            yield pair, files.read_json(path)
