"""Study contract: cells that can run one by one, and the result computed from all of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from mlproject.core import params
from mlproject.studies.components import seed_intervals
from mlproject.studies.components.inputs import StudyInputs
from mlproject.training.loop import Epoch

MIN_SEEDS = 3
# title of a training → context whose value is called after each epoch
Shown = Callable[[str], AbstractContextManager[Callable[[Epoch], None]]]


@contextmanager
def silently(title: str) -> Iterator[Callable[[Epoch], None]]:
    """Show no progress of a training."""
    yield lambda epoch: None


@dataclass(frozen=True)
class Cell:
    """One training or one scoring of a study, which can be repeated on its own.

    Attributes:
        arm: the thing compared, such as ``cnn``.
        level: value of the varied quantity.
        seed: of the training, or of the random draw.
        series: name of the variation, where a study has several.
        facts: everything but the category's images and split that determines its scores: JSON values.
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
    """A row of points in a chart. Missing values are NaN.

    Attributes:
        ticks: index of each point's tick.
        values, lows, highs: the points and their intervals.
    """

    name: str
    ticks: Sequence[int]
    values: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]


@dataclass(frozen=True)
class Band:
    """A value that does not depend on the varied quantity, drawn across the whole chart."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Chart:
    """Content of one chart of a study; `figures/study_charts.py` draws it.

    Attributes:
        ticks: labels along x.
        reference: name and value of a trivial baseline; None for none.
        joined: x is a scale of one quantity, so points are joined by lines.
        shaded: intervals are one band along the line, not a stroke at each point.
    """

    title: str
    x_label: str
    y_label: str
    ticks: Sequence[str]
    lines: Sequence[Line]
    bands: Sequence[Band] = ()
    reference: tuple[str, float] | None = ("chance", 0.5)
    joined: bool = True
    shaded: bool = False


@dataclass(frozen=True)
class Result:
    """Outcome of a study.

    Attributes:
        rows: of the table, from `tables.row`.
        comparisons: differences, from `tables.comparison`.
        statements: the answer in sentences.
        notes: omissions and caveats.
        charts: rows of charts.
        gap: why the study could not run; None if it could.
        facts: additional entries of summary.json that only this study has.
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
        interval: what its intervals cover, and what they do not.
        trains: its cells train, on the device set in params.yaml; otherwise they only score, on the CPU.
        settings: the study's section of params.yaml.
        inputs: the category's images and the models trained on them.
    """

    Parameters: ClassVar[type[params.Section]]
    title: ClassVar[str]
    interval: ClassVar[str] = seed_intervals.WORDS
    trains: ClassVar[bool] = True

    def __init__(self, settings: Any, inputs: StudyInputs) -> None:
        self.settings = settings
        self.inputs = inputs

    @classmethod
    def trained_with(cls, settings: Any, detectors: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the models that it trains itself → what it changes of their settings; none by default.

        It is asked before anything is trained, so that a value that a model refuses is named then.

        Args:
            settings: of the study.
            detectors: those listed in params.yaml.
        """
        return {}

    @property
    def code(self) -> tuple[str, ...]:
        """Modules, other than the models', that determine the cells' scores; a change reruns the cells."""
        return (type(self).__module__,)

    @abstractmethod
    def gap(self) -> str | None:
        """Return why the study cannot run with what params.yaml lists; None if it can."""

    def prepare(self, folder: Path, shown: Shown = silently) -> None:  # noqa: B027  most share nothing
        """Make what the cells share, in `folder`, before the first cell. Does nothing by default."""

    @abstractmethod
    def cells(self) -> list[Cell]:
        """Return all cells in the order in which they run. Called after `prepare`."""

    @abstractmethod
    def run(self, cell: Cell) -> pd.DataFrame:
        """Return one row per image: path, subset, defect, label, score.

        Subset calibration: good images for the threshold; any other: the images to evaluate.
        """

    @abstractmethod
    def result(self, scored: Mapping[Cell, pd.DataFrame]) -> Result:
        """Return the outcome from all cells' scores. Reads no image and trains nothing."""
