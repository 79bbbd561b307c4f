"""A prepared category: memory-mapped arrays and their manifest, as `prepare.prepare_category` writes them.

images.npy     (n, S, S, 3) uint8 RGB, row i is row i of the manifest
masks.npy      (n_test, S, S) uint8, 0 or 1, row j is the j-th test row; zeros where there is no mask
manifest.csv   one row an image, train first, each part sorted by path
prepared.json  category, image_size, data_hash, pixels_hash, n_train, n_test_good, n_test_defective
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mlproject.core import artifacts, files, params
from mlproject.core.errors import UserError
from mlproject.core.tables import read_table
from mlproject.data import labelled_pool, split


@dataclass(frozen=True)
class Prepared:
    """A prepared category, as `load` returns it.

    >>> manifest = pd.DataFrame({"path": ["train/good/0.png", "test/hole/0.png"], "split": ["train", "test"]})
    >>> manifest["original"] = manifest["path"]
    >>> images, masks = np.zeros((2, 64, 64, 3), np.uint8), np.zeros((1, 64, 64), np.uint8)
    >>> data = Prepared("disc", 64, "", "", images, masks, manifest)
    >>> data.paths(data.rows(split="test"))
    ['test/hole/0.png']

    Attributes:
        images: (n, S, S, 3) uint8 RGB, mapped from the file.
        masks: (n_test, S, S) uint8, 0 or 1, mapped from the file.
        manifest: n rows: path, category, split, defect, label, width, height, mode, sha256, has_mask, bytes,
            original (path of the first image that it is a copy of, its own where it is none).
        data_hash: of the files that were prepared, images and masks, and their paths.
        pixels_hash: of the images as they were decoded and resized.
    """

    category: str
    image_size: int
    data_hash: str
    pixels_hash: str
    images: np.ndarray
    masks: np.ndarray
    manifest: pd.DataFrame

    def rows(self, **wanted: str | int) -> np.ndarray:
        """Return the ascending rows whose columns have these values, such as ``split="test", label=0``."""
        chosen = np.ones(len(self.manifest), dtype=bool)
        for column, value in wanted.items():
            chosen &= (self.manifest[column] == value).to_numpy()
        return np.flatnonzero(chosen)

    def paths(self, rows: np.ndarray) -> list[str]:
        """Return the paths of some rows, relative to the category's folder."""
        return [str(path) for path in self.manifest["path"].iloc[rows]]

    def originals(self, rows: np.ndarray) -> list[str]:
        """Return the paths that decide the roles of some rows: copies of an image have the image's."""
        return [str(path) for path in self.manifest["original"].iloc[rows]]

    @property
    def copies(self) -> dict[str, str]:
        """Path of each image that is a copy → path of the first image that it is a copy of."""
        pairs = zip(self.manifest["path"], self.manifest["original"], strict=True)
        return {str(path): str(original) for path, original in pairs if path != original}

    def roles(self, settings: params.Split, seed: int) -> split.Roles:
        """Return the manifest's rows of the good training images by role.

        Raises:
            TooFewImages: a role would be empty.
        """
        good = self.rows(split="train")
        found = split.split(self.originals(good), settings.validation_share, seed, settings.calibration)
        return split.Roles(good[found.train], good[found.validation], good[found.calibration])

    def labelled_pool(self, seed: int) -> np.ndarray:
        """Return the ascending rows of the test images that a supervised detector may learn from."""
        test = self.rows(split="test")
        return test[~self._held_out(test, seed)]

    def held_out(self, seed: int) -> np.ndarray:
        """Return the ascending rows of the test images that are not in the labelled pool."""
        test = self.rows(split="test")
        return test[self._held_out(test, seed)]

    def _held_out(self, test: np.ndarray, seed: int) -> np.ndarray:
        defects = self.manifest["defect"].iloc[test].tolist()
        return labelled_pool.held_out(self.originals(test), defects, seed)


def load(category: str, root: Path = artifacts.PREPARED) -> Prepared:
    """Return a prepared category, its arrays memory-mapped and read-only.

    Raises:
        UserError: it is not prepared, or by an earlier release.
    """
    folder = root / category
    facts = files.read_json(folder / "prepared.json")
    manifest = read_table(folder / "manifest.csv")
    if "original" not in manifest:
        raise UserError(f"{folder}: was prepared by an earlier release. `dvc repro` prepares it again.")
    return Prepared(
        category=facts["category"],
        image_size=facts["image_size"],
        data_hash=facts["data_hash"],
        pixels_hash=facts["pixels_hash"],
        images=files.read_array(folder / "images.npy"),
        masks=files.read_array(folder / "masks.npy"),
        manifest=manifest,
    )
