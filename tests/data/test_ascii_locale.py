"""Names of files that the locale cannot encode: scored and written, or refused in one line."""

import csv
import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT
from drills.disk_full import make_project

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}
PREDICTIONS = """
import sys
from pathlib import Path
from mlproject.core import script
from mlproject.data.photos import find
from mlproject.inference import predict, results

def main(*out):
    paths, _ = find([Path("photos")])
    for name in out:
        results.write(Path(name), [predict.Prediction(path, 0.5, 0.25, False).row() for path in paths])
    print(*paths[:1])

script.run(main)
"""


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=os.environ | ASCII, capture_output=True, text=True, check=False,
    )  # fmt: skip


def rename(folder: Path) -> None:
    photo = folder / "photos/disc/train/good/000.png"
    photo.rename(photo.with_name("größe.png"))


def test_ingest_and_check_say_which_name_and_what_to_do(tmp_path):
    make_project(tmp_path)
    rename(tmp_path)
    for command in (
        [str(ROOT / "pipelines/ingest.py")],
        ["-c", "from mlproject import cli; cli.main()", "check"],
    ):
        result = python(tmp_path, *command)
        assert result.returncode == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith("error: photos/disc/train/good/'gr")
        assert "cannot be printed in the locale's encoding, ascii" in line
        assert "set PYTHONUTF8=1" in line
    assert not (tmp_path / "data/raw").exists()


def test_predictions_are_written_with_the_files_own_name(tmp_path):
    make_project(tmp_path)
    rename(tmp_path)
    written = ("r.csv", "r.json", "r.parquet")
    result = python(tmp_path, "-c", PREDICTIONS, *written)
    assert result.returncode == 0, result.stderr
    assert all((tmp_path / name).is_file() for name in written)
    with (tmp_path / "r.csv").open(encoding="utf-8") as file:
        assert "photos/disc/train/good/größe.png" in [row["path"] for row in csv.DictReader(file)]
