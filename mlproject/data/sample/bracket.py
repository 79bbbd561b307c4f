"""The sample's object: a stamped steel bracket with holes, lit from one side, on a matte table."""

from dataclasses import dataclass

import numpy as np

from mlproject.data.sample.camera import (
    SIZE,
    Capture,
    Field,
    blur,
    facing,
    grid,
    length,
    noise_field,
    smooth_step,
    turned,
)

DEFECTS = ("broken_edge", "dent", "missing_hole", "rust", "scratch")

# Pixels in the bracket's coordinates. Holes: both ends of the axis (equal: round), then the radius.
CORNER = 13  # radius
HOLES = (
    (-56.0, -66.0, -56.0, -66.0, 11.0),
    (-56.0, -22.0, -56.0, -22.0, 11.0),
    (-50.0, 54.0, -50.0, 54.0, 17.0),
    (12.0, 58.0, 26.0, 58.0, 9.0),
    (66.0, 58.0, 66.0, 58.0, 11.0),
)
RIB = (-40.0, 6.0, -6.0, 40.0, 5.0)
RUST = np.array([0.12, 0.045, 0.018])
STEEL = np.array([0.46, 0.48, 0.50])
TABLE = np.array([0.46, 0.44, 0.405])

# A defect's size and contrast as shares of the largest and strongest, drawn evenly on a log scale. The
# smaller a defect, the less faint: each can be seen.
SMALLEST, FAINTEST = 0.15, 0.4


@dataclass
class _Surface:
    """What the light falls on; a defect changes these before they are lit."""

    x: Field
    y: Field
    outside: Field  # signed distance to the outline, pixels, negative on steel
    holes: list[Field]  # signed distance to each hole, negative inside
    relief: Field  # height over the flat plate, pixels
    bare: Field  # 0 to 1: freshly torn, unbrushed metal
    rust: Field  # 0 to 1


def render(
    part: np.random.Generator, flaw: np.random.Generator, defect: str | None, capture: Capture
) -> np.ndarray:
    """Return one bracket as linear light, (SIZE, SIZE, 3).

    Args:
        part: draws what makes this bracket itself; never sees the defect.
        flaw: draws the defect, one of DEFECTS; unused when it is None.
    """
    surface = _good_surface(part, capture)
    if defect:
        _FLAWS[defect](surface, flaw)
    return _lit(surface, part, capture)


def _good_surface(part: np.random.Generator, capture: Capture) -> _Surface:
    x, y = grid(capture)
    upright, foot = _box(x, y, -56, 0, 32, 90), _box(x, y, 1, 58, 89, 32)
    blend = np.clip(0.5 + (foot - upright) / 44, 0, 1)
    fillet = foot + (upright - foot) * blend - 22 * blend * (1 - blend)
    outline = np.maximum(fillet, _box(x, y, 1, 0, 89, 90))  # else the fillet swells the outer sides too
    wear = 0.5 * part.standard_normal(len(HOLES))
    holes = [_capsule(x, y, *hole[:4]) - hole[4] - w for hole, w in zip(HOLES, wear, strict=True)]
    rib = 2.6 * smooth_step(-_capsule(x, y, *RIB[:4]), -RIB[4] - 3, -RIB[4] + 3)
    warp = 1.6 * noise_field(part, 26)
    return _Surface(x, y, outline, holes, rib + warp, np.zeros_like(x), np.zeros_like(x))


def _lit(surface: _Surface, part: np.random.Generator, capture: Capture) -> np.ndarray:
    hole = np.minimum.reduce(surface.holes)
    inside = np.minimum(-surface.outside, hole)  # depth into the steel, pixels
    steel = smooth_step(inside, -0.7, 0.7)
    bevel = 1.7 * (1 - np.exp(-np.clip(inside, 0, None) / 2.2)) + 1.2 * smooth_step(hole, 0, 5)
    brush = noise_field(part, 9, 0.6) * (1 - surface.bare) + 1.5 * noise_field(part, 0.9) * surface.bare
    diffuse, mirror = facing(bevel + surface.relief + 0.025 * brush, capture.light)
    sweep = (surface.x * capture.light[0] + surface.y * capture.light[1]) / SIZE
    band = np.exp(-(((surface.y - part.uniform(-45, 15)) / 48) ** 2))  # a lamp, drawn out across the brushing
    sheen = 0.66 + 0.28 * sweep + 0.26 * band + 0.05 * noise_field(part, 40)
    shade = sheen * (0.15 + 0.80 * diffuse) + 0.70 * mirror**40 - 0.22 + 0.02 * brush + 0.60 * surface.bare
    steel_light = STEEL * np.clip(shade, 0.06, None)[..., None]
    metal = steel_light + (RUST * (0.4 + diffuse)[..., None] - steel_light) * surface.rust[..., None]
    return _table(surface, steel, part, capture) * (1 - steel[..., None]) + metal * steel[..., None]


def _table(surface: _Surface, steel: Field, part: np.random.Generator, capture: Capture) -> np.ndarray:
    x, y, _ = capture.light
    reach = 9 / np.tan(np.radians(capture.elevation))
    move = tuple(-reach * np.array([y, x]) / np.hypot(x, y))
    shadow = 0.44 * blur(_moved(steel, *move), 4) + 0.26 * blur(steel, 7)
    grain = 1 + 0.025 * noise_field(part, 0.8) + 0.03 * noise_field(part, 30)
    falloff = 1 + 0.18 * (surface.x * x + surface.y * y) / SIZE
    return TABLE * (grain * falloff * (1 - shadow))[..., None]


