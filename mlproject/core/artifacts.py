"""Locations of all results, from raw images to reports: one function per file or folder."""

from pathlib import Path

RAW = Path("data/raw")
PREPARED = Path("data/prepared")
TUNED = Path("data/tuned")
DOWNLOAD = Path("data/download")  # of an archive; keeps one that was cut off
CORRECTED = Path("data/corrected")  # photos with the verdicts of people
REPORTS = Path("reports")
BENCHMARK = REPORTS / "benchmark"
PROMOTION = REPORTS / "promotion"


def tuned_file(category: str, model: str) -> Path:
    """The settings that a tuning found for a pair; kept in git."""
    return TUNED / category / f"{model}.yaml"


def settings_file(category: str, model: str) -> Path:
    """The settings that a pair trains with, and where they come from."""
    return Path("artifacts/settings") / category / f"{model}.json"


def threshold_settings_file(category: str, model: str) -> Path:
    """The section threshold that holds for a pair."""
    return Path("artifacts/settings") / category / f"{model}.threshold.json"


def tuning_folder(category: str, model: str) -> Path:
    """Folder with a folder for each tuning of a pair: its journal and its trials."""
    return Path("artifacts") / category / model / "study"


def model_folder(category: str, model: str) -> Path:
    """Folder with weights.safetensors and model.json: all that `models.load` needs."""
    return Path("artifacts") / category / model / "model"


def training_folder(category: str, model: str) -> Path:
    """Folder with history.csv, run.json and reconstructions/epoch_NNNN.png of the training."""
    return Path("artifacts") / category / model / "training"


def out_of_fold_file(category: str, model: str) -> Path:
    """Scores of good images by models that never saw them; no rows unless `Detector.needs_folds`."""
    return Path("artifacts") / category / model / "out_of_fold.csv"


def scores_folder(category: str, model: str) -> Path:
    """Folder with scores.csv, threshold.json, maps.npy and reconstructions.npy."""
    return Path("artifacts") / category / model / "scores"


def report_folder(category: str, model: str | None = None) -> Path:
    """Folder with metrics.json and figures of one model, or of the category as a whole."""
    folder = REPORTS / "categories" / category
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


def benchmark_cell_folder(key: str) -> Path:
    """Folder with one training of a benchmark, evaluated: cell.json, scores.csv and pixels.npy."""
    return Path("artifacts/benchmark") / key
