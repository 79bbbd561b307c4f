"""Figure of a network's layout (paper, Figs. 1 and 2), drawn from the layers of the trained model."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mlproject.reports.figures import drawing

Layers = Sequence[Mapping[str, Any]]
COLOURS = {
    "input": drawing.GREY,
    "convolution": drawing.BLUE,
    "pooling": drawing.ORANGE,
    "upsampling": drawing.GREEN,
    "dense": drawing.RED,
}
WIDTH = 0.62  # of a box; boxes are 1 apart
LEAST = 0.06  # smallest height of a box, relative to the input's, so that it stays visible


@drawing.style()
def layout(name: str, layers: Layers) -> Figure:
    """Return a network as a row of boxes, each as high as its feature map's side.

    Args:
        name: of the model and its category, for the title.
        layers: at least two, from `layer_table.layers`.
    """
    total = sum(layer["parameters"] for layer in layers)
    figure = drawing.new(max(7.0, 0.55 * len(layers) + 1), 5.2, f"{name}: {total:,} parameters")
    axes = figure.subplots()
    sides = [layer["shape"][-1] if len(layer["shape"]) == 3 else 1 for layer in layers]
    heights = [max(LEAST, (side / max(sides)) ** 0.5) for side in sides]
    for place, (layer, height) in enumerate(zip(layers, heights, strict=True)):
        colour = COLOURS.get(layer["kind"], "white")
        axes.add_patch(
            Rectangle((place - WIDTH / 2, 0), WIDTH, height, facecolor=colour, edgecolor="black", alpha=0.75)
        )
        axes.text(place, height + 0.02, _shape(layer), rotation=90, ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(layers)), [_words(layer) for layer in layers], rotation=90, fontsize=9)
    _parts(axes, layers)
    axes.set(xlim=(-0.7, len(layers) - 0.3), ylim=(0, 1.62), yticks=[])
    axes.tick_params(axis="x", length=0)
    axes.spines["left"].set_visible(False)
    drawing.caption(
        figure,
        "Above a box: channels × height × width of what the layer makes. Height of a box: square root of "
        "that "
        "height.\nBelow: the layer and its parameters.",
    )
    return figure


def _shape(layer: Mapping[str, Any]) -> str:
    return " × ".join(str(size) for size in layer["shape"])


def _words(layer: Mapping[str, Any]) -> str:
    count = layer["parameters"]
    return f"{layer['layer']}  {count:,}" if count else layer["layer"]


def _parts(axes: Axes, layers: Layers) -> None:
    """Name encoder, decoder, … above their boxes, a line between them."""
    names = [layer["part"] for layer in layers]
    for name in dict.fromkeys(filter(None, names)):
        places = [place for place, other in enumerate(names) if other == name]
        axes.text(sum(places) / len(places), 1.56, name, ha="center", va="top", fontweight="bold")
        if places[0] > 1:
            axes.axvline(places[0] - 0.5, color=drawing.GREY, linewidth=0.8, linestyle=":")
