"""Does a real texture gain from kernels that all places share, and from a coarse grid of its own?

    apt-get download ufoai-textures && dpkg-deb -x ufoai-textures_*.deb ufoai
    python benchmarks/texture_photos.py ufoai/usr/share/games/ufoai/base/0textures.pk3

Fifteen photos of Debian's package ufoai-textures, 512 or 1024 px. patch_kde learns from 100 crops of a
photo's left half, a quarter of the photo wide, at 256 px, each turned by a degree or so and under its own
lamp. Crops of the right half are evaluated, 40 good ones and 20 of each kind of defect, made as textures of
MVTec AD have them. The other settings are those of params.yaml. The last column is what `window: auto`
chooses. Takes a quarter of an hour.

How hard these defects are, a network trained on ImageNet tells: with `--weights` and the file of
pretrained_patch_kde (docs/models.md), each photo has a row of that model too; ten minutes more.

False alarms are not told: crops of one photo overlap, so left-out ones look more usual than new ones do.
"""

import io
import zipfile
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import torch
import typer
from PIL import Image
from scipy import ndimage

from mlproject import models
from mlproject.core import params
from mlproject.evaluation import metrics
from mlproject.models import patch_kde
from mlproject.models.components.patch_detector import PART, PatchDetector
from mlproject.models.components.pooled_density import PooledDensity
from mlproject.training.run_options import RunOptions

SIDE = 256
FIT, GOOD, EACH = 100, 40, 20  # crops
PHOTOS = {
    "asphalt": "tex_buildings/floor005.png",
    "chips": "tex_mattn/wood006.jpg",
    "concrete, coarse": "tex_ctp1/concrete_g_10.jpg",
    "concrete, fine": "tex_ctp1/concrete_g_5.jpg",
    "concrete, mixed": "tex_ctp1/concrete_g_8.jpg",
    "fabric": "tex_ctp1/wood_b_1.jpg",
    "grate": "tex_buildings/9gratefloor01b.jpg",
    "leather": "tex_ctp1/metal_g_3.jpg",
    "mesh": "tex_ctp1/metal_g_1.jpg",
    "perforated sheet": "tex_buildings/metal02.png",
    "sand": "tex_nature/desert009.png",
    "straw": "tex_ctp1/ground_b_1.jpg",
    "tread plate": "tex_material/metal002.png",
    "wood, dark": "tex_ctp1/wood_b_9.jpg",
    "wood, pale": "tex_ctp1/wood_b_10.jpg",
}
ROWS = {
    "near": ("near", patch_kde.TEXTURE),
    "all": ("all", patch_kde.TEXTURE),
    "all, coarse grid of parts": ("all", patch_kde.CONTEXT),
}
WITH_WEIGHTS = "all, ImageNet weights"
KINDS = ("thread", "cut", "poke", "hole", "glue", "colour", "stroke", "foreign")


def crop(half: np.ndarray, side: float, random: np.random.Generator) -> np.ndarray:
    """Return (SIDE, SIDE, 3) uint8, about `side` pixels of (h, w, 3), whose top and bottom join."""
    turn, step = np.deg2rad(random.normal(0, 1)), side / SIDE * random.normal(1, 0.01)
    margin = 0.53 * side + 2
    middle = random.uniform((0, margin), (len(half), half.shape[1] - margin))
    down, right = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    rows = middle[0] + step * (down * np.cos(turn) + right * np.sin(turn))
    columns = middle[1] + step * (right * np.cos(turn) - down * np.sin(turn))
    layers = [
        ndimage.map_coordinates(layer, (rows, columns), order=1, mode="grid-wrap")
        for layer in np.moveaxis(half, 2, 0)
    ]
    light = np.stack(layers, axis=2) * random.normal(1, 0.04) + random.normal(0, 2, (SIDE, SIDE, 3))
    return np.asarray(light.clip(0, 255).round().astype(np.uint8))


