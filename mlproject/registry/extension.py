"""A registered version extended: good images added, others taken out, registered as a new version.

What was fitted to all images at once stays; what each image adds is computed again. The threshold is set by
the parent's rule from the same good images, and the new version is tested on the same test images.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlproject.core import artifacts, files
from mlproject.core.errors import UserError, quoted
from mlproject.data import copies, photos, prepared
from mlproject.evaluation.thresholds import uncopied
from mlproject.registry import extension_parent, extension_results, register
from mlproject.registry.extension_parent import COLUMNS, Parent
from mlproject.registry.extension_results import Change
from mlproject.registry.register import Registered
from mlproject.tracking import runs
from mlproject.tracking.extended_facts import ExtendedFacts

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ADDED = "added"  # first part of an added photo's name
NAMED = 3  # photos that an error names


@dataclass(frozen=True)
class Extended:
    """What an extension made.

    Attributes:
        known: photos that were given, but which the parent has learnt from or is calibrated on.
    """

    parent: Parent
    facts: ExtendedFacts
    registered: Registered
    known: tuple[Path, ...]


def extend(
    client: "MlflowClient", version: "ModelVersion", add: Sequence[Path], remove: Sequence[str]
) -> Extended:
    """Register a version that has learnt from other good images than `version`; promote nothing.

    The same change of the same version, made again, gives the version that it gave before.

    Args:
        add: photos, and folders with all below them.
        remove: training images: paths as recorded, or the end of one that no other has, such as 017.png.

    Raises:
        UserError: its model cannot be extended; nothing would change; a photo cannot be decoded, or is one
            that the version is calibrated or tested on; an image to remove is none of its training images;
            the images that it is calibrated and tested on are not prepared here. Nothing is registered.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parent = extension_parent.load(client, version, folder / "parent")
        data = prepared.load(parent.category)
        rows = _prepared_rows(parent, data)
        keep = _kept(parent, remove)
        learnt = data.images[data.manifest["sha256"].isin(parent.trained["sha256"][keep]).to_numpy()]
        change, known = _with_photos(parent, keep, data.images[rows], learnt, add)
        if keep.all() and change.added.empty:
            raise UserError(
                f"{parent.title}: it has learnt from, or is calibrated on, every photo given: nothing would "
                "change."
            )
        facts = extension_results.write(folder / "extended", parent, change, data, rows)
        made = register.register_facts(parent.dataset, facts, runs.log(parent.dataset, facts))
    return Extended(parent, facts, made, known)


def _prepared_rows(parent: Parent, data: prepared.Prepared) -> np.ndarray:
    """Return the prepared rows of the images that the parent is calibrated and tested on.

    Raises:
        UserError: one is not among the prepared images, or they have another size.
    """
    manifest = zip(data.manifest["path"], data.manifest["sha256"], strict=True)
    found = {image: row for row, image in enumerate(manifest)}
    wanted = list(zip(parent.not_trained["path"], parent.not_trained["sha256"], strict=True))
    lost = [str(path) for path, sha256 in wanted if (path, sha256) not in found]
    why = f"{len(lost)} are missing or have changed: {', '.join(lost[:NAMED])}" if lost else ""
    if data.image_size != parent.prepared["image_size"]:
        why = f"images are {data.image_size} pixels wide; its own were {parent.prepared['image_size']}"
    if why:
        raise UserError(
            f"{parent.title}: a new threshold and new test figures need the {len(wanted)} images that it is "
            f"calibrated and tested on. In {artifacts.PREPARED / parent.category} {why}. "
            "`git checkout` its commit and `dvc checkout` bring them back."
        )
    return np.array([found[image] for image in wanted])


def _kept(parent: Parent, remove: Sequence[str]) -> np.ndarray:
    """Return (n,) bool, which of the parent's training images stay.

    Raises:
        UserError: a name is that of no training image, or of several.
    """
    paths = parent.trained["path"].tolist()
    keep = np.ones(len(paths), dtype=bool)
    for name in remove:
        same = [row for row, path in enumerate(paths) if path == name]
        same = same or [row for row, path in enumerate(paths) if path.endswith(f"/{name}")]
        if len(same) > 1:
            several = ", ".join(quoted(paths[row]) for row in same[:NAMED])
            raise UserError(
                f"{parent.title}: {len(same)} training images are called {name}: {several}. Say which."
            )
        if not same:
            said = f"{parent.title}: {quoted(name)} is none of its {len(paths)} training images."
            raise UserError(said + _hint(name, paths, parent.not_trained))
        keep[same] = False
    return keep


