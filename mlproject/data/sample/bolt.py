"""The sample's loose part: a hexagon bolt seen from the side, lying in any direction, with small defects."""

from dataclasses import dataclass

import numpy as np

from mlproject.data.sample.camera import (
    SIZE,
    Capture,
    Field,
    facing,
    grid,
    length,
    noise_field,
    smooth_step,
    turned,
)

DEFECTS = ("blunt_tip", "dirt", "head_scratch", "missing_ridge", "thread_nick")

# Pixels in the bolt's coordinates, x along its axis.
HEAD = (-90.0, -66.0, 25.0)  # from, to, half its width
COLLAR = (-66.0, -60.0, 29.0)
SHANK = (-60.0, 88.0, 11.5)
THREAD = (-18.0, 84.0)  # from, to
PITCH, RIDGE = 7.0, 2.6  # of the thread
LEAN = 0.16  # of the ridges, pixels along the axis for each across it
FREE = 20.0  # pixels that the bolt lies off the centre at most, each way
STEEL = np.array([0.40, 0.42, 0.44])
MAT = np.array([0.70, 0.71, 0.70])
DIRT = np.array([0.07, 0.055, 0.04])


@dataclass
class _Surface:
    """What the light falls on; a defect changes these before they are lit."""

    x: Field
    y: Field
    radius: Field  # half the bolt's width at each x, pixels, negative beyond its ends
    ridges: Field  # height of the thread over its core, pixels
    relief: Field  # height over the good surface, pixels
    bare: Field  # 0 to 1: scratched metal
    dirt: Field  # 0 to 1


def render(
    part: np.random.Generator, flaw: np.random.Generator, defect: str | None, capture: Capture
) -> np.ndarray:
    """Return one bolt as linear light, (SIZE, SIZE, 3).

    Args:
        part: draws what makes this bolt itself, and where and which way it lies; never sees the defect.
        flaw: draws the defect, one of DEFECTS; unused when it is None.
    """
    surface = _good_surface(part, capture)
    if defect:
        _FLAWS[defect](surface, flaw)
    return _lit(surface, part, capture)


def _good_surface(part: np.random.Generator, capture: Capture) -> _Surface:
    x, y = grid(capture)
    turn, move = part.uniform(0, 2 * np.pi), part.uniform(-FREE, FREE, 2)
    x, y = turned(x - move[0], y - move[1], turn)
    radius = np.full_like(x, -9.0)
    for start, end, half in (HEAD, COLLAR, SHANK):
        radius = np.where((x >= start) & (x < end), half, radius)
    point = np.clip(SHANK[1] - x, 0, 6)  # the tip is chamfered
    radius = np.where(x > SHANK[1] - 6, radius - 0.7 * (6 - point), radius)
    ridges = _thread(x, y, part.uniform(0, PITCH))
    return _Surface(x, y, radius, ridges, np.zeros_like(x), np.zeros_like(x), np.zeros_like(x))


def _thread(x: Field, y: Field, phase: float) -> Field:
    along = (x - LEAN * y - phase) % PITCH / PITCH
    height = RIDGE * (1 - np.abs(2 * along - 1))
    return (
        height
        * smooth_step(x, THREAD[0] - 3, THREAD[0] + 6)
        * smooth_step(-x, -THREAD[1] - 1, -THREAD[1] + 6)
    )


def _lit(surface: _Surface, part: np.random.Generator, capture: Capture) -> np.ndarray:
    half = surface.radius + surface.ridges
    depth = half - np.abs(surface.y)  # pixels inside the outline, across the axis
    ends = np.minimum(surface.x - HEAD[0], SHANK[1] - surface.x)
    inside = np.minimum(depth, ends)
    steel = smooth_step(inside, -0.7, 0.7)
    round_ = np.sqrt(np.clip(half**2 - surface.y**2, 0, None))
    flat = np.where(
        np.abs(surface.y) < 12, 22.0, 22.0 - 0.7 * (np.abs(surface.y) - 12)
    )  # the hexagon's faces
    height = np.where(
        surface.x < HEAD[1], np.minimum(flat, 6 + inside * 2), np.minimum(round_, 1 + inside * 3)
    )
    grain = 0.10 * noise_field(part, 1.2)
    diffuse, mirror = facing(height + surface.relief + grain, capture.light)
    shade = 0.10 + 0.62 * diffuse + 0.55 * mirror**24 + 0.45 * surface.bare
    metal = STEEL * shade[..., None]
    metal = metal + (DIRT * (0.5 + diffuse)[..., None] - metal) * surface.dirt[..., None]
    return _mat(surface, steel, part, capture) * (1 - steel[..., None]) + metal * steel[..., None]


