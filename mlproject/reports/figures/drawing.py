"""Common style of all figures, and writing them: equal figures are equal bytes on any machine."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from mlproject.core.files import written_file

# Okabe-Ito, safe for colour-blind readers; text repeats everything that colour encodes.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6E6E6E"
HEAT_COLOURS = "inferno"  # perceptually uniform, dark where nothing is found
DPI = 110
LETTERS_PER_INCH = 14  # of a caption
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in this project's style, whatever the user's matplotlibrc says; also a decorator."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def new(width: float, height: float, title: str) -> Figure:
    """Return an empty figure, sizes in inches. No pyplot: nothing global, no window, no leak."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def caption(figure: Figure | SubFigure, text: str) -> None:
    """Write a caption below the figure, in lines that fit its width."""
    width = int(figure.bbox.width / figure.dpi * LETTERS_PER_INCH)
    lines = [line for given in text.split("\n") for line in textwrap.wrap(given, width) or [""]]
    figure.supxlabel("\n".join(lines), fontsize=9, color=GREY)


def show(axes: Axes, image: Any, **how: Any) -> Any:
    """Show an (h, w[, 3]) image without ticks; return the artist."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes.imshow(image, interpolation="nearest" if image.shape[0] < 64 else "antialiased", **how)


@style()
def save(figure: Figure, path: Path, **how: Any) -> None:
    """Write a PNG, whole or not at all; no date or version inside, so equal figures are equal bytes."""
    with written_file(path) as part:
        figure.savefig(part, format="png", dpi=DPI, metadata={"Software": None}, **how)


def save_axes(axes: Any, path: Path) -> None:
    """Write the figure of axes that a library drew with pyplot, then close it in pyplot.

    Args:
        axes: one, or an array of them.
    """
    from matplotlib import pyplot

    figure = np.ravel(axes)[0].figure
    figure.set_size_inches(max(10, 1.6 * len(figure.axes)), 6)
    save(figure, path, bbox_inches="tight")  # such figures have no layout of their own
    pyplot.close(figure)
