"""Recorded data of a registered version: its scores, its threshold, and what it predicts now."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlproject.core import artifacts, files
from mlproject.core.errors import UserError
from mlproject.registry import card
from mlproject.tracking import connection

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

PROBE = Path(__file__).with_name("probe.py")
REPEATS = 20  # predictions that the latency is the median of


@dataclass(frozen=True)
class Package:
    """A version's files on this disk.

    Attributes:
        folder: the model as MLflow keeps it.
        recorded: path, subset, defect, label, score, parts and sha256 (NaN where unknown) of the images
            that it was tested on, as recorded.
        threshold: that it decides by.
        asked: share of good images that may be called defective; None if it was not recorded.
    """

    version: "ModelVersion"
    folder: Path
    recorded: pd.DataFrame
    threshold: float
    asked: float | None

    @property
    def title(self) -> str:
        """Version and architecture."""
        return f"version {self.version.version} ({self.version.tags.get('architecture', 'unknown')})"

    @property
    def test(self) -> pd.DataFrame:
        """The rows that no model is trained on."""
        return self.recorded[self.recorded["subset"] == "test"].reset_index(drop=True)


@dataclass(frozen=True)
class Answers:
    """What the model says when loaded in a process of its own.

    Attributes:
        scores: (n,) float64, one an image.
        latency_ms: median time of one image.
        memory_mb: peak of the process, one image at a time.
        own_code: whether it ran the code that travels with it.
        maps: (n, h, w) float32 if asked for and made, else None.
    """

    scores: np.ndarray
    threshold: float
    latency_ms: float
    memory_mb: float
    own_code: bool
    maps: np.ndarray | None


@contextmanager
def files_of(version: "ModelVersion") -> Iterator[str]:
    """Yield a version's address, for work on its files.

    Raises:
        UserError: the work found that they are gone.
    """
    from mlflow.exceptions import MlflowException

    uri = f"models:/{version.name}/{version.version}"
    try:
        yield uri
    except (MlflowException, OSError) as error:
        why = connection.without_password(str(error))
        raise UserError(
            f"{uri}: its files cannot be brought back ({why}). `dvc repro` registers it again."
        ) from None


def fetch(version: "ModelVersion", into: Path) -> Package:
    """Bring a version's files into a new folder below `into`.

    Versions of an older release have no scores with them: then their run's are taken.

    Raises:
        UserError: its files are gone.
    """
    import mlflow

    folder = into / str(version.version)
    folder.mkdir(parents=True)
    with files_of(version) as uri:
        mlflow.artifacts.download_artifacts(uri, dst_path=str(folder))
        recorded = folder / "artifacts" / card.RECORDED
        if not recorded.is_file():
            run_file = f"runs:/{version.run_id}/scores/scores.csv"
            recorded = Path(mlflow.artifacts.download_artifacts(run_file, dst_path=str(folder)))
        threshold = files.read_json(folder / "artifacts/threshold.json", required=("threshold",))
    return Package(
        version,
        folder.resolve(),
        _with_hashes(files.read_table(recorded), version),
        float(threshold["threshold"]),
        threshold.get("false_alarm_rate_asked"),
    )


def _with_hashes(table: pd.DataFrame, version: "ModelVersion") -> pd.DataFrame:
    """Return the tested rows; hashes that an older release left out come from the same prepared data."""
    table = table[table["subset"].isin(card.TESTED)].reset_index(drop=True)
    if "sha256" in table:
        return table
    category, data_hash = version.tags.get("category", ""), version.tags.get("data_hash", "")
    known = card.file_hashes(category, data_hash) if category else {}
    return table.assign(sha256=table["path"].map(known))


def shared(champion: Package, challenger: Package) -> pd.DataFrame:
    """Return the test images that both have scores of, one row an image.

    Columns: path, defect, label, sha256, champion and challenger (scores). The same path with another
    content is another image; unknown contents are the same if both models name the same data hash.
    """
    left, right = champion.test, challenger.test
    same_data = champion.version.tags.get("data_hash") == challenger.version.tags.get("data_hash")
    both = right.merge(left[["path", "score", "label", "sha256"]], on="path", suffixes=("", "_champion"))
    same = both["sha256"] == both["sha256_champion"]
    if same_data:
        same |= both["sha256"].isna() | both["sha256_champion"].isna()
    both = both[same & (both["label"] == both["label_champion"])].reset_index(drop=True)
    both = both.rename(columns={"score": "challenger", "score_champion": "champion"})
    return both[["path", "defect", "label", "sha256", "champion", "challenger"]]


def unchanged(package: Package, category: str) -> tuple[pd.DataFrame, str]:
    """Return the recorded rows whose image files are here as they were, and what is wrong with the rest."""
    if package.recorded["sha256"].isna().any():
        return package.recorded.iloc[:0], (
            "it does not say which files its scores are of, and data/prepared has other images; "
            "`mlproject register` where it was trained makes a version that does"
        )
    states = [
        _state(artifacts.RAW / category / row.path, row.sha256) for row in package.recorded.itertuples()
    ]
    here = package.recorded[[state == "" for state in states]].reset_index(drop=True)
    wrong = [state for state in states if state]
    if not wrong:
        return here, "" if len(here) else "no image was recorded"
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return (
        here,
        f"{wrong[0]}{more}; `git checkout` its commit and `dvc checkout` bring the recorded images back",
    )


def _state(path: Path, sha256: str) -> str:
    if not path.is_file():
        return f"{path} is missing"
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        return f"{path} is another image than the recorded one"
    return ""


def ask(package: Package, images: Sequence[Path], maps: bool = False) -> Answers:
    """Load the model in a fresh process that runs the code it came with; return what it says of images.

    Raises:
        UserError: it does not load or answer; tells the last line of what it said.
    """
    out = package.folder.parent / f"{package.folder.name}-answers"
    out.mkdir(exist_ok=True)
    job: dict[str, Any] = {
        "model": str(package.folder),
        "images": [str(path) for path in images],
        "repeats": REPEATS,
        "maps": maps,
        "out": str(out),
    }
    (out / "job.json").write_text(json.dumps(job), encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - this interpreter, a file of this package
        [sys.executable, "-P", str(PROBE), str(out / "job.json")],
        env=os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"{package.title} does not load and answer: {said[-1]}")
    answers = json.loads((out / "answers.json").read_text(encoding="utf-8"))
    made = out / "maps.npy"
    return Answers(
        np.array(answers["score"], dtype=np.float64),
        float(answers["threshold"][0]),
        answers["latency_ms"],
        answers["memory_mb"],
        answers["own_code"],
        np.load(made) if maps and made.is_file() else None,
    )
