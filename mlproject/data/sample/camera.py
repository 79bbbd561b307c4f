"""Camera of the built-in sample: pose, light, lens and sensor that all its photos share.

Scenes (`bracket`, `weave`, `bolt`) are float64 arrays (SIZE, SIZE, 3) of linear light, 0 to about 1;
coordinates are pixels from the centre, x to the right and y down. Float64 throughout: its last bits differ
between processors, but are far too small to change an 8-bit pixel, so the sample is the same everywhere.
"""

from dataclasses import astuple, dataclass, fields
from functools import lru_cache

import numpy as np

SIZE = 256
Field = np.ndarray  # (SIZE, SIZE) float64


@dataclass(frozen=True)
class Capture:
    """How one photo is taken. Each value is even over a folder's images, between the limits of `LIMITS`."""

    shift_x: float  # of the part in the frame, pixels
    shift_y: float
    angle: float  # of the part in the frame, degrees
    azimuth: float  # direction that the light comes from, degrees from the x axis, y down
    elevation: float  # of the light over the table, degrees
    exposure: float  # factor on linear light
    gamma: float  # tone curve; above 1 darkens middle greys
    warmth: float  # share that red gains and blue loses
    focus: float  # Gaussian blur, pixels
    noise: float  # sensor noise at middle grey, grey levels

    @property
    def light(self) -> tuple[float, float, float]:
        """Unit vector from the part towards the light."""
        turn, height = np.radians(self.azimuth), np.radians(self.elevation)
        flat = np.cos(height)
        return float(flat * np.cos(turn)), float(flat * np.sin(turn)), float(np.sin(height))


LIMITS = (
    Capture(-3, -3, -2, -75, 42, 0.86, 0.92, -0.03, 0.55, 0.9),
    Capture(3, 3, 2, -35, 58, 1.14, 1.08, 0.03, 0.85, 2.2),
)


def captures(n: int, rng: np.random.Generator) -> list[Capture]:
    """Return n captures, a Latin hypercube between `LIMITS`.

    Evenness is what keeps shortcuts out: in a folder of 12 images drawn freely, exposure alone would now and
    then rank good and defective images.
    """
    low, high = (np.array(astuple(limit), float) for limit in LIMITS)
    ranks = np.stack([rng.permutation(n) for _ in fields(Capture)], axis=1)
    rows = low + (high - low) * (ranks + rng.random(ranks.shape)) / n
    return [Capture(*map(float, row)) for row in rows]


def develop(scene: np.ndarray, capture: Capture) -> np.ndarray:
    """Return the scene as the lens and the tone curve give it: (SIZE, SIZE, 3) grey levels, without noise."""
    gain = capture.exposure * np.array([1 + capture.warmth, 1.0, 1 - capture.warmth])
    seen = np.stack([blur(scene[..., k], capture.focus) for k in range(3)], axis=-1)
    return 255 * np.clip(seen * gain, 0, 1) ** (capture.gamma / 2.2)


def expose(levels: np.ndarray, capture: Capture, rng: np.random.Generator) -> np.ndarray:
    """Return grey levels with sensor noise, as (SIZE, SIZE, 3) uint8. Noise grows with the light."""
    grain = rng.standard_normal(levels.shape) + 0.6 * rng.standard_normal((*levels.shape[:2], 1))
    noisy = levels + 0.86 * capture.noise * np.sqrt(0.3 + levels / 182) * grain
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def grid(capture: Capture) -> tuple[Field, Field]:
    """Return x and y of every pixel in the part's own coordinates, in pixels."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    turn = np.radians(capture.angle)
    x, y = x - capture.shift_x, y - capture.shift_y
    return turned(x, y, turn)


def turned(x: Field, y: Field, angle: float) -> tuple[Field, Field]:
    """Return coordinates along and across an axis at that angle to the x axis, radians."""
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def blur(field: Field, sigma_x: float, sigma_y: float | None = None) -> Field:
    """Return the field under a Gaussian of that many pixels; the edges wrap."""
    return np.fft.irfft2(np.fft.rfft2(field) * _gaussian(sigma_x, sigma_y or sigma_x), field.shape)


def noise_field(rng: np.random.Generator, sigma_x: float, sigma_y: float | None = None) -> Field:
    """Return smooth noise of mean 0 and variance 1, with grains of about sigma pixels."""
    field = blur(rng.standard_normal((SIZE, SIZE)), sigma_x, sigma_y)
    return (field - field.mean()) / field.std()


def length(dx: Field, dy: Field) -> Field:
    """Return the length of each (dx, dy). np.hypot guards against overflow and takes four times as long."""
    return np.sqrt(dx * dx + dy * dy)


def smooth_step(values: Field, low: float, high: float) -> Field:
    """Return 0 below low, 1 above high, a smooth ramp between: an anti-aliased edge if the ramp is 1 px."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def facing(height: Field, light: tuple[float, float, float]) -> tuple[Field, Field]:
    """Return how much a surface of that height (pixels) faces and how much it mirrors the light, 0 to 1."""
    slope_y, slope_x = np.gradient(height)
    norm = np.sqrt(1 + slope_x**2 + slope_y**2)
    half = np.array([light[0], light[1], light[2] + 1])  # between the light and the camera above
    half /= np.linalg.norm(half)
    diffuse = (light[2] - light[0] * slope_x - light[1] * slope_y) / norm
    mirror = (half[2] - half[0] * slope_x - half[1] * slope_y) / norm
    return np.clip(diffuse, 0, 1), np.clip(mirror, 0, 1)


@lru_cache(maxsize=64)
def _gaussian(sigma_x: float, sigma_y: float) -> np.ndarray:
    fx, fy = np.fft.rfftfreq(SIZE)[None, :], np.fft.fftfreq(SIZE)[:, None]
    return np.exp(-2 * np.pi**2 * ((fx * sigma_x) ** 2 + (fy * sigma_y) ** 2))
