"""Common style of all figures, and writing them: equal figures are equal bytes on any machine."""

import logging
import sys
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import AutoLocator

from mlproject.core.files import written_file

# Okabe-Ito, safe for colour-blind readers; text repeats everything that colour encodes.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6E6E6E"
HEAT_COLOURS = "inferno"  # perceptually uniform, dark where nothing is found
DPI = 110
COMPRESSION = 4  # of PNG: the default, 6, takes twice as long for files a little smaller
LETTERS_PER_INCH = 14  # of a caption
DIGIT, LINE = 0.64, 1  # width and height of a digit of FONT, of the font's size
FONT = "DejaVu Sans"  # comes with matplotlib
# for letters that FONT lacks, in names of defects: the first of these that is installed and has them
FURTHER_FONTS = (
    *(
        "Noto Sans CJK JP",
        "Noto Sans CJK SC",
        "Noto Sans CJK KR",
        "Noto Sans JP",
        "Noto Sans SC",
        "Noto Sans KR",
    ),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "IPAGothic", "IPAexGothic", "NanumGothic"),
    *("Noto Sans Thai", "Noto Sans Devanagari"),
)
STYLE: dict[Any, Any] = {
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
        mpl.rcParams.update(STYLE | {"font.family": _fonts()})
        yield


@cache
def _fonts() -> list[str]:
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # some have no bold letters
    installed = set(font_manager.get_font_names())
    return [FONT, *(name for name in FURTHER_FONTS if name in installed)]


def new(width: float, height: float, title: str) -> Figure:
    """Return an empty figure, sizes in inches. No pyplot: nothing global, no window, no leak."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def caption(figure: Figure | SubFigure, text: str) -> None:
    """Write a caption below the figure, in lines that fit its width."""
    figure.supxlabel(_lines(text, figure.bbox.width / figure.dpi), fontsize=9, color=GREY)


def _lines(text: str, width: float) -> str:
    """Break a caption into lines that fit a width in inches."""
    letters = int(width * LETTERS_PER_INCH)
    return "\n".join(line for given in text.split("\n") for line in textwrap.wrap(given, letters) or [""])


class FittingTicks(AutoLocator):
    """As many ticks as have room for their labels: matplotlib counts on labels of three letters."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """Return the ticks between two values, fewer than matplotlib's where those would overlap."""
        for ticks in self.candidates(vmin, vmax):
            if self._fit(ticks):
                break
        return ticks

    def candidates(self, vmin: float, vmax: float) -> Iterator[np.ndarray]:
        """Yield ticks between two values, matplotlib's first, then fewer and fewer."""
        for count in ("auto", *range(8, 0, -1)):
            self.set_params(nbins=count)
            yield np.asarray(super().tick_values(vmin, vmax))

    def _fit(self, ticks: np.ndarray) -> bool:
        axis: Any = self.axis
        across = axis.axis_name == "x"
        low, high = axis.get_view_interval()
        shown = ticks[(ticks >= low) & (ticks <= high)]
        letter = DIGIT * mpl.rcParams["font.size"] * axis.axes.figure.dpi / 72
        words = axis.get_major_formatter().format_ticks(shown)
        sizes = letter * np.array([len(label) if across else LINE / DIGIT for label in words])
        start, end, *places = axis.get_transform().transform([low, high, *shown])
        length = axis.axes.bbox.width if across else axis.axes.bbox.height
        gaps = np.diff(places) / (end - start) * length
        return bool((gaps >= (sizes[1:] + sizes[:-1]) / 2 + letter).all())


class Sheet:
    """A figure whose images and words are placed in inches from its top left corner.

    All lie in one axes. An axes for each of 80 images would take seconds to make, lay out and draw.

    Example:
        >>> sheet = Sheet(3, 2, "Images")
        >>> _ = sheet.image(0.5, 0.4, 1.2, np.zeros((8, 8, 3), np.uint8))
        >>> _ = sheet.text(1.1, 1.7, "black", ha="center")
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height))
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()
        self.text(width / 2, 0.06, title, ha="center", va="top", fontsize=12, fontweight="bold")

    def image(self, x: float, y: float, side: float, image: np.ndarray, **how: Any) -> None:
        """Show an (h, w[, 3]) image as a square with its top left corner at (x, y)."""
        extent = (x, x + side, y + side, y)
        self.axes.imshow(image, extent=extent, aspect="auto", interpolation=_interpolation(image), **how)

    def outline(self, x: float, y: float, side: float, mask: np.ndarray) -> None:
        """Draw the outline of an (h, w) mask in cyan on the image at (x, y)."""
        if mask.any():
            extent = (x, x + side, y, y + side)
            self.axes.contour(mask, [0.5], extent=extent, colors="cyan", linewidths=1.2)

    def text(self, x: float, y: float, words: str, **how: Any) -> None:
        """Write words at (x, y)."""
        self.axes.text(x, y, words, **how)

    def caption(self, text: str) -> None:
        """Write a caption at the bottom, in lines that fit the width."""
        lines = _lines(text, self.width)
        self.text(self.width / 2, self.height - 0.06, lines, ha="center", va="bottom", fontsize=9, color=GREY)


def show(axes: Axes, image: Any, **how: Any) -> Any:
    """Show an (h, w[, 3]) image without ticks; return the artist."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes.imshow(image, interpolation=_interpolation(image), **how)


def _interpolation(image: np.ndarray) -> str:
    return "nearest" if image.shape[0] < 64 else "antialiased"


@style()
def save(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all; no date or version inside, so equal figures are equal bytes.

    Letters that no font has become boxes; a line on the error stream says so.
    """
    figure.set_dpi(DPI)
    for axes in figure.axes:
        if type(axes.xaxis.get_major_locator()) is AutoLocator:
            axes.xaxis.set_major_locator(FittingTicks())
    canvas = FigureCanvasAgg(figure)
    with _lacking_letters_told(path), written_file(path) as part:
        if figure.axes and (layout := figure.get_layout_engine()):
            layout.execute(figure)
            figure.set_layout_engine("none")  # `savefig` would draw everything once more to lay it out
        canvas.print_png(part, metadata={"Software": None}, pil_kwargs={"compress_level": COMPRESSION})


@contextmanager
def _lacking_letters_told(path: Path) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", "Glyph [0-9]+ .* missing from font")
        yield
    lacking = {chr(int(str(found.message).split()[1])): None for found in caught if _of_a_glyph(found)}
    for found in caught:
        if not _of_a_glyph(found):
            warnings.warn_explicit(found.message, found.category, found.filename, found.lineno)
    if lacking:
        print(
            f"warning: {path}: no font has {' '.join(lacking)}: boxes are drawn instead. Install one that "
            f"has, such as Noto Sans CJK (package fonts-noto-cjk), and delete {mpl.get_cachedir()}, "
            "matplotlib's list of fonts.",
            file=sys.stderr,
        )


def _of_a_glyph(found: warnings.WarningMessage) -> bool:
    return str(found.message).startswith("Glyph ")


def save_axes(axes: Any, path: Path) -> None:
    """Write the figure of axes that a library drew with pyplot, then close it in pyplot.

    Args:
        axes: one, or an array of them.
    """
    from matplotlib import pyplot

    figure = np.ravel(axes)[0].figure
    figure.set_size_inches(max(10, 1.6 * len(figure.axes)), 6)
    with style(), written_file(path) as part:
        # such figures have no layout of their own, and axes that `constrained` cannot lay out
        figure.savefig(part, format="png", dpi=DPI, metadata={"Software": None}, bbox_inches="tight")
    pyplot.close(figure)