def crops(photo: np.ndarray, count: int, seed: int, *, left: bool) -> np.ndarray:
    """Return (count, SIDE, SIDE, 3) uint8 of one half of (h, w, 3)."""
    half = np.split(photo.astype(np.float32), [photo.shape[1] // 2], axis=1)[0 if left else 1]
    side = min(photo.shape[:2]) / 4
    return np.stack([crop(half, side, np.random.default_rng([seed, number])) for number in range(count)])


def _spot(random: np.random.Generator, area: float) -> np.ndarray:
    """Return (SIDE, SIDE) in [0, 1], a rounded spot of about `area` pixels."""
    down, right = np.mgrid[:SIDE, :SIDE] - random.uniform(50, SIDE - 50, (2, 1, 1))
    bumps = ndimage.gaussian_filter(random.standard_normal((SIDE, SIDE)), 9)
    inside = np.hypot(down, right * random.uniform(0.7, 1.4)) / np.sqrt(area / np.pi)
    return np.asarray(ndimage.gaussian_filter((inside - 0.35 * bumps / bumps.std() < 1).astype(float), 1.2))


def _line(random: np.random.Generator, length: float, width: float, curl: float) -> np.ndarray:
    """Return (SIDE, SIDE) in [0, 1], a line of that length and width, pixels, whose direction drifts."""
    steps = 2 * int(length)
    angles = random.uniform(0, 2 * np.pi) + 0.05 * np.cumsum(np.cumsum(random.normal(0, curl / 2, steps)))
    path = random.uniform(60, SIDE - 60, 2) + 0.5 * np.cumsum(
        np.stack([np.sin(angles), np.cos(angles)], 1), 0
    )
    rows, columns = path.round().astype(int).clip(0, SIDE - 1).T
    off = np.ones((SIDE, SIDE), dtype=bool)
    off[rows, columns] = False
    return np.asarray((width / 2 + 0.5 - ndimage.distance_transform_edt(off)).clip(0, 1))


def defective(
    image: np.ndarray, kind: str, random: np.random.Generator, foreign: np.ndarray | None = None
) -> np.ndarray:
    """Return the crop (SIDE, SIDE, 3) uint8 with a defect; `foreign` is a crop of another texture."""
    seen, mean = image.astype(np.float32), image.mean(axis=(0, 1))
    if kind == "thread":
        mask = 0.8 * _line(random, random.uniform(50, 110), 2, 0.8)[..., None]
        other = (mean + random.choice((-1, 1)) * 60 * random.uniform(0.7, 1.2)).clip(10, 245)
    elif kind == "cut":  # dark, its edge lit
        line = _line(random, random.uniform(30, 70), 2.5, 0.2)
        seen = seen + (25 * np.roll(line, (2, 1), (0, 1)) * (1 - line))[..., None]
        mask, other = 0.6 * line[..., None], 0
    elif kind == "poke":  # a dark point in a light rim
        away = np.hypot(*(np.mgrid[:SIDE, :SIDE] - random.uniform(40, SIDE - 40, (2, 1, 1))))
        width = random.uniform(2.2, 4)
        seen = seen + (25 * np.exp(-0.5 * ((away - 1.8 * width) / 1.2) ** 2))[..., None]
        mask, other = 0.65 * np.exp(-0.5 * (away / width) ** 2)[..., None], 0
    elif kind == "hole":
        mask, other = 0.75 * _spot(random, random.uniform(250, 700))[..., None], 0.35 * mean
    elif kind == "glue":  # the texture is blurred beneath, and paler
        mask = _spot(random, random.uniform(500, 1200))[..., None]
        other = 0.85 * ndimage.gaussian_filter(seen, (2.5, 2.5, 0)) + 0.15 * 245
    elif kind == "colour":
        mask, tint = _spot(random, random.uniform(300, 900))[..., None], random.standard_normal(3)
        tint = tint - tint.mean()
        other = seen + 32 * tint / np.abs(tint).max()
    elif kind == "stroke":  # a broad shadow
        line = _line(random, random.uniform(40, 90), random.uniform(8, 14), 0.2)
        mask, other = 0.3 * ndimage.gaussian_filter(line, 1.5)[..., None], 0
    else:
        assert kind == "foreign" and foreign is not None
        mask = _spot(random, random.uniform(300, 700))[..., None]
        other = foreign - foreign.mean(axis=(0, 1)) + mean
    return np.asarray((seen + mask * (other - seen)).clip(0, 255).round().astype(np.uint8))


def main(
    archive: Annotated[Path, typer.Argument(help="0textures.pk3 of ufoai-textures.")],
    weights: Annotated[Path | None, typer.Option(help="Adds rows of pretrained_patch_kde.")] = None,
) -> None:
    """Print a row for each photo and window."""
    settings = params.load_file()["models"]["patch_kde"] | {"align": "none"}
    torch.set_num_threads(1)
    with zipfile.ZipFile(archive) as packed:
        photos = {
            name: np.asarray(Image.open(io.BytesIO(packed.read(f"textures/{path}"))).convert("RGB"))
            for name, path in PHOTOS.items()
        }
    print(f"| texture | window | AUROC, all | {' | '.join(KINDS)} | `auto` |")
    print("| --- | --- | --- |" + " --- |" * (len(KINDS) + 1), flush=True)
    names = list(photos)
    rows = ROWS if weights is None else {**ROWS, WITH_WEIGHTS: ("all", patch_kde.TEXTURE)}
    pretrained = params.load_file()["models"]["pretrained_patch_kde"] | {
        "align": "none",
        "weights": str(weights),
    }
    overall: dict[str, list[float]] = {row: [] for row in rows}
    for number, (name, photo) in enumerate(photos.items()):
        train, good = crops(photo, FIT, 1, left=True), crops(photo, GOOD, 2, left=False)
        foreign = crops(photos[names[number - 4]], EACH, 4, left=False).astype(np.float32)
        bad = [
            defective(image, KINDS[count // EACH], np.random.default_rng([5, count]), foreign[count % EACH])
            for count, image in enumerate(crops(photo, EACH * len(KINDS), 3, left=False))
        ]
        pooled = isinstance(_fitted(settings, "auto", train).densities[0], PooledDensity)
        chosen = "all" if pooled else "near"
        for row, (window, coarse) in rows.items():
            patch_kde.TEXTURE = coarse
            detector = (
                _fitted(pretrained, window, train, "pretrained_patch_kde")
                if row == WITH_WEIGHTS
                else _fitted(settings, window, train)
            )
            scores = detector.measure(np.stack([*good, *bad])).parts[PART]
            found = [_auroc(scores[:GOOD], scores[GOOD:])]
            found += [_auroc(scores[:GOOD], some) for some in scores[GOOD:].reshape(len(KINDS), EACH)]
            overall[row].append(found[0])
            cells = " | ".join(f"{value:.3f}" for value in found)
            print(f"| {name} | {row} | {cells} | {chosen} |", flush=True)
    print()
    for row, aurocs in overall.items():
        more = np.subtract(overall["all"], aurocs)
        print(
            f"{row}: mean AUROC {np.mean(aurocs):.3f}; `all` is better on {np.count_nonzero(more > 0)} of "
            f"{len(more)}, by {more.min():+.3f} to {more.max():+.3f}"
        )


def _fitted(
    settings: dict[str, Any], window: str, train: np.ndarray, model: str = "patch_kde"
) -> PatchDetector:
    detector = cast(PatchDetector, models.create(model, settings | {"window": window}))
    detector.fit(train, train[:1], RunOptions(seed=0))
    return detector


def _auroc(good: np.ndarray, bad: np.ndarray) -> float:
    found = metrics.auroc(np.repeat([0, 1], [len(good), len(bad)]), np.concatenate([good, bad]))
    assert found is not None
    return found


if __name__ == "__main__":
    typer.run(main)
