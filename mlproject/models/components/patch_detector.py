"""Base class of the detectors that put a kernel density at each position of a grid of descriptors.

A model says what describes an image (`describe`) and on which grids; here parts are aligned, lamps levelled,
densities fitted and maps brought back onto the photo.
"""

import copy
import math
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field

from mlproject.core.errors import UserError
from mlproject.core.params import Section
from mlproject.models.components import alignment, density_fit, lamps, threads, whitening
from mlproject.models.components.alignment import Alignment, Pose
from mlproject.models.components.alterations import ALTERATIONS, Change
from mlproject.models.components.descriptor_grid import Grid, arrays_of, as_first, grids_of
from mlproject.models.components.detector import Detector, Labelled, Parts
from mlproject.models.components.part_pose import Part, find_part
from mlproject.models.components.position_density import PositionDensity
from mlproject.models.components.search_space import THRESHOLD, Choice, Range, Space
from mlproject.training.loop import Epoch, History
from mlproject.training.run_options import RunOptions

Described = list[torch.Tensor]
PART = "position_density"
FEWEST = 3  # good images
MEASURED = 8  # images that are measured together
# training images that are described; of more, a random choice, as memory grows with them. A lower limit costs
# accuracy (benchmarks/many_images.py), a higher one more memory at one place than `density_fit.PAIRS` allows
MOST_DESCRIBED = 2000


class PatchParameters(Section):
    """Settings of every model with a density at each position.

    Attributes:
        image_size: side of what is described, pixels.
        part_size: the same of an aligned part, the root of its crop's area: a part alone may have small
            defects, and there is no background to describe.
        align: ``none``; ``template`` turns and crops a lone part on a plain background; ``auto`` does so
            where good images then resemble each other more.
        window: what a place is compared with: ``near``, what good images have within a few cells of it;
            ``all``, what they have anywhere; ``auto``: all where places differ by no more than chance, as in
            a texture without order, or on the surface of aligned parts.
        shrinkage: share of the mean eigenvalue that is added to each when descriptors are whitened.
        smoothing: Gaussian sigma of the first grid's map, cells.
    """

    image_size: int = Field(ge=32, le=1024, multiple_of=16)
    part_size: int = Field(ge=32, le=1024)
    align: Literal["none", "template", "auto"]
    window: Literal["near", "all", "auto"]
    shrinkage: float = Field(gt=0, le=1)
    smoothing: float = Field(ge=0, le=4)


CHANGED = 12  # training images that are relit, and altered
BORDER = 8  # outermost pixels that do not count: a camera that moved shows there what no good image does


