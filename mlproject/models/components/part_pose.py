"""Pose of a part in a photo with a plain background: its mask, centre, axis and box."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from scipy import ndimage

MASK_SIZE = 192  # side at which parts are looked for
BORDER = 0.05  # share of the side that is taken to be background
CONTRAST = 0.08  # share of the background's level by which a part differs at least
CLOSING = 2  # pixels: gaps that belong to a part
NOISE = 6.0  # times the border's median deviation, by which it differs at least
LARGEST, SMALLEST = 0.7, 0.005  # share of the image
FAINTEST = 0.02  # grey levels, of 1, by which a part differs at least, on a dark background too
DARKEST = 0.02  # level below which a background is not brightened further


@dataclass(frozen=True)
class Part:
    """A part that was found.

    Attributes:
        background: (3, 3), each colour's level, slope across and slope down.
        contrast: (4, m, m), each colour's difference from the background, as a share of the largest that its
            level allows, and the part's outline.
        mask: (m, m) bool, where the part is; m is MASK_SIZE at most.
    """

    background: torch.Tensor
    contrast: torch.Tensor
    mask: torch.Tensor


def find_part(photo: torch.Tensor) -> Part:
    """Return the largest piece of a (3, s, s) photo in [0, 1] that differs from its background.

    The background is a plane in each colour, fitted to the border. If nothing differs the mask is empty.
    """
    size = photo.shape[-1]
    small = photo
    if size > MASK_SIZE:
        small = F.interpolate(photo[None], (MASK_SIZE, MASK_SIZE), mode="area")[0]
    plane, noise = _background(small)
    drawn = plane_of(plane, small.shape[-1])
    least = (max(CONTRAST, NOISE * noise) * drawn.clamp_min(DARKEST)).clamp_min(FAINTEST)
    differs = (F.avg_pool2d((small - drawn)[None], 3, 1, 1)[0].abs() > least).any(dim=0)
    # padded: closing takes what lies beyond the photo for background, and would clear a part off the border
    mask = np.pad(differs.numpy(), CLOSING, mode="edge")
    mask = ndimage.binary_closing(mask, iterations=CLOSING)[CLOSING:-CLOSING, CLOSING:-CLOSING]
    pieces, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        mask = ndimage.binary_fill_holes(pieces == sizes.argmax())
    outline = torch.from_numpy(mask)
    contrast = (small - drawn) / torch.maximum(drawn, 1 - drawn)
    return Part(plane, torch.cat([contrast.clamp(-1, 1), outline[None].float()]), outline)


def plane_of(background: torch.Tensor, size: int) -> torch.Tensor:
    """Return (3, size, size), a plane in each colour, of (3, 3) as `Part.background`."""
    steps = (torch.arange(size) + 0.5) / size * 2 - 1
    level, across, down = background[:, :, None, None].unbind(1)
    return level + across * steps + down * steps[:, None]


def _background(photo: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return (3, 3): each colour's level, slope across and slope down; and the border's relative noise."""
    size = photo.shape[-1]
    rim = max(2, round(BORDER * size))
    border = torch.ones(size, size, dtype=torch.bool)
    border[rim:-rim, rim:-rim] = False
    steps = (torch.arange(size) + 0.5) / size * 2 - 1
    down, across = torch.meshgrid(steps, steps, indexing="ij")
    design = torch.stack([torch.ones(int(border.sum())), across[border], down[border]], dim=1).double()
    values = photo[:, border].double()
    weights = torch.ones(len(design), dtype=torch.float64)
    for _ in range(4):  # reweighted: a part that reaches into the border does not count
        weighted = design.T * weights
        plane = torch.linalg.solve(weighted @ design, weighted @ values.T).T
        levels = values.mean(dim=1, keepdim=True).clamp_min(DARKEST)
        deviation = ((values - plane @ design.T) / levels).abs().amax(dim=0)
        noise = float(deviation.median())
        weights = (deviation < 4 * max(noise, 0.004)).double() + 1e-6
    return plane.float(), noise


def moments(mask: torch.Tensor) -> tuple[float, float, float, float]:
    """Return centre x and y as shares of the side, the axis's angle in radians, and the ratio of the axes."""
    rows, columns = (index.double() + 0.5 for index in mask.nonzero(as_tuple=True))
    if len(rows) < 3:
        return 0.5, 0.5, 0.0, 1.0
    side = mask.shape[-1]
    x, y = float(columns.mean()), float(rows.mean())
    xx, yy = float((columns - x).square().mean()), float((rows - y).square().mean())
    xy = float(((columns - x) * (rows - y)).mean())
    root = math.hypot(xx - yy, 2 * xy)
    ratio = math.sqrt((xx + yy + root) / max(xx + yy - root, 1e-6))
    return x / side, y / side, 0.5 * math.atan2(2 * xy, xx - yy), ratio


def extent(mask: torch.Tensor, angle: float) -> tuple[float, float, float, float]:
    """Return centre x and y of the part's box at that angle, half its length and width, as shares."""
    rows, columns = (index.double() + 0.5 for index in mask.nonzero(as_tuple=True))
    side = mask.shape[-1]
    if not len(rows):
        return 0.5, 0.5, 0.5, 0.5
    cosine, sine = math.cos(angle), math.sin(angle)
    along, across = columns * cosine + rows * sine, rows * cosine - columns * sine
    u, v = float(along.min() + along.max()) / 2, float(across.min() + across.max()) / 2
    half = (float(along.max() - along.min()) / 2, float(across.max() - across.min()) / 2)
    return (u * cosine - v * sine) / side, (u * sine + v * cosine) / side, half[0] / side, half[1] / side


def all_lone(masks: list[torch.Tensor]) -> bool:
    """Whether nearly every photo holds one part, clear of its border."""
    clear = []
    for mask in masks:
        share = float(mask.float().mean())
        rim = torch.cat([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        clear.append(SMALLEST < share < LARGEST and float(rim.float().mean()) < 0.01)
    return float(np.mean(clear)) >= 0.95
