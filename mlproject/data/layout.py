"""MVTec AD's folder layout: a category folder → the list of its images, each with its mask.

    <category>/train/good/*            good images only
    <category>/test/good/*             and test/<defect>/*, any names of defects
    <category>/ground_truth/<defect>/<stem>_mask.png

A category without a ground_truth folder has no masks at all, which is allowed; with one, every defective
image needs its mask. Other things next to train, test and ground_truth (readme, licence) are left alone.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mlproject.core.errors import UserError, quoted, unknown_name

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")  # JPEG would blur the edge of the defect
_MASK_END = "_mask"


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a category. Paths are relative to the category's folder, with forward slashes.

    Attributes:
        split: ``train`` or ``test``.
        defect: ``good`` or the type of the defect.
        label: 0 good, 1 defective.
        mask: path of its mask, None where there is none.
    """

    path: str
    split: str
    defect: str
    label: int
    mask: str | None


def read_layout(folder: Path) -> list[Entry]:
    """Return the images of a category folder, train first, each part sorted by path.

    Raises:
        UserError: the folder is not in the layout: names what is wrong and what is allowed.
    """
    _only(_folders(folder / "train"), ("good",), folder / "train")
    train = [Entry(f"train/good/{name}", "train", "good", 0, None) for name in _images(folder / "train/good")]
    defects = _folders(folder / "test")
    if defects == ["good"]:
        raise refused(folder / "test", "has no folder of defective images", "Add test/<defect>/ with images")
    if "good" not in defects:
        raise refused(folder / "test/good", "is missing", "Add it, with good images to test on")
    masks = _masks(folder, defects)
    test = []
    for defect in defects:
        label = int(defect != "good")
        for name in _images(folder / "test" / defect):
            mask = masks.pop((defect, Path(name).stem), None) if label else None
            if label and mask is None and (folder / "ground_truth").is_dir():
                raise _no_mask(folder, defect, name)
            test.append(Entry(f"test/{defect}/{name}", "test", defect, label, mask))
    for mask in masks.values():
        raise refused(
            folder / mask, "is a mask without an image", "Add its image in test/, or remove the mask"
        )
    return train + sorted(test, key=lambda entry: entry.path)


def find_category(root: Path, name: str) -> Path:
    """Return the folder of category `name`: `root/name`, or `root` itself where it is that category.

    Raises:
        UserError: there is no such category (the nearest is named), or no such root.
    """
    if (root / name).is_dir():
        return root / name
    own_name = root.resolve().name
    is_category = (root / "train").is_dir()
    if is_category and own_name == name:
        return root
    if not root.is_dir():
        raise UserError(
            f"{root}: no such folder. Nothing was written. It must hold one folder for each category."
        )
    present = [own_name] if is_category else [f for f in _names(root) if (root / f / "train").is_dir()]
    raise unknown_name(f"{root}: category {name}", name, present)


def _unprintable(folder: Path, name: str) -> UserError:
    what, remedy = "has a name that cannot be printed", "Rename it"
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8":
        what, remedy = f"{what} in the locale's encoding, {encoding}", "Rename it, or set PYTHONUTF8=1"
    return refused(folder / ascii(name), what, remedy)


def refused(where: Path, what: str, remedy: str) -> UserError:
    """Return the error for a file or folder that cannot be taken."""
    return UserError(f"{quoted(where)}: {what}. Nothing was written. {remedy}, then run again.")


def _no_mask(folder: Path, defect: str, name: str) -> UserError:
    expected = f"ground_truth/{defect}/{Path(name).stem}{_MASK_END}.png"
    remedy = f"Add {expected}, or remove ground_truth/ to do without masks"
    return refused(folder / "test" / defect / name, "has no mask", remedy)


def _masks(folder: Path, defects: list[str]) -> dict[tuple[str, str], str]:
    """Return (defect, stem of the image) → path of the mask, for every mask file."""
    root = folder / "ground_truth"
    masks: dict[tuple[str, str], str] = {}
    for defect in _folders(root) if root.is_dir() else []:
        if defect == "good" and _names(root / "good"):
            raise refused(root / "good", "holds masks of good images, which have none", "Remove it")
        if defect not in defects and _names(root / defect):
            raise refused(
                root / defect, f"holds masks, but test/{defect} does not exist", "Add it, or remove the masks"
            )
        for name in _files(root / defect, MASK_SUFFIXES):
            stem = Path(name).stem
            if not stem.endswith(_MASK_END):
                raise refused(root / defect / name, "is no name of a mask", f"Name it <image>{_MASK_END}.png")
            masks[defect, stem.removesuffix(_MASK_END)] = f"ground_truth/{defect}/{name}"
    return masks


def _images(folder: Path) -> list[str]:
    names = _files(folder, IMAGE_SUFFIXES)
    if not names:
        raise refused(
            folder, "holds no images", f"Add images ({', '.join(IMAGE_SUFFIXES)}), or remove the folder"
        )
    return names


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Return the names of a folder's files, all with one of the suffixes and each with a stem of its own."""
    names = _names(folder)
    stems: dict[str, str] = {}
    for name in names:
        if (folder / name).is_symlink() and not (folder / name).exists():
            raise refused(folder / name, "is a link that leads nowhere", "Remove it, or restore its target")
        if Path(name).suffix.lower() not in suffixes or not (folder / name).is_file():
            raise refused(
                folder / name, f"is not allowed here, only {', '.join(suffixes)} files are", "Remove it"
            )
        stem = Path(name).stem
        if stem in stems:
            what = f"has the same name as {stems[stem]} but for the ending, so its mask would be ambiguous"
            raise refused(folder / name, what, "Rename or remove one of them")
        stems[stem] = name
    return names


def _folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder that may hold nothing else."""
    names = _names(folder)
    for name in names:
        if not (folder / name).is_dir():
            raise refused(folder / name, "is not allowed here, only folders are", "Remove it")
    return names


def _only(names: Iterable[str], allowed: tuple[str, ...], where: Path) -> None:
    for name in names:
        if name not in allowed:
            raise refused(
                where / name, f"is not allowed here, only {', '.join(allowed)} is", "Move or remove it"
            )


def _names(folder: Path) -> list[str]:
    """Return the sorted names in a folder, without hidden files and Windows' Thumbs.db."""
    try:
        found = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        raise refused(
            folder, "is missing", "Add it: train/good, test/good and test/<defect> are needed"
        ) from None
    except NotADirectoryError:
        raise refused(folder, "is a file, but must be a folder", "Replace it") from None
    except PermissionError:
        raise refused(folder, "cannot be read (permission denied)", "Give yourself read access") from None
    names = [name for name in found if not name.startswith(".") and name != "Thumbs.db"]
    for name in names:
        if not name.isprintable():
            raise _unprintable(folder, name)
    return names