class PatchDetector(Detector):
    """Scores each spot of an image by how often good images look like that at the same place.

    Attributes:
        alignment: how parts are cropped; None where the image is taken as it is.
        usual: the light to which a photo is levelled; None where parts are aligned: their background tells
            the lamp.
        grids: those that count; `smoothing` is that of the first one's map.
        densities: one a grid, in the order of `grids`.
        left_out_scores: (n,) float64, each training image's score by the others that are described, in the
            order in which they were given. Densities that store all descriptors hold them in the same order.
        multiple: each side of an aligned part's crop is a multiple of this many pixels.
    """

    part_names = (PART,)
    paper_rule = None
    uses_seed = False
    # no epoch is chosen by validation images, and training images are scored by the others
    threshold_roles = ("train", "validation", "calibration")
    search_space: ClassVar[Space] = {
        **THRESHOLD,
        "shrinkage": Range(0.0005, 0.1, log=True),
        "smoothing": Range(0, 2),
        "window": Choice(("auto", "near", "all")),
    }
    added_settings: ClassVar[Mapping[str, Any]] = {"window": "near"}  # there was no other
    extendable_images: ClassVar[int] = density_fit.MOST_STORED
    multiple: ClassVar[int] = 8
    alignment: Alignment | None = None
    usual: lamps.Usual | None = None
    grids: tuple[Grid, ...] = ()
    densities: tuple[PositionDensity, ...] = ()
    left_out_scores: np.ndarray = np.empty(0)

    @abstractmethod
    def chosen_grids(self, *, texture: bool) -> tuple[Grid, ...]:
        """Return the grids of a new model; the first is the same for a texture and for parts."""

    @abstractmethod
    def describe(self, crops: torch.Tensor) -> list[torch.Tensor]:
        """Return (n, h / cell, w / cell, c) of (n, 3, h, w) crops in [0, 1], one for each grid."""

    def fit(
        self, train: np.ndarray, validation: np.ndarray, run: RunOptions, labelled: Labelled | None = None
    ) -> History:
        """As `Detector.fit`, in one epoch; seed, device, precision and checkpoint change nothing.

        Of more than MOST_DESCRIBED training images the others are scored by those that are described. The
        loss is the mean score of training images, each scored by others, and the mean score of validation
        images.

        Raises:
            UserError: fewer than three training images; align is ``template`` and there is no lone part.
        """
        if len(train) < FEWEST:
            raise UserError(f"{self.name} needs {FEWEST} training images at least, found {len(train)}.")
        started = time.perf_counter()
        drawn = np.sort(np.random.default_rng(0).permutation(len(train))[:MOST_DESCRIBED])
        others = np.setdiff1d(np.arange(len(train)), drawn)
        self._fit(train[drawn] if len(others) else train)
        if len(others):
            scores = np.empty(len(train))
            scores[drawn], scores[others] = self.left_out_scores, self._scores(train, others)
            self.left_out_scores = scores
        loss = float(self.left_out_scores.mean())
        validation_loss = float(self._scores(validation, np.arange(len(validation))).mean())
        seconds = time.perf_counter() - started
        run.on_epoch(Epoch(1, self.epoch_limit, loss, validation_loss, 1, seconds, len(train) / seconds))
        self.after_fit(train, validation)
        return [{"epoch": 1, "loss": loss, "validation_loss": validation_loss}]

    @torch.inference_mode()
    def _fit(self, train: np.ndarray) -> None:
        """Fit the densities to all of these images; each is scored by the others."""
        self.alignment = self._chosen_alignment(train)
        self.usual = None
        if self.alignment is None:
            self.usual = lamps.Usual(torch.cat(threads.map_images(self._luminance, train)).mean(dim=0))
        texture = self.settings.window == "all"
        self.grids = self.chosen_grids(texture=texture)
        described = self._described(train)
        if self.settings.window == "auto" and self._is_texture([image[0] for image in described]):
            texture, before, self.grids = True, self.grids, self.chosen_grids(texture=True)
            if self.grids != before:
                described.clear()  # memory
                described = self._described(train)
        some = train[:: max(1, len(train) // CHANGED)]
        relit = threads.map_images(lambda image: self._changes(image, lamps.LAMPS), some)
        altered = threads.map_images(self._altered, some) if any(g.texture for g in self.grids) else []
        fitted = [
            self._fit_grid(grid, _taken(described), _taken(relit), _taken(altered), texture)
            for grid in self.grids
        ]
        self._take(fitted)

    def _is_texture(self, described: Described) -> bool:
        """Return whether photos, or the surface of aligned parts, are a texture without order."""
        surface = None if self.alignment is None else self.alignment.surface(*described[0].shape[1:3])
        return whitening.is_texture(described, surface)

    def _scores(self, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return (n,) float64 scores of some images; their maps are not kept."""
        some = (rows[start : start + MEASURED] for start in range(0, len(rows), MEASURED))
        return torch.cat([self._measure(images[few])[0] for few in some]).double().numpy()

    def extended(self, added: np.ndarray, keep: np.ndarray) -> Self:
        """As `Detector.extended`: alignment, usual lamp and whitening stay, all else is of the new images.

        Raises:
            UserError: fewer than three training images are left, or the model kept only some of their
                descriptors: they were many, or an earlier release saved it.
        """
        n = len(self.left_out_scores)
        stored = [found for density in self.densities if (found := density.stored(n)) is not None]
        if len(stored) < len(self.densities):
            raise UserError(
                f"this {self.name} did not store the descriptors of all its {n} training images: more than "
                f"{density_fit.MOST_STORED} are too many, and earlier releases stored fewer. It cannot be "
                "extended; train it again."
            )
        if len(keep) != n:
            raise ValueError(f"{len(keep)} images are told, {n} were learnt from")
        left = int(np.count_nonzero(keep)) + len(added)
        if left < FEWEST:
            raise UserError(f"{self.name} needs {FEWEST} training images at least, {left} would be left.")
        new = copy.copy(self)
        new.combination = new.heat_scale = None
        with torch.inference_mode():
            described = self._described(added)
            staying = torch.from_numpy(np.asarray(keep, dtype=bool))
            fitted = [
                density_fit.extended(
                    density, quantised[staying], [image[number] for image in described], grid.widen
                )
                for number, (grid, density, quantised) in enumerate(
                    zip(self.grids, self.densities, stored, strict=True)
                )
            ]
        new._take(fitted)
        return new

    def _take(self, fitted: list[tuple[PositionDensity, torch.Tensor]]) -> None:
        """Set the densities, and the scores of left-out images."""
        self.densities = tuple(density for density, _ in fitted)
        self.left_out_scores = torch.stack([scores for _, scores in fitted]).mean(dim=0).double().numpy()

    def left_out_parts(self) -> dict[str, np.ndarray]:
        return {PART: self.left_out_scores}

    def _chosen_alignment(self, train: np.ndarray) -> Alignment | None:
        if self.settings.align == "none":
            return None
        some = np.random.default_rng(0).permutation(len(train))[: alignment.ENOUGH]
        parts = threads.map_images(_part, train[np.sort(some)])
        auto = self.settings.align == "auto"
        if auto and not alignment.varies(parts):
            return None
        found = alignment.fit(parts, train.shape[1], self.settings.part_size, multiple=self.multiple)
        if found is None and not auto:
            raise UserError(
                f"{self.name}: align: template needs photos of one part each on a plain background, away "
                f"from the photo's border; fewer than 19 in 20 of {len(parts)} training images are. Allowed: "
                "auto, none"
            )
        return None if found is None or (auto and not alignment.helps(parts, found)) else found

    def _described(self, images: np.ndarray) -> list[list[torch.Tensor]]:
        """Return (1, h / cell, w / cell, c) of each image and grid."""
        return threads.map_images(lambda image: self._describe(self._crop(image)[0]), images)

    def _luminance(self, image: np.ndarray) -> torch.Tensor:
        return lamps.luminance(self._fitted(_pixels(image)))

    def _describe(self, crops: torch.Tensor) -> list[torch.Tensor]:
        """Return what `describe` does, of crops whose lamp is levelled."""
        return self.describe(crops if self.usual is None else self.usual.levelled(crops))

    def _changes(self, image: np.ndarray, by: Sequence[Change]) -> list[torch.Tensor]:
        """Return how descriptors change if the crop does, (changes, h / cell, w / cell, c) for each grid."""
        crop = self._crop(image)[0]
        before = self._describe(crop)
        after = [self._describe(change(crop)) for change in by]  # one by one: memory
        return [torch.cat(there) - here for here, there in zip(before, zip(*after, strict=True), strict=True)]

    def _altered(self, image: np.ndarray) -> Described:
        changes = zip(self.grids, self._changes(image, ALTERATIONS), strict=True)
        return [found if grid.texture else found.new_empty(0) for grid, found in changes]  # memory

    def _fit_grid(
        self, grid: Grid, descriptors: Described, relit: Described, altered: Described, texture: bool
    ) -> tuple[PositionDensity, torch.Tensor]:
        length = min(grid.length, grid.widen(descriptors[0][:, :1, :1]).shape[-1])
        return density_fit.fit(
            descriptors,
            grid.widen,
            relit,
            altered if grid.texture else [],
            length=length,
            shrinkage=self.settings.shrinkage,
            reach=grid.reach,
            smoothing=self.settings.smoothing if grid is self.grids[0] else 1.0,
            border=0 if self.alignment else BORDER // grid.cell,  # a part's own crop ends where the part does
            pooled=texture,
        )

    def _crop(self, images: np.ndarray) -> tuple[torch.Tensor, Pose | None]:
        """Return (1, 3, h, w) of (1, s, s, 3) uint8: what is described; and where it lies."""
        pixels = _pixels(images)
        if self.alignment is None:
            return self._fitted(pixels), None
        crop, pose = self.alignment.crop(pixels[0])
        return crop[None], pose

    def _fitted(self, pixels: torch.Tensor) -> torch.Tensor:
        size = self.settings.image_size
        if pixels.shape[-1] == size:
            return pixels
        return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True, align_corners=False)

    def _whitened(self, crops: torch.Tensor) -> list[torch.Tensor]:
        """Return (n, rows, columns, d) whitened values of (n, 3, h, w) crops, for each grid."""
        described = zip(self.grids, self.densities, self._describe(crops), strict=True)
        return [grid.widen(found) @ density.projection for grid, density, found in described]

    def _maps(self, distances: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the scores (n,) and maps (n, h, w) of (n, rows, columns) distances, for each grid."""
        maps, heights = [], []
        for grid, density, away in zip(self.grids, self.densities, distances, strict=True):
            found = density.standardise(away)
            heights.append(density.heights(found))
            maps.append(bounded(grid.enlarge(found)))
        return torch.stack(heights).mean(dim=0), torch.stack(maps).mean(dim=0)

    @torch.inference_mode()
    def _values(self, image: np.ndarray) -> tuple[list[torch.Tensor], Pose | None]:
        crop, pose = self._crop(image)
        return self._whitened(crop), pose

    def measure(self, images: np.ndarray) -> Parts:
        parts = [self._measure(images[start : start + MEASURED]) for start in range(0, len(images), MEASURED)]
        scores, maps = (torch.cat(found) for found in zip(*parts, strict=True))
        return Parts({PART: scores.double().numpy()}, maps.numpy(), None)

    @torch.inference_mode()
    def _measure(self, images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores (n,) and maps (n, h, w): the kernels of a place are read once for all images."""
        values, poses = zip(*threads.map_images(self._values, images), strict=True)
        distances = [
            density.distances(torch.cat(found))
            for density, found in zip(self.densities, zip(*values, strict=True), strict=True)
        ]

        @torch.inference_mode()
        def on_photo(n: int) -> tuple[torch.Tensor, torch.Tensor]:
            scores, maps = self._maps([away[n : n + 1] for away in distances])
            if self.alignment is not None and (pose := poses[n]) is not None:
                maps = self.alignment.to_photo(maps[0], pose, self.settings.image_size)[None]
            return scores, maps

        scores, maps = zip(*threads.map_items(on_photo, range(len(images))), strict=True)
        return torch.cat(scores), torch.cat(maps)

    def traced(self, images: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """As `Detector.traced`.

        Raises:
            UserError: its parts are aligned.
        """
        if self.alignment is not None:
            raise UserError(
                f"{self.name} cannot be exported to ONNX where it aligns parts, as here: to find a part and "
                "turn it is a search, which a graph of fixed steps cannot hold."
            )
        values = self._whitened(self._fitted(images.permute(0, 3, 1, 2).float() / 255))
        pairs = zip(self.densities, values, strict=True)
        scores, maps = self._maps([density.distances(found) for density, found in pairs])
        return {PART: scores}, maps

    def state(self) -> dict[str, np.ndarray]:
        arrays = {"left_out_scores": self.left_out_scores, **arrays_of(self.grids)}
        for number, density in enumerate(self.densities):
            for name, value in density_fit.arrays(density).items():
                arrays[f"density_{number}.{name}"] = value
        if self.alignment is not None:
            arrays |= {f"alignment.{k}": v for k, v in alignment.arrays(self.alignment).items()}
        return arrays | (self.usual.arrays() if self.usual is not None else {})

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        self.left_out_scores = arrays["left_out_scores"]
        self.grids = grids_of(arrays) or tuple(  # earlier releases saved none: a texture's were a part's
            as_first(grid) for grid in self.chosen_grids(texture=False)
        )
        self.densities = tuple(
            density_fit.from_arrays(_section(arrays, f"density_{number}."))
            for number in range(len(self.grids))
        )
        kept = _section(arrays, "alignment.")
        self.alignment = alignment.from_arrays(kept) if kept else None
        self.usual = lamps.Usual.from_arrays(arrays)


def _pixels(images: np.ndarray) -> torch.Tensor:
    """Return (n, 3, s, s) float32 in [0, 1] of (n, s, s, 3) uint8."""
    # contiguous: what follows takes each channel by itself
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).contiguous().float().div_(255)


def _taken(described: list[Described]) -> Described:
    """Return what describes each image on the first grid that is left, and take it out: memory."""
    return [image.pop(0) for image in described]


def _part(image: np.ndarray) -> Part:
    """Return the part in (1, s, s, 3) uint8."""
    return find_part(_pixels(image)[0])


def bounded(maps: torch.Tensor) -> torch.Tensor:
    """Return maps between -2 and 2 that keep 0 and 1: beyond a good image's peak, higher says little more.

    A coarse grid's values are the highest, and reach as far around a defect as its surroundings do; unbounded
    they would hide where the fine grid sees it.
    """
    return maps.atan() * (4 / math.pi)


def _section(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
