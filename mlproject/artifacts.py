"""The files between stages: where each lies, how it is read and written. Written whole or not at all."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlproject.errors import UserError

RAW = Path("data/raw")
PREPARED = Path("data/prepared")
TUNED = Path("data/tuned")


def tuned_file(category: str, model: str) -> Path:
    """What a study found for a pair; kept in git."""
    return TUNED / category / f"{model}.yaml"


def settings_file(category: str, model: str) -> Path:
    """The settings that a pair trains with, and where they come from."""
    return Path("artifacts") / category / model / "settings.json"


def threshold_settings_file(category: str, model: str) -> Path:
    """The section threshold that holds for a pair."""
    return Path("artifacts") / category / model / "threshold_settings.json"


def tuning_folder(category: str, model: str) -> Path:
    """Folder with a folder for each study of a pair: its journal and its trials."""
    return Path("artifacts") / category / model / "study"


def model_folder(category: str, model: str) -> Path:
    """Folder with weights.safetensors and model.json: all that `models.base.load` needs."""
    return Path("artifacts") / category / model / "model"


def training_folder(category: str, model: str) -> Path:
    """Folder with history.csv, run.json and reconstructions/epoch_NNNN.png of the training."""
    return Path("artifacts") / category / model / "training"


def out_of_fold_file(category: str, model: str) -> Path:
    """Scores of good training images by models that never saw them (calibration: cross; else none)."""
    return Path("artifacts") / category / model / "out_of_fold.csv"


def scores_folder(category: str, model: str) -> Path:
    """Folder with scores.csv, threshold.json, maps.npy and reconstructions.npy."""
    return Path("artifacts") / category / model / "scores"


def report_folder(category: str, model: str | None = None) -> Path:
    """Folder with metrics.json and figures of one model, or of the category as a whole."""
    folder = Path("reports/categories") / category
    return folder / model if model else folder


def training_report(category: str, model: str) -> Path:
    """What the report says of a training: run.json without times, and the network's layers."""
    return report_folder(category, model) / "training.json"


def study_folder(category: str, study: str) -> Path:
    """Folder with a study's cells and run.json; not below `artifacts/<category>`, which studies read."""
    return Path("artifacts/studies") / category / study


def study_report_folder(category: str, study: str) -> Path:
    """Folder with a study's table.csv, summary.json and figures."""
    return report_folder(category) / "studies" / study


def write_json(path: Path, content: Any) -> None:
    """Write JSON through a temporary name."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text through a temporary name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        UserError: the file is missing: says which command makes it.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: not found. `dvc repro` makes it, `dvc pull` brings it back.") from None


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write CSV through a temporary name; floats keep all their digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    table.to_csv(part, index=False)
    part.replace(path)


def read_table(path: Path) -> pd.DataFrame:
    """Read CSV; text columns stay text (a defect called "001" is a name).

    Raises:
        UserError: the file is missing.
    """
    try:
        return pd.read_csv(
            path, dtype={"path": str, "category": str, "defect": str}, keep_default_na=False, na_values=[""]
        )
    except FileNotFoundError:
        raise UserError(f"{path}: not found. `dvc repro` makes it, `dvc pull` brings it back.") from None


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an .npy file through a temporary name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.save(file, array)
    part.replace(path)


def read_array(path: Path) -> np.ndarray:
    """Map an .npy file into memory, read-only.

    Raises:
        UserError: the file is missing.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path}: not found. `dvc repro` makes it, `dvc pull` brings it back.") from None