def _hint(name: str, paths: list[str], not_trained: pd.DataFrame) -> str:
    """Return what a name that is that of no training image may mean instead."""
    for path, subset in zip(not_trained["path"], not_trained["subset"], strict=True):
        if path == name or path.endswith(f"/{name}"):
            return f" {quoted(path)} is a {subset} image."
    ends = paths if "/" in name else [path.rsplit("/", 1)[-1] for path in paths]
    near = get_close_matches(name, ends, n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""


def _with_photos(
    parent: Parent, keep: np.ndarray, not_trained: np.ndarray, learnt: np.ndarray, add: Sequence[Path]
) -> tuple[Change, tuple[Path, ...]]:
    """Return the change with its photos, and the photos that the parent knows.

    Those are what it has learnt from, and its own calibration images at the place that they have in its data
    set: the folder train/good of a data set made from the parent's holds both.

    Args:
        not_trained: (k, s, s, 3) uint8, the images of `Parent.not_trained`.
        learnt: (l, s, s, 3) uint8, those training images that stay and are prepared here.
    """
    staying, held_out = parent.trained[keep], parent.not_trained.query("subset != 'test'")
    own = set(zip(held_out["path"], held_out["sha256"], strict=True))
    seen, new, known = set(staying["sha256"]), [], []
    for path, decoded in _decoded(add, parent.prepared["image_size"]):
        sha256 = files.sha256(path)
        if sha256 in seen or ("/".join(path.absolute().parts[-3:]), sha256) in own:
            known.append(path)
        else:
            seen.add(sha256)
            new.append((path, sha256, decoded))
    first = _originals(parent, not_trained, learnt, new)
    known += [path for (path, *_), original in zip(new, first, strict=True) if original is None]
    new = [photo for photo, original in zip(new, first, strict=True) if original is not None]
    paths = [path for path, *_ in new]
    taken, names = {*staying["path"], *parent.not_trained["path"]}, []
    for path in paths:
        names.append(_free(PurePosixPath(_name(path, add)), taken))
        taken.add(names[-1])
    pixels = np.stack([decoded for *_, decoded in new]) if new else not_trained[:0]
    alone = uncopied([original for original in first if original is not None])
    about = {"subset": "train", "half": "none", "defect": "good", "label": 0}
    added = pd.DataFrame({"path": names, "sha256": [sha256 for _, sha256, _ in new]}).assign(**about)
    return Change(keep, added[COLUMNS], pixels, alone, tuple(paths)), tuple(known)


def _decoded(add: Sequence[Path], size: int) -> list[tuple[Path, np.ndarray]]:
    """Return the photos with their (size, size, 3) pixels.

    Raises:
        UserError: one cannot be decoded.
    """
    found = list(photos.decoded(photos.find(add).paths, size)) if add else []
    broken = [f"{quoted(photo.path)}: {photo.error}" for photo in found if photo.error]
    if broken:
        more = f"; and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        raise UserError(f"{'; '.join(broken[:NAMED])}{more}. Nothing was registered.")
    return [(Path(photo.path), photo.pixels) for photo in found if photo.pixels is not None]


def _name(path: Path, add: Sequence[Path]) -> str:
    """Return added/FOLDER/NAME of a photo below a folder given, added/NAME of a file."""
    name = Path(path.name)
    for given in add:
        if given.is_dir() and path.is_relative_to(given):
            name = Path(given.resolve().name) / path.relative_to(given)
    return files.path_text(f"{ADDED}/{name.as_posix()}")


def _free(name: PurePosixPath, taken: set[str]) -> str:
    """Return a name that no other image of the version has: 001-2.png where 001.png is taken."""
    numbered = (str(name.with_stem(f"{name.stem}-{number}")) for number in count(2))
    return next(free for free in chain([str(name)], numbered) if free not in taken)


def _originals(
    parent: Parent,
    not_trained: np.ndarray,
    learnt: np.ndarray,
    new: Sequence[tuple[Path, str, np.ndarray]],
) -> list[str | None]:
    """Return (m,), of each photo what is equal for its copies among them; None of a copy of a `learnt` image.

    Raises:
        UserError: one is equal to, or saved again from, an image that the parent must not learn from.
    """
    if not new:
        return []
    images = [*not_trained, *learnt, *(decoded for *_, decoded in new)]
    digests = [hashlib.sha256(np.ascontiguousarray(image).data).hexdigest() for image in images]
    thumbnails = np.stack([copies.thumbnail(image) for image in images])
    first = copies.originals(thumbnails, digests, photo=images.__getitem__)
    known = len(not_trained) + len(learnt)
    for (path, *_), row in zip(new, first[known:], strict=True):
        if row < len(not_trained):
            same = parent.not_trained.iloc[row]
            raise UserError(
                f"{quoted(path)}: is the same photo as {quoted(same['path'])}, a {same['subset']} image of "
                f"{parent.title}. A version must not learn from images that it is calibrated or tested on. "
                "Nothing was registered."
            )
    return [None if row < known else str(row) for row in first[known:]]