def _mat(surface: _Surface, steel: Field, part: np.random.Generator, capture: Capture) -> np.ndarray:
    """Return the light of the mat: bright, even, lit from behind, so that the bolt casts no shadow."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    falloff = 1 + 0.05 * (x * capture.light[0] + y * capture.light[1])
    return MAT * (falloff * (1 + 0.012 * noise_field(part, 0.9)))[..., None]


def _thread_nick(surface: _Surface, flaw: np.random.Generator) -> None:
    """Flatten a ridge or two at one side."""
    px = flaw.uniform(THREAD[0] + 12, THREAD[1] - 12)
    py = flaw.choice([-1, 1]) * flaw.uniform(7, SHANK[2] + 1)
    spot = smooth_step(flaw.uniform(5.0, 7.0) - length(surface.x - px, surface.y - py), -1, 2)
    surface.ridges = surface.ridges * (1 - spot)
    surface.relief = surface.relief - 1.6 * spot
    surface.bare = np.maximum(surface.bare, 0.7 * spot)


def _missing_ridge(surface: _Surface, flaw: np.random.Generator) -> None:
    """Leave a turn of the thread uncut."""
    px = flaw.uniform(THREAD[0] + 14, THREAD[1] - 16)
    reach = flaw.uniform(0.8, 1.3) * PITCH
    gone = smooth_step(reach - np.abs(surface.x - LEAN * surface.y - px), -1.5, 1.5)
    surface.ridges = surface.ridges * (1 - gone)


def _blunt_tip(surface: _Surface, flaw: np.random.Generator) -> None:
    """Break off the tip."""
    lean, end = flaw.uniform(-0.5, 0.5), SHANK[1] - flaw.uniform(4.5, 8)
    cut = surface.x - end - lean * surface.y + 0.5 * noise_field(flaw, 2)
    surface.radius = surface.radius - 12 * smooth_step(cut, 0, 3)
    surface.bare = np.maximum(surface.bare, 0.8 * smooth_step(cut, -3, 0))


def _head_scratch(surface: _Surface, flaw: np.random.Generator) -> None:
    px, py = flaw.uniform(HEAD[0] + 7, HEAD[1] - 5), flaw.uniform(-12, 12)
    turn, reach = flaw.uniform(0, np.pi), flaw.uniform(6, 11)
    dx, dy = surface.x - px, surface.y - py
    along, across = turned(dx, dy, turn)
    groove = np.exp(-((across / flaw.uniform(1.1, 1.5)) ** 2)) * smooth_step(
        -np.abs(along), -reach, -reach + 3
    )
    surface.relief = surface.relief - 2.0 * groove
    surface.bare = np.maximum(surface.bare, groove)


def _dirt(surface: _Surface, flaw: np.random.Generator) -> None:
    px, py = flaw.uniform(HEAD[0] + 8, THREAD[1] - 8), flaw.uniform(-6, 6)
    spread = flaw.uniform(4.5, 6) - length(surface.x - px, surface.y - py) + 1.0 * noise_field(flaw, 2)
    surface.dirt = 0.85 * smooth_step(spread, -1, 1)


_FLAWS = {
    "blunt_tip": _blunt_tip,
    "dirt": _dirt,
    "head_scratch": _head_scratch,
    "missing_ridge": _missing_ridge,
    "thread_nick": _thread_nick,
}
