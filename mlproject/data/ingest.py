"""Bring images from one of three sources to data/raw, in MVTec AD's layout: all categories, or nothing."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlproject.core.errors import UserError
from mlproject.core.files import demand_files, written_whole
from mlproject.core.params import Data
from mlproject.data import checks
from mlproject.data.layout import Entry, find_category, read_layout


def ingest(data: Data, names: Sequence[str], out: Path, download: Path) -> dict[str, list[Entry]]:
    """Write `out`/<category>/… for each category from the source that `data` names.

    Args:
        names: of the categories.
        out: replaced; appears whole or not at all.
        download: folder that keeps what was downloaded, so that an interrupted download resumes.

    Returns:
        The images of each category.

    Raises:
        UserError: a category is unknown or not in the layout, or the source cannot be had.
    """
    download.mkdir(parents=True, exist_ok=True)
    if data.source == "folder":
        return _from_folder(source_folder(data), names, out, data.strict)
    with written_whole(out) as part:
        if data.source == "sample":
            from mlproject.data.sample.build import write_sample

            write_sample(part, names)
        else:
            from mlproject.data import archive

            archive.fetch(
                url=data.url,
                sha256=data.sha256,
                accept_licence=data.accept_licence,
                download=download,
                out=part,
                categories=names,
            )
        return {name: read_layout(part / name) for name in names}


def source_folder(data: Data) -> Path:
    """Return the folder that `data.path` names.

    Raises:
        UserError: there is none; names the key.
    """
    folder = Path(data.path)
    if not data.path or not folder.is_dir():
        remedy = "It must hold one folder for each category."
        if data.path and folder.with_name(f"{folder.name}.dvc").is_file():
            remedy = f"`dvc checkout {folder}.dvc` brings it back, `dvc pull {folder}.dvc` from a remote."
        raise UserError(
            f"params.yaml: data.path is {data.path!r}: no such folder. Nothing was written. {remedy}"
        )
    return folder


def _from_folder(source: Path, names: Sequence[str], out: Path, strict: bool) -> dict[str, list[Entry]]:
    """Copy the images and masks of a tree that is only ever read.

    What `checks` finds is printed as warnings; with `strict` it is an error.

    Not links: with DVC's cache.type hardlink, DVC would make the linked originals read-only and share
    them with its cache. Copies take no more space in the end, as DVC replaces links by copies anyway.
    """
    if source.resolve().is_relative_to(out.resolve()):
        raise UserError(
            f"params.yaml: data.path {source} lies in {out}, which is replaced. Put your images elsewhere."
        )
    folders = {name: find_category(source, name) for name in names}
    layouts = {name: read_layout(folder) for name, folder in folders.items()}
    _report(folders, layouts, strict)
    with written_whole(out) as part:
        for name, entries in layouts.items():
            paths = [path for entry in entries for path in (entry.path, entry.mask) if path]
            for path in paths:
                (part / name / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folders[name] / path, part / name / path)
            demand_files(part / name, paths)
    return layouts


def _report(folders: Mapping[str, Path], layouts: Mapping[str, Sequence[Entry]], strict: bool) -> None:
    lines = [
        line
        for name, entries in layouts.items()
        for line in checks.summary(folders[name], checks.check_category(folders[name], entries))
    ]
    if lines and strict:
        text = "\n".join(lines)
        raise UserError(f"{text}\nNothing was written. Correct these files, or set data.strict: false.")
    for line in lines:
        print(f"warning: {line}", file=sys.stderr)
