"""Colour scale of anomaly maps: one for each category and model, never one for each image."""

from dataclasses import dataclass

import numpy as np

HEADROOM = 1.5  # the brightest level, in ranges of good images


@dataclass(frozen=True)
class HeatScale:
    """One colour scale for every anomaly map of a category and model.

    A scale of its own for each image would paint the noise of a good part as brightly as a hole.
    """

    low: float
    high: float

    @classmethod
    def from_good_maps(cls, good_maps: np.ndarray) -> "HeatScale":
        """Black at the median of the good images' pixels; brightest at 1.5 times the range above it.

        Args:
            good_maps: (n, h, w) maps of good images. The top of their range is the 99.9th
                percentile, so that one odd pixel does not set it; good parts stay dark.
        """
        values = np.asarray(good_maps, dtype=np.float32)
        low, top = np.percentile(values, [50, 99.9]).tolist()
        return cls(low, low + HEADROOM * (top - low) if top > low else low + 1.0)

    @property
    def usual(self) -> float:
        """The level that 99.9 % of the pixels of the good images that set the scale stay below."""
        return self.low + (self.high - self.low) / HEADROOM

    def brightness(self, maps: np.ndarray) -> np.ndarray:
        """Return maps as float64 from 0 (black) to 1 (brightest)."""
        values = np.asarray(maps, dtype=np.float64)
        return np.clip((values - self.low) / (self.high - self.low), 0, 1)