def _broken_edge(surface: _Surface, flaw: np.random.Generator) -> None:
    size = SMALLEST ** flaw.random()
    px, py = _place(surface, flaw, np.abs(surface.outside) < 1)
    radius = size * flaw.uniform(14, 19)
    bite = radius - length(surface.x - px, surface.y - py) + 2.2 * size * noise_field(flaw, 1 + 2.5 * size)
    surface.outside = np.maximum(surface.outside, bite)
    surface.bare = np.maximum(surface.bare, smooth_step(bite, -1 - 4 * size, -2 * size))


def _dent(surface: _Surface, flaw: np.random.Generator) -> None:
    size = SMALLEST ** flaw.random()
    contrast = FAINTEST ** (size * flaw.random())
    px, py = _spot(surface, flaw, 12)
    radius, squeeze, turn = size * flaw.uniform(9, 14), flaw.uniform(0.6, 1), flaw.uniform(0, np.pi)
    dx, dy = surface.x - px, surface.y - py
    along, across = turned(dx, dy, turn)
    reach = (along**2 + (across / squeeze) ** 2) / radius**2
    surface.relief = surface.relief - size * contrast * flaw.uniform(4.5, 6.5) * np.exp(-(reach**1.5))


def _missing_hole(surface: _Surface, flaw: np.random.Generator) -> None:
    """Leave a hole unpunched, whole or from one side on."""
    number = int(flaw.integers(len(surface.holes)))
    (ax, ay, bx, by, radius), turn = HOLES[number], flaw.uniform(0, 2 * np.pi)
    along, _ = turned(surface.x - (ax + bx) / 2, surface.y - (ay + by) / 2, turn)
    reach = radius + abs(np.cos(turn) * (bx - ax) / 2 + np.sin(turn) * (by - ay) / 2)
    filled = 0.3 * reach * 10 ** flaw.random()  # from 2 * reach on, the whole hole
    surface.holes[number] = np.maximum(surface.holes[number], filled - reach - along)


def _rust(surface: _Surface, flaw: np.random.Generator) -> None:
    size = SMALLEST ** flaw.random()
    contrast = FAINTEST ** (size * flaw.random())
    px, py = _spot(surface, flaw, 8)
    spread = size * flaw.uniform(12, 17) - length(surface.x - px, surface.y - py)
    eaten = spread + size * (3.5 * noise_field(flaw, 1 + 5 * size) + 1.8 * noise_field(flaw, 1 + 0.8 * size))
    surface.rust = 0.9 * contrast * smooth_step(eaten, -1.5, 0.5 + 2 * size)
    surface.relief = surface.relief - 0.5 * surface.rust * (1 + noise_field(flaw, 1.2))


def _scratch(surface: _Surface, flaw: np.random.Generator) -> None:
    size = SMALLEST ** flaw.random()
    contrast = FAINTEST ** (size * flaw.random())
    px, py = _spot(surface, flaw, 14)
    turn, reach, bend = flaw.uniform(0, np.pi), size * flaw.uniform(26, 44), flaw.uniform(-0.006, 0.006)
    dx, dy = surface.x - px, surface.y - py
    along, across = turned(dx, dy, turn)
    across = across + bend * along**2 + 0.6 * noise_field(flaw, 8)
    width = (0.4 + 0.6 * size) * flaw.uniform(2, 2.8)
    groove = np.exp(-((across / width) ** 2)) * smooth_step(-np.abs(along), -reach, -reach + 8 * size)
    surface.relief = surface.relief - 1.1 * width * contrast * groove
    surface.bare = np.maximum(surface.bare, contrast * groove)


_FLAWS = {
    "broken_edge": _broken_edge,
    "dent": _dent,
    "missing_hole": _missing_hole,
    "rust": _rust,
    "scratch": _scratch,
}


def _spot(surface: _Surface, flaw: np.random.Generator, margin: float) -> tuple[float, float]:
    """Return a place on the steel at least `margin` pixels from every edge."""
    depth = np.minimum(-surface.outside, np.minimum.reduce(surface.holes))
    return _place(surface, flaw, depth > margin)


def _place(surface: _Surface, flaw: np.random.Generator, allowed: np.ndarray) -> tuple[float, float]:
    """Return a pixel of those that `allowed` (SIZE, SIZE) marks, in the bracket's coordinates."""
    places = np.flatnonzero(allowed)
    place = places[flaw.integers(len(places))]
    return float(surface.x.flat[place]), float(surface.y.flat[place])


def _box(x: Field, y: Field, cx: float, cy: float, half_x: float, half_y: float) -> Field:
    dx, dy = np.abs(x - cx) - half_x + CORNER, np.abs(y - cy) - half_y + CORNER
    return length(np.clip(dx, 0, None), np.clip(dy, 0, None)) + np.minimum(np.maximum(dx, dy), 0) - CORNER


def _capsule(x: Field, y: Field, ax: float, ay: float, bx: float, by: float) -> Field:
    """Return the distance to the segment from a to b."""
    square = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-9)
    t = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / square, 0, 1)
    return length(x - ax - t * (bx - ax), y - ay - t * (by - ay))


def _moved(field: Field, down: float, right: float) -> Field:
    turn = np.fft.fftfreq(SIZE)[:, None] * down + np.fft.rfftfreq(SIZE)[None, :] * right
    return np.fft.irfft2(np.fft.rfft2(field) * np.exp(-2j * np.pi * turn), field.shape)
