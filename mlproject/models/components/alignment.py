"""Parts that lie in any position on a plain background, brought into one position and cropped.

The axis comes from second moments (Hu 1962); direction, and the last degrees and pixels, from the best match
with a template, the mean of the good images.
"""

import math
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from mlproject.models.components import threads
from mlproject.models.components.part_pose import (
    DARKEST,
    MASK_SIZE,
    Part,
    all_lone,
    extent,
    find_part,
    moments,
    plane_of,
)

ELONGATED = 1.5  # ratio of the principal axes from which their direction can be trusted
TEMPLATE_SIZE = 128  # longer side of the template, pixels
FINE_TURNS = tuple(range(-4, 5))  # degrees about the axis
ANY_TURN = tuple(range(0, 360, 9))
CLOSER_TURNS = (-6.0, -4.5, -3.0, -1.5, 0.0, 1.5, 3.0, 4.5, 6.0)
LAST_TURNS = (-0.7, -0.35, 0.0, 0.35, 0.7)
SHIFT = 3  # pixels of the template
GROWTH = 2.0  # most times that a crop is enlarged
ENOUGH = 60  # good images that say how parts lie, and whose mean is the template
ROUNDS = 3  # of matching the images with the template
MARGIN = 1.08  # of the crop, times the largest usual part
WHOLE_SIZE = 64  # side at which whole photos are compared, pixels
FIXED = 0.07  # distance to the nearest fellow, in units of the contrast, below which parts are fixed
GAIN = 0.6  # share of the distance at one pose for all, below which aligning must bring it; and
GAIN_TURNED = 0.8  # where parts lie turned: what differs from part to part anyhow, such as grain, stays
TURNED = 10.0  # degrees off the usual angle, in half of the photos
DETAIL = 4  # pixels of the template that are averaged first: grain varies however parts are aligned
CONVEX = 0.95  # share of its convex hull that a convex part fills at least: round ones .98, screws .7
INSIDE = 0.95  # share of the parts inside whose outline a place lies
FROM_OUTLINE = 3  # cells between such a place and the outline
DARK = 0.2  # level of the background below which it says less about the lamp
LEVEL = 0.6  # of the background, for models of a release that did not save it


