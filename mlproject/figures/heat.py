"""An anomaly map as a picture of its own size, in the colours of every figure."""

import matplotlib as mpl
import numpy as np

from mlproject.figures.drawing import HEAT_COLOURS
from mlproject.heat_scale import HeatScale


def heat(maps: np.ndarray, scale: HeatScale) -> np.ndarray:
    """Return (..., h, w, 3) uint8 for (..., h, w) anomaly maps."""
    colours = mpl.colormaps[HEAT_COLOURS](scale.brightness(maps))
    return (colours[..., :3] * 255).round().astype(np.uint8)
