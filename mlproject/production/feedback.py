"""Verdicts corrected by a person, as a data set in MVTec's layout: photos to fit to, photos to decide by.

A corrected photo has one role for good: half of the good ones, chosen by their content, are fitted to; the
other half and all defective ones are only tested on, so what decides about a challenger it has not learnt.
"""

import glob
import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from mlproject.core import artifacts, files
from mlproject.core.errors import UserError, quoted
from mlproject.data import buckets, layout
from mlproject.data.decode import UndecodableImage, decode_mask, open_image

GOOD = "good"
TRUTH = "truth"
COLUMNS = ("path", "sha256", TRUTH)
MARKED = 1024  # side that a mask is looked at, pixels
DEFECT = re.compile(r"\w[\w. -]*")  # a folder's name
ESCAPED = re.compile(rb"\\x([89a-f][0-9a-f])")  # as `files.path_text` writes a byte that is no UTF-8


@dataclass(frozen=True)
class Correction:
    """A photo that a person looked at.

    Attributes:
        path: or its address in a bucket.
        sha256: of its content, hexadecimal.
        truth: ``good``, or the type of its defect.
        mask: content of the file that marks the defect; None if there is none.
    """

    path: str
    sha256: str
    truth: str
    mask: bytes | None = None

    @property
    def folder(self) -> str:
        """Where it belongs within its category."""
        if self.truth != GOOD:
            return f"test/{self.truth}"
        return f"train/{GOOD}" if int(self.sha256[:2], 16) % 2 else f"test/{GOOD}"

    @property
    def name(self) -> str:
        """Its file's name there: photos of several folders may be called the same."""
        return f"corrected-{self.sha256[:16]}{self.suffix}"

    @property
    def suffix(self) -> str:
        """The ending of its file's name, lower-case."""
        return PurePosixPath(self.path).suffix.lower()

    def content(self) -> bytes:
        """Return what its file holds now.

        Raises:
            OSError: it cannot be read.
            BucketFault: its bucket refuses or is out of reach.
        """
        if buckets.is_url(self.path):
            return buckets.read(buckets.find(self.path))
        try:
            return Path(self.path).read_bytes()
        except FileNotFoundError:  # bytes that are no UTF-8 stand escaped in the table of verdicts
            name = ESCAPED.sub(lambda escape: bytes([int(escape[1], 16)]), os.fsencode(self.path))
            return Path(os.fsdecode(name)).read_bytes()


@dataclass
class Added:
    """What was done.

    Attributes:
        folders: folder within the category → photos that were added there.
        known: photos that were there already, in that role.
        moved: images that were there with another truth, and were taken out.
        masks_left_out: the category's masks are left out, as a new defective photo has none.
        masks_replaced: known photos whose mask is another one now.
        masks_unused: masks were given for a category that has none: its other defects lack theirs.
    """

    folders: Counter[str] = field(default_factory=Counter)
    known: int = 0
    moved: int = 0
    masks_left_out: bool = False
    masks_unused: bool = False
    masks_replaced: int = 0


def read(path: Path, masks: Path | None = None) -> list[Correction]:
    """Return the corrections in a CSV file: the rows that have something in the column `truth`.

    Args:
        masks: folder with a mask ``<name>_mask.png`` of each defective photo ``<name>.…`` that has one.

    Raises:
        UserError: it is no such file; a truth is none; a photo has two truths, is gone, has other content
            than when it was scored, or cannot be decoded; a mask does not fit its photo. Names the line.
    """
    if masks and not masks.is_dir():
        raise UserError(f"{quoted(masks)}: no such folder of masks.")
    corrections: dict[str, Correction] = {}
    masked: dict[str, Correction] = {}  # by the name that their mask has
    for line, row in enumerate(_rows(path), start=2):
        truth = str(row[TRUTH]).strip()
        if not truth:
            continue
        where = f"{quoted(path)}, line {line}"
        check_truth(truth, where)
        mask = _mask(masks, row["path"], where) if masks and truth != GOOD else None
        made = Correction(row["path"], row["sha256"], truth, mask)
        _check(made, where)
        other = masked.setdefault(PurePosixPath(made.path).stem, made) if mask is not None else made
        if other.sha256 != made.sha256:
            raise UserError(
                f"{where}: {quoted(other.path)} has the same name and would get the same mask. Give photos "
                "of one name in several runs, each with a folder of masks of its own."
            )
        known = corrections.setdefault(made.sha256, made)
        if known.mask is None and made.mask is not None and known.truth == truth:
            corrections[made.sha256] = made  # the same photo, under the name that its mask has
        if known.truth != truth:
            raise UserError(f"{where}: the same photo is {known.truth} in another line and {truth} here.")
    if not corrections:
        raise UserError(f"{quoted(path)}: no row has anything in the column {TRUTH}.")
    return list(corrections.values())


def check_truth(truth: str, where: str) -> None:
    """Refuse what is neither ``good`` nor fit to name the folder of a defect's type.

    Args:
        where: it was written, for the error.

    Raises:
        UserError: it is neither.
    """
    if not DEFECT.fullmatch(truth) or (truth != GOOD and truth.lower() == GOOD):
        raise UserError(
            f"{where}: truth {truth!r} is not allowed. Write {GOOD}, or the type of the defect: letters, "
            "digits, spaces, _, - and ., with a letter, a digit or _ first."
        )