@dataclass(frozen=True)
class Pose:
    """Where a part lies: centre x and y as shares of the photo's side, angle in radians, clockwise."""

    x: float
    y: float
    angle: float

    def turned(self, degrees: float) -> "Pose":
        """Return the pose at another angle."""
        return Pose(self.x, self.y, self.angle + math.radians(degrees))

    def moved(self, along: float, across: float) -> "Pose":
        """Return the pose moved along its axis and across it, shares of the side."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        return Pose(
            self.x + along * cosine - across * sine, self.y + along * sine + across * cosine, self.angle
        )


@dataclass(frozen=True)
class Alignment:
    """How parts are cropped.

    Attributes:
        half_length: of the crop along the part's axis, and
        half_width: across it, both as shares of the photo's side.
        rows, columns: of the crop, pixels.
        elongated: the axis is known from moments; else every angle is tried.
        template: (4, h, w) float32, the usual part as `Part.contrast` has it.
        background: (3,) float32, its usual level in each colour, which it gets in a crop whatever the lamp.
    """

    half_length: float
    half_width: float
    rows: int
    columns: int
    elongated: bool
    template: torch.Tensor
    background: torch.Tensor

    def crop(self, photo: torch.Tensor) -> tuple[torch.Tensor, Pose]:
        """Return the part of a (3, s, s) photo in [0, 1], (3, rows, columns), and its pose."""
        part = find_part(photo)
        pose = self.pose(part)
        crop = self.sample(self.levelled(photo, part), [pose], self.rows, self.columns)[0]
        return crop.clamp(0, 1), pose

    def levelled(self, photo: torch.Tensor, part: Part) -> torch.Tensor:
        """Return the (3, s, s) photo of a part as if its background were the usual one everywhere.

        A dark background says little about the lamp, and its small differences would be large factors: there
        the photo stays nearly as it is.
        """
        usual = self.background[:, None, None]
        more = (DARK - usual).clamp_min(0)
        background = plane_of(part.background, photo.shape[-1]).clamp_min(DARKEST)
        return photo * (usual.clamp_min(DARKEST) + more) / (background + more)

    def pose(self, part: Part) -> Pose:
        """Return the pose whose crop is nearest to the template; first coarsely, among many."""
        best = self._nearest(part.contrast, rough_poses(part.mask, self.elongated), shrink=4)
        best = self._nearest(part.contrast, [best.turned(turn) for turn in CLOSER_TURNS], shrink=2)
        return self._nearest(part.contrast, [best.turned(turn) for turn in LAST_TURNS], shrink=1)

    def _nearest(self, contrast: torch.Tensor, poses: list[Pose], shrink: int) -> Pose:
        """Return the pose, moved by up to SHIFT pixels of the smaller template, with the least difference."""
        shape = self.template.shape[-2:]
        rows, columns = (max(4, side // shrink) for side in shape)
        reach = min(SHIFT, (min(rows, columns) - 1) // 4)
        # both are averaged alike, from the same pixels
        crops = F.interpolate(self.sample(contrast, poses, *shape), (rows, columns), mode="area")
        template = F.interpolate(self.template[None], (rows, columns), mode="area")[0]
        inner = template[:, reach : rows - reach, reach : columns - reach]
        squares = F.avg_pool2d(crops.square().sum(dim=1, keepdim=True), inner.shape[-2:], 1)
        differences = squares * inner[0].numel() - 2 * F.conv2d(crops, inner[None])
        number = int(differences.flatten(1).amin(dim=1).argmin())
        down, right = (place - reach for place in _lowest(differences[number, 0]))
        return poses[number].moved(2 * self.half_length * right / columns, 2 * self.half_width * down / rows)

    def sample(self, maps: torch.Tensor, poses: list[Pose], rows: int, columns: int) -> torch.Tensor:
        """Return (k, c, rows, columns) of (c, s, s) along the axes of k poses, averaged where it shrinks."""
        shrink = int(2 * self.half_length * maps.shape[-1] / columns)
        if shrink >= 2:
            maps = F.avg_pool2d(maps[None], shrink, ceil_mode=True)[0]
        along = ((torch.arange(columns) + 0.5) / columns * 2 - 1) * self.half_length
        across = ((torch.arange(rows) + 0.5) / rows * 2 - 1) * self.half_width
        v, u = torch.meshgrid(across, along, indexing="ij")
        x, y, angle = torch.tensor([[pose.x, pose.y, pose.angle] for pose in poses]).T[:, :, None, None]
        grid = torch.stack([x + u * angle.cos() - v * angle.sin(), y + u * angle.sin() + v * angle.cos()], -1)
        images = maps.expand(len(poses), -1, -1, -1)
        return F.grid_sample(images, grid * 2 - 1, padding_mode="border", align_corners=False)

    def surface(self, rows: int, columns: int) -> torch.Tensor:
        """Return (rows, columns) bool, the cells of a crop that lie inside nearly all parts' outlines.

        None of a part that is not convex: where its outline turns in and out, one place is not like another.
        """
        if _filled(self.template[3] > 0.5) < CONVEX:
            return torch.zeros(rows, columns, dtype=torch.bool)
        outline = F.interpolate(self.template[None, 3:], (rows, columns), mode="area")
        beyond = F.pad((outline <= INSIDE).float(), (FROM_OUTLINE,) * 4, value=1.0)
        return F.max_pool2d(beyond, 2 * FROM_OUTLINE + 1, 1)[0, 0] == 0

    def to_photo(self, crop_map: torch.Tensor, pose: Pose, size: int) -> torch.Tensor:
        """Return (size, size), in the photo's frame, of a map of the crop; its minimum beyond the crop."""
        low = crop_map.min()
        steps = (torch.arange(size) + 0.5) / size
        y, x = torch.meshgrid(steps - pose.y, steps - pose.x, indexing="ij")
        cosine, sine = math.cos(pose.angle), math.sin(pose.angle)
        along, across = (x * cosine + y * sine) / self.half_length, (y * cosine - x * sine) / self.half_width
        grid = torch.stack([along, across], dim=-1)[None]
        return F.grid_sample((crop_map - low)[None, None], grid, align_corners=False)[0, 0] + low


def _filled(mask: torch.Tensor) -> float:
    """Return how much of its convex hull a mask (h, w) fills."""
    from scipy.spatial import ConvexHull  # a quarter of a second that a saved model does without

    corners = mask.nonzero().numpy()[:, None] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return float(mask.sum()) / ConvexHull(corners.reshape(-1, 2)).volume if mask.any() else 0.0


def rough_poses(mask: torch.Tensor, elongated: bool) -> list[Pose]:
    """Return the poses that are tried: along the axis either way, or every turn about the centre of mass."""
    x, y, angle, _ = moments(mask)
    if not elongated:
        return [Pose(x, y, 0.0).turned(turn) for turn in ANY_TURN]
    x, y, *_ = extent(mask, angle)
    return [Pose(x, y, angle + way).turned(turn) for way in (0.0, math.pi) for turn in FINE_TURNS]


def _lowest(surface: torch.Tensor) -> tuple[float, float]:
    """Return row and column of the minimum of (h, w), between pixels by a parabola through three."""
    row, column = divmod(int(surface.argmin()), surface.shape[1])
    found = []
    for line, place in ((surface[:, column], row), (surface[row], column)):
        step = 0.0
        if 0 < place < len(line) - 1:
            before, here, after = line[place - 1 : place + 2].tolist()
            step = (before - after) / (2 * (before - 2 * here + after)) if before + after > 2 * here else 0.0
        found.append(place + step)
    return found[0], found[1]


