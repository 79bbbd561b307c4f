"""The axis of scores in figures: even around the threshold, compressed beyond, so that it shows all."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter

from mlproject.reports.figures.drawing import FittingTicks

Draw = Callable[..., Any]  # a method of axes
SHADE = "#F0F0F0"  # of what is compressed
EVEN = 2.0  # times as long as from the lowest score to the threshold, or to nearly all good images
LEAST_EVEN = 0.6  # share of the axis that is even
MARGIN = 0.025
BEYOND = 3  # ticks beyond the bend, at most


@dataclass(frozen=True)
class ScoreAxis:
    """A place on the axis for each score: 0 for `low`, 1 for `bend`; logarithmic from there to `high`.

    A defect at twenty times the threshold would otherwise squeeze everything else into the first bar.

    >>> axis = ScoreAxis.of(np.array([0.0, 0.5, 1.0]), np.array([0.9, 20.0, 100.0]), threshold=1.0)
    >>> axis.places(np.array([0.0, 1.0, 2.0, 100.0])).round(2).tolist()
    [0.0, 0.5, 1.0, 1.67]

    Attributes:
        bend: up to here equal steps of the score are equally long; `high`: everywhere.
    """

    low: float
    bend: float
    high: float

    @classmethod
    def of(cls, good: np.ndarray, defective: np.ndarray, threshold: float) -> "ScoreAxis":
        """Return the axis for scores of good and of defective images; either may be empty."""
        everything = np.concatenate([good, defective, [threshold]])
        low, high = float(everything.min()), float(everything.max())
        if not high > low:
            return cls(low - 0.5, low + 0.5, low + 0.5)
        # not the highest good image: a single one may lie far out
        usual = max(threshold, float(np.quantile(good, 0.95))) if len(good) else threshold
        bend = low + EVEN * (usual - low)
        return cls(low, bend if low < bend < low + (high - low) / 1.25 else high, high)

    @property
    def compressed(self) -> bool:
        """Whether a part of the axis is not even."""
        return self.bend < self.high

    @property
    def _stretch(self) -> float:
        """Length of a factor of e beyond the bend; 1 continues the even part without a kink."""
        far = math.log((self.high - self.low) / (self.bend - self.low))
        return min(1.0, (1 / LEAST_EVEN - 1) / far) if far > 0 else 1.0

    def places(self, scores: np.ndarray) -> np.ndarray:
        """Return where scores lie, 1 at the bend."""
        even = (np.asarray(scores, dtype=np.float64) - self.low) / (self.bend - self.low)
        if not self.compressed:
            return even
        return np.where(even <= 1, even, 1 + self._stretch * np.log(np.maximum(even, 1)))

    def scores(self, places: np.ndarray) -> np.ndarray:
        """Return the scores at places, the inverse of `places`."""
        even = np.asarray(places, dtype=np.float64)
        if self.compressed:
            even = np.where(even <= 1, even, np.exp((np.maximum(even, 1) - 1) / self._stretch))
        return self.low + even * (self.bend - self.low)

    def bin_edges(self, threshold: float, bins: int) -> np.ndarray:
        """Return edges of bars that look equally wide, over all scores; one of them is the threshold."""
        low, at, high = self.places(np.array([self.low, threshold, self.high]))
        width = (high - low) / bins
        first = -np.ceil((at - low) / width - 1e-9)
        steps = np.arange(first, first + bins + 2)
        edges = self.scores(at + width * steps)
        edges[steps == 0] = threshold  # exactly: an image there is called good
        return edges

    def along_x(self, axes: Axes) -> None:
        """Let the x axis be this one."""
        self._along(axes.xaxis, axes.set_xscale, axes.set_xlim, axes.axvspan)

    def along_y(self, axes: Axes) -> None:
        """Let the y axis be this one."""
        self._along(axes.yaxis, axes.set_yscale, axes.set_ylim, axes.axhspan)

    def _along(self, axis: Axis, scale: Draw, limit: Draw, shade: Draw) -> None:
        scale("function", functions=(self.places, self.scores))
        low, high = self._ends()
        limit(low, high)
        axis.set_major_locator(ScoreTicks(self))
        axis.set_major_formatter(FuncFormatter(_label))
        if self.compressed:
            shade(self.bend, high, color=SHADE, linewidth=0, zorder=-1)

    def _ends(self) -> list[float]:
        low, high = self.places(np.array([self.low, self.high]))
        margin = MARGIN * (high - low)
        return self.scores(np.array([low - margin, high + margin])).tolist()


class ScoreTicks(FittingTicks):
    """Round numbers up to the bend, and a few more beyond it."""

    def __init__(self, along: ScoreAxis) -> None:
        super().__init__()
        self.along = along

    def candidates(self, vmin: float, vmax: float) -> Iterator[np.ndarray]:
        along = self.along
        if not along.compressed:
            yield from super().candidates(vmin, vmax)
            return
        end = along.places(np.array([along.high]))[0]
        for even in super().candidates(vmin, along.bend):
            for count in range(BEYOND, 0, -1):
                values = along.scores(np.linspace(1, end, count + 1)).tolist()
                beyond = [_rounded_down(to, to - start) for start, to in itertools.pairwise(values)]
                yield np.array([*even[even <= along.bend], *(tick for tick in beyond if tick > along.bend)])


def _rounded_down(value: float, by_less_than: float) -> float:
    """Return the next lower multiple of 1, 2 or 5 times a power of ten that is no larger than the limit."""
    power = 10.0 ** math.floor(math.log10(by_less_than))
    step = power * max(digit for digit in (1, 2, 5) if digit * power <= by_less_than * (1 + 1e-9))
    return math.floor(value / step + 1e-9) * step


def _label(value: float, _: object = None) -> str:
    return f"{value:.10g}".replace("-", "\N{MINUS SIGN}")