def read_table(path: Path) -> pd.DataFrame:
    """Return a CSV file as text.

    Raises:
        UserError: it holds no table.
    """
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"{quoted(path)}: no readable table ({why}). It must be CSV with commas between the columns, in "
            "UTF-8."
        ) from None


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        why = "is no file" if path.exists() else "not found"
        raise UserError(f"{quoted(path)}: {why}. `mlproject verdicts` writes a table; add a column {TRUTH}.")
    table = read_table(path)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise UserError(
            f"{quoted(path)}: has no column {missing[0]}. It needs {', '.join(COLUMNS)}: take what "
            f"`mlproject verdicts` writes and add {TRUTH}."
        )
    return table[list(COLUMNS)].to_dict("records")


def _mask_file(masks: Path, photo: str) -> Path:
    return masks / f"{PurePosixPath(photo).stem}_mask.png"


def _mask(masks: Path, photo: str, where: str) -> bytes | None:
    file = _mask_file(masks, photo)
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{where}: {quoted(file)} cannot be read ({error.strerror}).") from None


def _check(correction: Correction, where: str) -> None:
    name = quoted(correction.path)
    try:
        content = correction.content()
    except OSError as error:
        raise UserError(f"{where}: {name} cannot be read ({error.strerror or 'not found'}).") from None
    except ValueError as error:  # a NUL in its name
        raise UserError(f"{where}: {name} cannot be read ({error}).") from None
    if hashlib.sha256(content).hexdigest() != correction.sha256:
        raise UserError(f"{where}: {name} has other content than when it was scored.")
    check_photo(correction, content, f"{where}: {name}")


def check_photo(correction: Correction, content: bytes, where: str) -> None:
    """Refuse a photo that a data set could not hold.

    Args:
        content: of its file.
        where: it is, for the error.

    Raises:
        UserError: its ending is none that is learnt from, or it cannot be decoded.
    """
    if correction.suffix not in layout.IMAGE_SUFFIXES:
        raise UserError(f"{where}: only {', '.join(layout.IMAGE_SUFFIXES)} can be learnt from. Convert it.")
    try:
        image, _ = open_image(content)
        if correction.mask is not None and not decode_mask(correction.mask, MARKED, image.size).any():
            raise UserError(f"{where}: its mask marks nothing.")
    except UndecodableImage as error:
        raise UserError(f"{where}: {error}.") from None


def extend_data_set(
    corrections: Sequence[Correction], category: str, categories: Iterable[str], into: Path
) -> Added:
    """Write a data set of all categories, with corrected photos in one of them, whole or not at all.

    It begins as a copy of data/raw; later corrections go into what is there, of whichever category. All else
    that lies there stays.

    Args:
        category: that the photos are of.
        categories: all that params.yaml names: a data set for `data.source: folder` has each.

    Raises:
        UserError: a category is not there, or the result would not be in the layout.
    """
    files.check_folder_of(into)
    added = Added()
    with files.written_whole(into) as part:
        if into.is_dir():
            shutil.copytree(into, part, copy_function=shutil.copyfile, dirs_exist_ok=True)
        for name in {*categories, category}:
            if (part / name).is_dir():
                continue
            if not (artifacts.RAW / name).is_dir():
                raise UserError(f"{artifacts.RAW / name}: not found. `dvc repro ingest` brings it.")
            shutil.copytree(artifacts.RAW / name, part / name, copy_function=shutil.copyfile)
        _add(corrections, part / category, added)
        layout.read_layout(part / category)
    return added


def _add(corrections: Sequence[Correction], folder: Path, added: Added) -> None:
    """Put corrected photos into a category's folder."""
    masks = folder / "ground_truth"
    images = [folder / entry.path for entry in layout.read_layout(folder)]
    by_content: dict[str, list[Path]] = {}
    for path in images:
        by_content.setdefault(files.sha256(path), []).append(path)
    for correction in corrections:
        there = by_content.get(correction.sha256, [])
        right = [path for path in there if path.parent.name == correction.truth]
        mask = correction.mask
        for wrong in (path for path in there if path not in right):
            taken = _take_out(wrong, masks)
            mask = mask or taken
            added.moved += 1
        if right:
            added.known += len(right) == len(there)
            if correction.mask is not None and masks.is_dir():
                _replace_mask(masks / correction.truth, right[0].stem, correction.mask, added)
            elif correction.mask is not None:
                added.masks_unused = True
            continue
        target = folder / correction.folder / correction.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(correction.content())
        added.folders[correction.folder] += 1
        if correction.truth == GOOD:
            continue
        if not masks.is_dir():
            added.masks_unused |= correction.mask is not None and not added.masks_left_out
            continue
        if mask is None:
            shutil.rmtree(masks)
            added.masks_left_out = True
        else:
            (masks / correction.truth).mkdir(exist_ok=True)
            (masks / correction.truth / f"{target.stem}_mask.png").write_bytes(mask)


def _take_out(image: Path, masks: Path) -> bytes | None:
    """Remove an image and its mask; return the mask."""
    image.unlink()
    mask = None
    for old in (masks / image.parent.name).glob(f"{glob.escape(image.stem)}_mask.*"):
        mask = old.read_bytes()
        old.unlink()
    if image.parent.name != GOOD and not any(image.parent.iterdir()):
        image.parent.rmdir()  # the layout knows no type of defect without images
    return mask


def _replace_mask(folder: Path, stem: str, mask: bytes, added: Added) -> None:
    before = list(folder.glob(f"{glob.escape(stem)}_mask.*"))
    if [path.read_bytes() for path in before] == [mask]:
        return
    for path in before:
        path.unlink()
    (folder / f"{stem}_mask.png").write_bytes(mask)
    added.masks_replaced += 1
