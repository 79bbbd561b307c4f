"""The contract that every study keeps: cells that can be worked on one by one, and what they say together."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from mlproject.core import params
from mlproject.studies.components import seed_intervals
from mlproject.studies.components.inputs import Material
from mlproject.training.loop import Epoch

MIN_SEEDS = 3
# title of a training → context that gives what is called after each of its epochs
Shown = Callable[[str], AbstractContextManager[Callable[[Epoch], None]]]


@contextmanager
def silently(title: str) -> Iterator[Callable[[Epoch], None]]:
    """Show nothing of a training."""
    yield lambda epoch: None


@dataclass(frozen=True)
class Cell:
    """One training, or one scoring, of a study: what can be repeated by itself.

    Attributes:
        arm: what is compared, such as ``cnn``.
        level: how much of what is varied.
        seed: of the training, or of what is drawn.
        series: which variation, where a study has several.
        facts: what decides its scores, besides the category's images and split: JSON values.
    """

    arm: str
    level: float
    seed: int
    series: str
    facts: Mapping[str, Any] = field(hash=False, compare=False)

    def __str__(self) -> str:
        return f"{self.arm}, {self.series} {self.level:g}, seed {self.seed}"


@dataclass(frozen=True)
class Line:
    """A row of points in a chart. Absent values are NaN.

    Attributes:
        ticks: which of the chart's ticks each point stands at.
        values, lows, highs: the points and their intervals.
    """

    name: str
    ticks: Sequence[int]
    values: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]


@dataclass(frozen=True)
class Band:
    """A value that does not depend on what is varied, across the whole chart."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Chart:
    """What is drawn of a study, in words and numbers; `figures/study_charts.py` draws it.

    Attributes:
        ticks: what the places along x are called.
        reference: what knows nothing reaches this, and what it is called; None for none.
        joined: the places along x are steps of one quantity, so points are joined.
    """

    title: str
    x_label: str
    y_label: str
    ticks: Sequence[str]
    lines: Sequence[Line]
    bands: Sequence[Band] = ()
    reference: tuple[str, float] | None = ("chance", 0.5)
    joined: bool = True


@dataclass(frozen=True)
class Result:
    """What a study says.

    Attributes:
        rows: of the table, as `tables.row` gives them.
        comparisons: differences, as `tables.comparison` gives them.
        statements: the answer in sentences.
        notes: what was left out, and what to beware of.
        charts: rows of charts.
        gap: why the study could not be made; None if it could.
        facts: what one study alone has to say, for summary.json.
    """

    rows: Sequence[dict[str, Any]] = ()
    comparisons: Sequence[dict[str, Any]] = ()
    statements: Sequence[str] = ()
    notes: Sequence[str] = ()
    charts: Sequence[Sequence[Chart]] = ()
    gap: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class Study(ABC):
    """One question about one category.

    Attributes:
        title: the question.
        interval: what its intervals hold, and what they do not.
        trains: its cells train, on the device that params.yaml has; else they only score, on the CPU.
        settings: the study's section of params.yaml.
        material: the category's images and what was trained on them.
    """

    Parameters: ClassVar[type[params.Section]]
    title: ClassVar[str]
    interval: ClassVar[str] = seed_intervals.WORDS
    trains: ClassVar[bool] = True

    def __init__(self, settings: Any, material: Material) -> None:
        self.settings = settings
        self.material = material

    @property
    def code(self) -> tuple[str, ...]:
        """Modules that decide the cells' scores, besides the models' own: a change reworks the cells."""
        return (type(self).__module__,)

    @abstractmethod
    def gap(self) -> str | None:
        """Return why the study cannot be made with what params.yaml lists; None if it can."""

    def prepare(self, folder: Path, shown: Shown = silently) -> None:  # noqa: B027  most share nothing
        """Do what cells share, before the first of them; `folder` keeps it. Nothing by default."""

    @abstractmethod
    def cells(self) -> list[Cell]:
        """Return every cell, in the order in which they are worked on. Called after `prepare`."""

    @abstractmethod
    def run(self, cell: Cell) -> pd.DataFrame:
        """Return one row an image: path, subset, defect, label, score.

        Subset calibration: good images for the threshold; any other: what is judged.
        """

    @abstractmethod
    def result(self, scored: Mapping[Cell, pd.DataFrame]) -> Result:
        """Return what the cells say. Pure: reads no image and trains nothing."""