def fit(parts: list[Part], size: int, image_size: int, multiple: int) -> Alignment | None:
    """Return how the parts of good photos are cropped; None if there is no lone part in them.

    Args:
        parts: one a photo.
        size: side of the photos, pixels.
        image_size: the crop has about image_size² pixels, but is enlarged by no more than GROWTH.
        multiple: its sides are multiples of this, pixels.
    """
    if not all_lone([part.mask for part in parts]):
        return None
    found = [moments(part.mask) for part in parts]
    elongated = float(np.median([ratio for *_, ratio in found])) > ELONGATED
    boxes = np.array([extent(part.mask, pose[2])[2:] for part, pose in zip(parts, found, strict=True)])
    half_length, half_width = (np.quantile(boxes, 0.95, axis=0) * MARGIN + 2 / MASK_SIZE).tolist()
    if not elongated:
        half_length = half_width = max(half_length, half_width)
    scale = min(GROWTH, image_size / (2 * size * math.sqrt(half_length * half_width)))
    rows, columns = (
        max(1, math.ceil(2 * half * size * scale / multiple)) * multiple for half in (half_width, half_length)
    )
    shape = [max(4 * SHIFT, round(TEMPLATE_SIZE * side / max(rows, columns))) for side in (rows, columns)]
    # the photo whose part is most usual in size starts; then all are matched with the mean so far
    usual = int(np.abs(boxes - np.median(boxes, axis=0)).sum(axis=1).argmin())
    start = rough_poses(parts[usual].mask, elongated)[len(FINE_TURNS) // 2 if elongated else 0]
    background = torch.stack([part.background[:, 0] for part in parts]).median(dim=0).values
    blank = torch.zeros(4, *shape)
    alignment = Alignment(half_length, half_width, rows, columns, elongated, blank, background)
    template = alignment.sample(parts[usual].contrast, [start], *shape)[0]
    for _ in range(ROUNDS):
        alignment = replace(alignment, template=template)
        template = _crops(parts, _poses(parts, alignment), alignment).mean(dim=0)
    return replace(alignment, template=template)


def _poses(parts: list[Part], alignment: Alignment) -> list[Pose]:
    return threads.map_items(alignment.pose, parts)


def _crops(parts: list[Part], poses: list[Pose], alignment: Alignment) -> torch.Tensor:
    """Return (n, 4, h, w), the parts at their poses as the template has them."""
    shape = alignment.template.shape[-2:]
    pairs = zip(parts, poses, strict=True)
    return torch.cat([alignment.sample(part.contrast, [pose], *shape) for part, pose in pairs])


def varies(parts: list[Part]) -> bool:
    """Whether good photos, taken as they are, are far from their nearest fellow."""
    return _to_nearest(_whole(parts, WHOLE_SIZE)) > FIXED


def helps(parts: list[Part], alignment: Alignment) -> bool:
    """Whether good photos are much nearer to each other at their own poses than all at one, the usual pose.

    Args:
        parts: of good photos.
        alignment: fitted to them.
    """
    poses = _poses(parts, alignment)
    turns = np.exp(1j * np.array([pose.angle for pose in poses]))
    turned = turns.mean()
    x, y = np.median([(pose.x, pose.y) for pose in poses], axis=0)
    usual = Pose(float(x), float(y), float(np.angle(turned)))
    before, after = (
        _to_nearest(F.avg_pool2d(_crops(parts, taken, alignment), DETAIL))
        for taken in ([usual] * len(parts), poses)
    )
    off = np.degrees(np.abs(np.angle(turns / np.exp(1j * usual.angle))))
    return after < (GAIN_TURNED if np.median(off) > TURNED else GAIN) * before


def _whole(parts: list[Part], side: int) -> torch.Tensor:
    """Return (n, 4, side, side), the contrasts of whole photos."""
    return torch.cat([F.interpolate(part.contrast[None], (side, side), mode="area") for part in parts])


def _to_nearest(contrasts: torch.Tensor) -> float:
    """Return the mean over images of the distance to the nearest other, in units of their own length."""
    flat = contrasts.flatten(1)
    distances = torch.cdist(flat, flat).fill_diagonal_(math.inf)
    return float((distances.amin(dim=1) / flat.norm(dim=1).clamp_min(1e-6)).mean())


def arrays(alignment: Alignment) -> dict[str, np.ndarray]:
    """Return all that `from_arrays` needs."""
    return {field.name: np.asarray(getattr(alignment, field.name)) for field in fields(alignment)}


def from_arrays(found: dict[str, np.ndarray]) -> Alignment:
    """Take the arrays of `arrays` back."""
    found = {"background": np.full(3, LEVEL, dtype=np.float32)} | found
    template, background = (
        torch.from_numpy(np.array(found.pop(name))) for name in ("template", "background")
    )
    values = {name: array.item() for name, array in found.items()}
    return Alignment(**values, template=template, background=background)
