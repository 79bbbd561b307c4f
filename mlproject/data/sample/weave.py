"""The sample's texture: plain-woven cloth, blue warp (upright threads) and pale weft, close up."""

from dataclasses import dataclass

import numpy as np

from mlproject.data.sample.camera import SIZE, Capture, Field, facing, grid, length, noise_field, smooth_step

DEFECTS = ("hole", "pulled_thread", "stain")

PITCH = 11.0  # pixels between threads
THREADS = 48  # more than cross the frame, however it is turned
BLUE = np.array([0.13, 0.19, 0.30])
PALE = np.array([0.50, 0.46, 0.39])
BACKING = np.array([0.018, 0.017, 0.016])

# A defect's size and contrast as shares of the largest and strongest, drawn evenly on a log scale. The
# smaller a defect, the less faint: each can be seen.
SMALLEST, FAINTEST = 0.25, 0.65


@dataclass
class _Cloth:
    """What the light falls on; a defect changes these before they are lit."""

    x: Field
    y: Field
    lift: Field  # height that a pulled weft thread gains, in thread radii
    cut_warp: Field  # 0 to 1: no upright thread left
    cut_weft: Field
    tint: np.ndarray  # (SIZE, SIZE, 3) factor on the light


def render(
    part: np.random.Generator, flaw: np.random.Generator, defect: str | None, capture: Capture
) -> np.ndarray:
    """Return one piece of cloth as linear light, (SIZE, SIZE, 3).

    Args:
        part: draws what makes this piece itself; never sees the defect.
        flaw: draws the defect, one of DEFECTS; unused when it is None.
    """
    x, y = grid(capture)
    x, y = x + 1.1 * noise_field(part, 28), y + 1.1 * noise_field(part, 28)
    cloth = _Cloth(x, y, np.zeros_like(x), np.zeros_like(x), np.zeros_like(x), np.ones((SIZE, SIZE, 3)))
    if defect:
        _FLAWS[defect](cloth, flaw)
    return _lit(cloth, part, capture)


def _lit(cloth: _Cloth, part: np.random.Generator, capture: Capture) -> np.ndarray:
    warp, warp_body, warp_tone = _threads(cloth.x, cloth.y, part, 0)
    weft, weft_body, weft_tone = _threads(cloth.y, cloth.x, part, 1)
    warp, weft = warp - 4 * cloth.cut_warp, weft - 4 * cloth.cut_weft + cloth.lift
    on_top = smooth_step(warp - weft, -0.25, 0.25)
    body = warp_body * (1 - cloth.cut_warp) * on_top + weft_body * (1 - cloth.cut_weft) * (1 - on_top)
    height = np.maximum(warp, weft) * body
    diffuse, mirror = facing(1.5 * height, capture.light)
    depth = 0.45 + 0.55 * smooth_step(height, -0.6, 1.3)
    shade = depth * (0.35 + 0.80 * diffuse) + 0.10 * mirror**12
    yarn = BLUE * (warp_tone * on_top)[..., None] + PALE * (weft_tone * (1 - on_top))[..., None]
    light = yarn * shade[..., None] * body[..., None] + BACKING * (1 - body)[..., None]
    drape = 1 + 0.06 * noise_field(part, 45)
    return light * drape[..., None] * cloth.tint


def _threads(across: Field, along: Field, part: np.random.Generator, over: int) -> tuple[Field, Field, Field]:
    """Return height, presence (0 to 1) and tone of the threads that run `along`.

    Args:
        over: which parity of crossings these threads pass over, 0 or 1.
    """
    row = _number(across)
    place = np.clip(along + SIZE, 0, 2 * SIZE - 1).astype(int)
    slub = _slubs(part)[row, place]
    sway = part.normal(0, 0.035, THREADS)[row] + 0.03 * slub
    offset = 2 * (across / PITCH % 1 - 0.5 - sway) / (0.90 + 0.05 * slub)
    round_ = np.sqrt(np.clip(1 - offset**2, 0, 1))
    fibre = noise_field(part, 0.7, 2.2) if over == 0 else noise_field(part, 2.2, 0.7)
    wave = np.cos(np.pi * (along / PITCH - 0.5 + row + over))
    twist = np.sin(2 * np.pi * (along / 4.6 + 0.35 * offset + part.random(THREADS)[row]))
    tone = part.normal(1, 0.05, THREADS)[row] * (1 + 0.10 * twist + 0.10 * fibre)
    return round_ + 0.75 * wave, smooth_step(round_, 0.05, 0.5), tone


def _number(across: Field) -> np.ndarray:
    return np.floor(across / PITCH).astype(int) % THREADS  # THREADS is even, so parity survives


def _slubs(part: np.random.Generator) -> np.ndarray:
    """Return how each thread thickens along its length, (THREADS, 2 * SIZE), about normal."""
    knots = part.standard_normal((THREADS, 2 * SIZE // 16 + 1))
    place = np.arange(2 * SIZE) / 16
    left, share = place.astype(int), place % 1
    return knots[:, left] * (1 - share) + knots[:, left + 1] * share


def _hole(cloth: _Cloth, flaw: np.random.Generator) -> None:
    size = SMALLEST ** flaw.random()
    px, py = flaw.uniform(-90, 90, 2)
    radius = size * flaw.uniform(9, 15)
    inside = radius - length(cloth.x - px, (cloth.y - py) * flaw.uniform(0.8, 1.25))
    ragged = size * flaw.uniform(-5, 5, (2, THREADS))
    cloth.cut_warp, cloth.cut_weft = (
        smooth_step(inside + ends[_number(across)] + size * noise_field(flaw, 1.2), -1.5, 1.5)
        for across, ends in zip((cloth.x, cloth.y), ragged, strict=True)
    )
    cloth.tint = 1 - 0.35 * smooth_step(inside, -7 * size, 0)[..., None]


def _pulled_thread(cloth: _Cloth, flaw: np.random.Generator) -> None:
    size = SMALLEST ** flaw.random()
    contrast = FAINTEST ** (size * flaw.random())
    px, thread = flaw.uniform(-50, 50), int(flaw.integers(-8, 8))
    centre, reach = (thread + 0.5) * PITCH, size * flaw.uniform(28, 55)
    window = contrast * smooth_step(-np.abs(cloth.x - px), -reach, -reach + 14 * size)
    on_thread = np.abs(cloth.y - centre) < PITCH / 2
    cloth.lift = 2.4 * window * on_thread
    offset = (cloth.y - centre) / PITCH
    aside = np.sign(offset) * np.exp(-2 * (np.abs(offset) - 0.5) ** 2) * ~on_thread
    cloth.y = cloth.y + 0.4 * size * PITCH * window * aside


def _stain(cloth: _Cloth, flaw: np.random.Generator) -> None:
    size = SMALLEST ** flaw.random()
    contrast = FAINTEST ** (size * flaw.random())
    px, py = flaw.uniform(-85, 85, 2)
    radius = size * flaw.uniform(15, 24)
    blot = size * (5 * noise_field(flaw, 1 + 8 * size) + 1.2 * noise_field(flaw, 1 + size))
    inside = radius - length(cloth.x - px, cloth.y - py) + blot
    soaked = smooth_step(inside, -0.5 - 2 * size, 0.5 + 2 * size)
    ring = np.exp(-((inside / (0.5 + 2 * size)) ** 2))
    strength = contrast * flaw.uniform(0.8, 1.1) * (0.85 * soaked + 0.25 * ring)
    cloth.tint = 1 - strength[..., None] * np.array([0.48, 0.58, 0.68])


_FLAWS = {"hole": _hole, "pulled_thread": _pulled_thread, "stain": _stain}
