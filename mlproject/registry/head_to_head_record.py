"""Two registered versions side by side, written as files and logged in the challenger's run."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlproject.core import artifacts, files
from mlproject.core.errors import UserError
from mlproject.core.files import written_whole
from mlproject.core.tables import write_table
from mlproject.data import layout
from mlproject.data.decode import decode_bytes, decode_mask, open_image
from mlproject.evaluation import head_to_head
from mlproject.evaluation.head_to_head import HeadToHead, Side
from mlproject.models.components.detector import DESCRIPTION
from mlproject.models.components.heat_scale import HeatScale
from mlproject.registry import recorded_version
from mlproject.registry.recorded_version import RecordedVersion
from mlproject.reports import head_to_head_text
from mlproject.reports.figures import disagreements, drawing
from mlproject.reports.figures.disagreements import COLUMNS, Shown
from mlproject.tracking import store_faults

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

IMAGE_SIZE = 256  # side of a shown image, pixels
ABOUT = ("path", "subset", "half", "defect", "label", "score", "score_brightness_matched", "sha256")


def write(
    category: str, champion: "ModelVersion", challenger: "ModelVersion", resamples: int
) -> tuple[Path, HeadToHead]:
    """Write comparison.md, scatter.png, gallery.png and decisions.csv; return their folder and the figures.

    Where images are missing or others by now, or a model does not answer, there is no gallery and the text
    says why.

    Raises:
        UserError: the two share no test image, or files are gone.
    """
    out = artifacts.PROMOTION / category
    with tempfile.TemporaryDirectory() as folder, written_whole(out) as part:
        old, new = (recorded_version.fetch(version, Path(folder)) for version in (champion, challenger))
        pair = _pair(category, old, new)
        drawing.save(disagreements.scatter(pair), part / "scatter.png")
        pictures = ["scatter.png"]
        try:
            missing = _draw_gallery(pair, old, new, part / "gallery.png")
        except UserError as error:  # the figures stand without it
            missing = str(error)
        if not missing:
            pictures.insert(0, "gallery.png")
        text = head_to_head_text.markdown(pair, resamples, pictures)
        text += f"\nNo gallery: {missing}\n" if missing else ""
        (part / "comparison.md").write_text(text, encoding="utf-8")
        table = pair.images.assign(
            champion=pair.champion.scores, champion_defective=pair.champion.called,
            challenger=pair.challenger.scores, challenger_defective=pair.challenger.called,
        )  # fmt: skip
        write_table(part / "decisions.csv", table)
    return out, pair


def log(client: "MlflowClient", folder: Path, champion: "ModelVersion", challenger: "ModelVersion") -> str:
    """Log the files in the challenger's run; return where in it they lie.

    Raises:
        UserError: the run is gone, or the store refuses.
    """
    place = f"promotion/against_version_{champion.version}"
    try:
        client.log_artifacts(str(challenger.run_id), str(folder), place)
    except store_faults.kinds() as error:
        told = store_faults.refusal(error) or f"run {challenger.run_id}: {error}"
        raise UserError(f"Written to {folder}, but not to MLflow: {told}") from None
    return place


def _pair(category: str, old: RecordedVersion, new: RecordedVersion) -> HeadToHead:
    """Return both on the images that they share."""
    both = recorded_version.shared(old, new)
    if both.empty:
        raise UserError(
            f"{category}: {old.title} and {new.title} were tested on different images. "
            "`dvc repro` tests both on the same."
        )
    return HeadToHead(category, both[["path", "defect", "label"]], _side(old, both), _side(new, both))


def _side(side: RecordedVersion, both: pd.DataFrame) -> Side:
    rows = side.test.set_index("path").loc[both["path"]]
    parts = {name: rows[name].to_numpy(dtype=float) for name in rows.columns.difference(ABOUT)}
    return Side(side.title, rows["score"].to_numpy(dtype=float), side.threshold, parts)


def _draw_gallery(pair: HeadToHead, old: RecordedVersion, new: RecordedVersion, path: Path) -> str:
    """Write the gallery; return why there is none, or nothing.

    Raises:
        UserError: a model does not load and answer, or the category's folder is not in the layout.
    """
    wrong = recorded_version.unchanged(new, pair.category)[1]
    if wrong:
        return wrong
    found = head_to_head.groups(pair)
    rows = sorted({int(row) for chosen in found.values() for row in chosen[:COLUMNS]})
    raw = artifacts.RAW / pair.category
    images = [raw / pair.images["path"].iloc[row] for row in rows]
    maps = []
    for side in (old, new):
        made = recorded_version.ask(side, images, maps=True).maps
        maps.append(None if made is None else _heat_scale(side).brightness(made))
    masks = {entry.path: entry.mask for entry in layout.read_layout(raw)}
    shown = {
        row: _shown(
            row, raw, pair.images["path"].iloc[row], masks, tuple(m if m is None else m[i] for m in maps)
        )
        for i, row in enumerate(rows)
    }
    listed = {title: [shown[int(row)] for row in chosen[:COLUMNS]] for title, chosen in found.items()}
    totals = {title: len(chosen) for title, chosen in found.items()}
    drawing.save(disagreements.gallery(pair, listed, totals), path)
    return ""


def _heat_scale(side: RecordedVersion) -> HeatScale:
    """Return the colour scale that the detector shows its maps in everywhere."""
    description = files.read_json(side.folder / "artifacts/model" / DESCRIPTION, required=("heat_scale",))
    return HeatScale(**description["heat_scale"])


def _shown(row: int, raw: Path, name: str, masks: dict, maps: tuple) -> Shown:
    data = (raw / name).read_bytes()
    mask = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    if masks.get(name):
        mask = decode_mask((raw / masks[name]).read_bytes(), IMAGE_SIZE, open_image(data)[0].size)
    return Shown(row, decode_bytes(data, IMAGE_SIZE), mask, maps)
