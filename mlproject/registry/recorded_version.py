"""A registered version, downloaded and verified: its recorded scores, and what it answers now."""

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlproject.core import artifacts, files
from mlproject.core.errors import FULL, UserError
from mlproject.core.tables import read_table
from mlproject.registry import hashes, version_tags
from mlproject.registry.recorded_scores import RECORDED, TESTED
from mlproject.tracking import connection, store_faults

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

PROBE = Path(__file__).with_name("probe.py")
REPEATS = 20  # predictions that the latency is the median of


@dataclass(frozen=True)
class RecordedVersion:
    """A version's files on this disk.

    Attributes:
        folder: the model as MLflow keeps it.
        recorded: path, subset, defect, label, score, parts and sha256 (NaN where unknown) of the images
            that it was tested on, as recorded.
        threshold: that it decides by.
        false_alarm_rate_asked: share of good images that may be called defective; None: not recorded.
        seen: sha256 of all images that it was trained, calibrated or tested on; None if one is unknown.
    """

    version: "ModelVersion"
    folder: Path
    recorded: pd.DataFrame
    threshold: float
    false_alarm_rate_asked: float | None
    seen: frozenset[str] | None

    @property
    def title(self) -> str:
        """Version and architecture."""
        return f"version {self.version.version} ({version_tags.architecture(self.version)})"

    @property
    def test(self) -> pd.DataFrame:
        """The rows that no model is trained on."""
        return self.recorded[self.recorded["subset"] == "test"].reset_index(drop=True)


@dataclass(frozen=True)
class Answers:
    """Answers of a model that was loaded in a process of its own.

    Attributes:
        scores: (n,) float64, one an image.
        latency_ms: median time of one image.
        memory_mb: peak of the process, one image at a time.
        own_code: whether it ran the code that travels with it.
        maps: (n, h, w) float32 if asked for and made, else None.
    """

    scores: np.ndarray
    latency_ms: float
    memory_mb: float
    own_code: bool
    maps: np.ndarray | None


@contextmanager
def files_of(version: "ModelVersion") -> Iterator[str]:
    """Yield a version's address, for work on its files.

    Raises:
        UserError: the work found that they are gone.
        StoreFault: the store does not give them.
        OSError: there is no space for them here: they may well be where they were.
    """
    uri = f"models:/{version.name}/{version.version}"
    try:
        yield uri
    except store_faults.kinds(OSError) as error:
        why = " ".join(connection.without_password(str(error)).split())
        for number in map(int, re.findall(r"\[Errno (\d+)\]", why)):  # MLflow wraps what the system said
            if number in FULL:
                raise OSError(number, os.strerror(number), tempfile.gettempdir()) from None
        if fault := store_faults.refusal(error):
            raise fault from None
        raise UserError(
            f"{uri}: its files cannot be brought back ({why[: store_faults.SHOWN]}). "
            "`mlproject register`, where it was trained, registers it again."
        ) from None


def download(version: "ModelVersion", into: Path) -> Path:
    """Bring a version's files into a folder and verify each; return where they lie.

    Args:
        into: a temporary folder. On Ctrl-C MLflow's threads write into it until the process ends, after
            whoever made it has removed it: what they wrote is removed then.

    Raises:
        UserError: they are gone, are not what was registered, or the registry holds no hash of them.
        StoreFault, OSError: as `files_of`.
    """
    from mlflow.artifacts import download_artifacts

    recorded = version_tags.lineage(version).get("files")
    if recorded is None:
        raise UserError(
            f"{version.name} version {version.version}: the registry holds no hash of its files: it was not "
            "made by this release of mlproject. `mlproject register` where it was trained registers it again."
        )
    with files_of(version) as uri:
        try:
            folder = Path(download_artifacts(uri, dst_path=str(into)))
        except KeyboardInterrupt:
            atexit.register(shutil.rmtree, into, ignore_errors=True)  # runs when the threads have ended
            raise
        except PermissionError as error:
            if Path(error.filename or "") != into / hashes.ADDED:
                raise
            folder = into  # all is here; this last file, MLflow's own, is a copy of one that is read-only
        hashes.verify(folder, uri, recorded)
    for compiled in list(folder.rglob("__pycache__")):  # in no list, and Python would run it
        shutil.rmtree(compiled)
    (folder / hashes.ADDED).unlink(missing_ok=True)  # verified: who loads it need not ask again
    return folder


