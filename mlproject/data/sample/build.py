"""The built-in sample: three product categories made by the project, learnable, in MVTec AD's layout.

For trying the pipeline without a download and for tests with a known truth. Every image is drawn from its
own seed, so neither order nor workers matter. Good and defective test images are captured over the same even
spread of pose, light, focus and noise: only the defect tells them apart. Defects reach down to a few pixels,
so a recall by size has something to say.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from zlib import crc32

import numpy as np
from PIL import Image, ImageFilter

from mlproject.core.errors import unknown_name
from mlproject.core.files import demand_files, written_whole
from mlproject.core.parallel import usable_cores
from mlproject.data.sample import bolt, bracket, camera, weave

_SCENES: dict[str, ModuleType] = {"bracket": bracket, "weave": weave, "bolt": bolt}
CATEGORIES = tuple(_SCENES)
TRAIN_GOOD, TEST_GOOD, TEST_EACH_DEFECT = 200, 30, 12
VISIBLE = 4.0  # grey levels, before noise, from which a change counts as part of the defect


@dataclass(frozen=True)
class Picture:
    """One image of the sample and what its pixels follow from."""

    category: str
    subset: str  # train | test
    defect: str  # "good" or the type
    index: int
    seed: int

    @property
    def path(self) -> Path:
        """Its path relative to the sample's folder."""
        return Path(self.category, self.subset, self.defect, f"{self.index:03d}.png")

    @property
    def mask_path(self) -> Path:
        """Path of its mask, if it is defective."""
        return Path(self.category, "ground_truth", self.defect, f"{self.index:03d}_mask.png")

    @property
    def files(self) -> list[Path]:
        """The image and, if it is defective, its mask, relative to the category's folder."""
        paths = [self.path] if self.defect == "good" else [self.path, self.mask_path]
        return [path.relative_to(self.category) for path in paths]

    def rng(self, what: str) -> np.random.Generator:
        """Return the random numbers of one aspect of this image: independent of any other's."""
        return np.random.default_rng([self.seed, crc32(self.path.as_posix().encode()), crc32(what.encode())])


def write_sample(folder: Path, categories: Sequence[str], seed: int = 0, workers: int | None = None) -> None:
    """Write `folder/<category>/…` in MVTec AD's layout, 256 px RGB PNG, replacing what is there.

    A category appears whole or not at all.

    Args:
        categories: any of CATEGORIES.
        seed: same seed, same bytes (with the same Pillow).
        workers: processes; by default one a core.

    Raises:
        UserError: a category does not exist (the nearest is named).
    """
    for category in categories:
        if category not in _SCENES:
            raise unknown_name(f"the sample's category {category}", category, CATEGORIES)
    # Spawned, since forking a caller that has threads (torch, a progress bar) can hang the child.
    with ProcessPoolExecutor(workers or usable_cores(), mp_context=get_context("spawn")) as pool:
        for category in categories:
            write_category(folder / category, pictures(category, seed), pool)


def write_category(target: Path, todo: Sequence[Picture], pool: Executor) -> None:
    """Write these pictures of one category, and their masks, as `target`: all of them or nothing."""
    with written_whole(target) as part:
        list(pool.map(_write, [part] * len(todo), todo, chunksize=8))
        demand_files(part, (path for picture in todo for path in picture.files))


def pictures(category: str, seed: int) -> list[Picture]:
    """Return every picture of a category, train first."""
    counts = {("train", "good"): TRAIN_GOOD, ("test", "good"): TEST_GOOD}
    counts |= {("test", defect): TEST_EACH_DEFECT for defect in _SCENES[category].DEFECTS}
    return [
        Picture(category, subset, defect, index, seed)
        for (subset, defect), count in counts.items()
        for index in range(count)
    ]


def render(picture: Picture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the image, its mask, and its twin: the same photo had the defect not happened.

    Image and twin are equal outside the mask, noise included.

    Returns:
        (256, 256, 3) uint8, (256, 256) bool, (256, 256, 3) uint8; a good image is its own twin.
    """
    capture = _capture(picture)
    levels = good = _develop(picture, None, capture)
    mask = np.zeros(good.shape[:2], bool)
    if picture.defect != "good":
        change = _develop(picture, picture.defect, capture) - good
        size = np.abs(change).max(axis=-1)
        # Shrunk to 0 at the mask's rim, so that cutting off a faint shadow leaves no seam.
        levels = good + change * np.clip(1 - VISIBLE / np.maximum(size, VISIBLE), 0, 1)[..., None]
        mask = _closed(size > VISIBLE)
    image = twin = camera.expose(levels, capture, picture.rng("noise"))
    if levels is not good:
        twin = camera.expose(good, capture, picture.rng("noise"))
    return image, mask, twin


def _capture(picture: Picture) -> camera.Capture:
    folder = {"train/good": TRAIN_GOOD, "test/good": TEST_GOOD}
    count = folder.get(f"{picture.subset}/{picture.defect}", TEST_EACH_DEFECT)
    place = crc32(picture.path.parent.as_posix().encode())
    return camera.captures(count, np.random.default_rng([picture.seed, place]))[picture.index]


def _develop(picture: Picture, defect: str | None, capture: camera.Capture) -> np.ndarray:
    render_scene = _SCENES[picture.category].render
    return camera.develop(render_scene(picture.rng("part"), picture.rng("flaw"), defect, capture), capture)


def _closed(mask: np.ndarray) -> np.ndarray:
    """Return the mask without pinholes and hairline gaps: where a defect happens to look like good."""
    closed = (
        Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(9)).filter(ImageFilter.MinFilter(9))
    )
    return np.asarray(closed) > 0


def _write(root: Path, picture: Picture) -> None:
    image, mask, _ = render(picture)
    for pixels, path in zip((image, mask.astype(np.uint8) * 255), picture.files, strict=False):
        _save(pixels, root / path)


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(
        path, compress_level=1
    )  # noise hardly compresses: a third of the time, 10% larger
