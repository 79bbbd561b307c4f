"""Figures of a generator: a grid of its images (paper, Fig. 6), and the images nearest to real ones."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mlproject.evaluation import generation_faults
from mlproject.evaluation.image_distances import Neighbours
from mlproject.reports.figures import drawing
from mlproject.training.epoch_pictures import grid as tiled

COLUMNS = 8
ROWS = 4  # of generated images; half as many of real ones
SHOWN = 8  # pairs


def _verdict(quality: dict[str, Any]) -> str:
    words = [f"{what.upper()}: {because}." for what, because in generation_faults.faults(quality).items()]
    return "\n".join(words or [generation_faults.NO_FAULT])


@drawing.style()
def grid(name: str, train: np.ndarray, generated: np.ndarray, quality: dict[str, Any]) -> Figure:
    """Return real images above generated ones, (n, s, s, 3) uint8: the first of each, without selection."""
    figure = drawing.new(8, 7.4, f"Generated images: {name}")
    parts: Any = figure.subplots(2, 1, height_ratios=[1, 2])
    for axes, title, images, rows in (
        (parts[0], "training images", train, ROWS // 2),
        (parts[1], "generated, not chosen", generated, ROWS),
    ):
        drawing.show(axes, tiled(images[: rows * COLUMNS], COLUMNS))
        axes.set_title(title)
    distance = quality["frechet"]
    drawing.caption(
        figure,
        f"Fréchet distance to the training images {distance['generated']:.3g}; "
        f"between halves of those {distance['real_halves']:.3g}.\n"
        f"Features: {distance['features']}; no pretrained weights.\n{_verdict(quality)}",
    )
    return figure


@drawing.style()
def nearest(
    name: str, train: np.ndarray, generated: np.ndarray, found: Neighbours, quality: dict[str, Any]
) -> Figure:
    """Return the generated images nearest to a training image, each above that training image."""
    rows = found.closest_first()[:SHOWN]
    side, step, left, top = 1.3, 1.38, 0.5, 0.55
    sheet = drawing.Sheet(step * len(rows) + left, 3.95, f"Likeliest copies: {name}")
    below = top + step
    for column, row in enumerate(rows):
        x = left + step * column
        distance = f"{found.nearest[row]:.4f}"
        sheet.text(x + side / 2, top - 0.05, distance, ha="center", va="bottom", fontsize=9)
        sheet.image(x, top, side, generated[row])
        sheet.image(x, below, side, train[found.rows[row]])
    for y, words in ((top, "generated"), (below, "nearest\ntraining image")):
        sheet.text(left / 2, y + side / 2, words, rotation=90, ha="center", va="center")
    memory = quality["memorisation"]
    sheet.caption(
        "Root-mean-square difference of pixels in [0, 1], nearest first. Training images to their nearest: "
        f"median {memory['median_train_to_train']:.4f}, "
        f"1st percentile {memory['first_percentile_train_to_train']:.4f}.\n"
        f"{memory['share_below_first_percentile']:.0%} of generated images are nearer than that, "
        f"{memory['share_of_copies']:.0%} are copies. {_verdict(quality)}",
    )
    return sheet.figure