def fetch(version: "ModelVersion", into: Path) -> RecordedVersion:
    """Bring a version's files into a new folder below `into`.

    Raises:
        UserError: as `download`.
    """
    folder = into / str(version.version)
    folder.mkdir(parents=True)
    folder = download(version, folder)
    recorded = read_table(folder / "artifacts" / RECORDED)
    threshold = files.read_json(folder / "artifacts/threshold.json", required=("threshold",))
    return RecordedVersion(
        version,
        folder.resolve(),
        recorded[recorded["subset"].isin(TESTED)].reset_index(drop=True),
        float(threshold["threshold"]),
        threshold.get("false_alarm_rate_asked"),
        None if recorded["sha256"].isna().any() else frozenset(recorded["sha256"]),
    )


def shared(champion: RecordedVersion, challenger: RecordedVersion) -> pd.DataFrame:
    """Return the test images that both have scores of, one row an image.

    Columns: path, defect, label, sha256, champion and challenger (scores). The same path with another
    content is another image; unknown contents are the same if both models name the same data hash.
    """
    left, right = champion.test, challenger.test
    data = [version_tags.lineage(side.version).get("data_hash") for side in (champion, challenger)]
    both = right.merge(left[["path", "score", "label", "sha256"]], on="path", suffixes=("", "_champion"))
    same = both["sha256"] == both["sha256_champion"]
    if data[0] == data[1]:
        same |= both["sha256"].isna() | both["sha256_champion"].isna()
    both = both[same & (both["label"] == both["label_champion"])].reset_index(drop=True)
    both = both.rename(columns={"score": "challenger", "score_champion": "champion"})
    return both[["path", "defect", "label", "sha256", "champion", "challenger"]]


def shared_and_rescored(
    champion: RecordedVersion, challenger: RecordedVersion, category: str
) -> tuple[pd.DataFrame, int]:
    """Return `shared` and the challenger's other test images, scored by the champion, and how many these are.

    The others are images that the champion's record lacks, training images included: it has learnt from none
    of them. Their files must be here as recorded.

    Raises:
        UserError: the champion does not load and answer.
    """
    both = shared(champion, challenger)
    if champion.seen is None:
        return both, 0
    test = challenger.test
    new = test[test["sha256"].notna() & ~test["sha256"].isin(champion.seen)]
    here = [_state(artifacts.RAW / category / row.path, row.sha256) == "" for row in new.itertuples()]
    new = new[np.array(here, dtype=bool)].reset_index(drop=True)
    if new.empty:
        return both, 0
    scores = ask(champion, [artifacts.RAW / category / path for path in new["path"]]).scores
    new = new.rename(columns={"score": "challenger"}).assign(champion=scores)
    return pd.concat([both, new[both.columns]], ignore_index=True), len(new)


def unchanged(version: RecordedVersion, category: str) -> tuple[pd.DataFrame, str]:
    """Return the recorded rows whose image files are here as they were, and what is wrong with the rest."""
    if version.recorded["sha256"].isna().any():
        return version.recorded.iloc[:0], (
            "it does not say which files its scores are of, and data/prepared has other images; "
            "`mlproject register` where it was trained makes a version that does"
        )
    states = [
        _state(artifacts.RAW / category / row.path, row.sha256) for row in version.recorded.itertuples()
    ]
    here = version.recorded[[state == "" for state in states]].reset_index(drop=True)
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
    if files.sha256(path) != sha256:
        return f"{path} is another image than the recorded one"
    return ""


def ask(version: RecordedVersion, images: Sequence[Path], maps: bool = False) -> Answers:
    """Load the model in a fresh process that runs the code it came with; return what it says of images.

    Raises:
        UserError: it does not load or answer; tells the last line of what it said.
    """
    out = version.folder.parent / f"{version.folder.name}-answers"
    out.mkdir(exist_ok=True)
    job: dict[str, Any] = {
        "model": str(version.folder),
        "images": [str(path) for path in images],
        "repeats": REPEATS,
        "maps": maps,
        "out": str(out),
    }
    (out / "job.json").write_text(json.dumps(job), encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - this interpreter, a file of this version
        [sys.executable, "-P", str(PROBE), str(out / "job.json")],
        env=os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"{version.title} does not load and answer: {said[-1]}")
    answers = json.loads((out / "answers.json").read_text(encoding="utf-8"))
    made = out / "maps.npy"
    return Answers(
        np.array(answers["score"], dtype=np.float64),
        answers["latency_ms"],
        answers["memory_mb"],
        answers["own_code"],
        np.load(made) if maps and made.is_file() else None,
    )
