"""Outputs appear whole or not at all, whoever else writes them and however full the disk is."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from mlproject.core import files
from mlproject.core.errors import UserError
from mlproject.core.tables import read_table, write_table

# Every output is larger than the 1000 bytes that a file may have here, as on a full disk.
FULL_DISK = """
import json, resource, sys
from pathlib import Path
import numpy as np, pandas as pd, torch
from PIL import Image
from mlproject import generators, models
from mlproject.core import files, params
from mlproject.core.errors import UserError
from mlproject.core.tables import write_table
from mlproject.inference import results
from mlproject.reports.figures import drawing
from mlproject.training import checkpoints, epoch_pictures

noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)
rows = [{"path": str(i) * 20, "score": i, "defective": True, "error": ""} for i in range(99)]
detector = models.create("pca", params.value("models.pca"))
detector.state = lambda: {"weights": np.zeros(5000)}
generator = generators.create("dcgan", params.value("generators.dcgan"))
generator.state = detector.state

def images(folder):
    with files.written_whole(folder) as part:
        Image.fromarray(noise).save(part / "0.png")

writers = {
    "a.json": lambda path: files.write_json(path, list(range(1000))),
    "a.txt": lambda path: files.write_text(path, "x" * 5000),
    "a.bin": lambda path: files.write_bytes(path, bytes(5000)),
    "a.csv": lambda path: write_table(path, pd.DataFrame({"a": range(5000)})),
    "a.npy": lambda path: files.write_array(path, np.zeros(5000)),
    "a.checkpoint": lambda path: checkpoints.write(path, {"weights": torch.zeros(5000)}),
    "epoch.png": lambda path: epoch_pictures.write(path, noise),
    "figure.png": lambda path: drawing.save(drawing.new(4, 3, "Title"), path),
    "scores.parquet": lambda path: results.write(path, rows),
    "detector": lambda path: detector.save(path),
    "generator": lambda path: generator.save(path),
    "images": images,
}
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
said = {}
for name, write in writers.items():
    try:
        write(Path(sys.argv[1], name))
        said[name] = "written"
    except UserError as error:
        said[name] = str(error)
    except Exception as error:
        said[name] = repr(error)
print(json.dumps(said))
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    # -B: with files limited to 1000 bytes, Python would leave truncated bytecode of what it imports
    command = [sys.executable, "-B", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_full_disk_is_one_line_from_every_writer_and_old_outputs_stay(tmp_path):
    old = re.findall(r'^    "([^"]+)": ', FULL_DISK, re.MULTILINE)
    for name in old:
        (tmp_path / name).write_text("old")
    result = python(FULL_DISK, tmp_path)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert sorted(said) == sorted(old)
    for name, text in said.items():
        assert text.startswith(f"{tmp_path / name}"), name
        assert "Nothing was written." in text, name
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(old, "old")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: files.write_text(path, "new"),
        lambda path: write_table(path, pd.DataFrame({"a": [1]})),
        lambda path: files.write_array(path, np.zeros(3)),
    ],
)
def test_a_place_that_cannot_hold_a_file_is_one_line(write: Callable[[Path], None], tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file.*Nothing was written\. "):
        write(tmp_path / "file/out")


def test_an_error_while_writing_leaves_the_old_output_and_nothing_else(tmp_path):
    files.write_text(tmp_path / "file", "old")
    with files.written_whole(tmp_path / "folder") as part:
        (part / "old").touch()
    with pytest.raises(ZeroDivisionError), files.written_file(tmp_path / "file") as part:
        part.write_text(str(1 / 0))
    with pytest.raises(ZeroDivisionError), files.written_whole(tmp_path / "folder") as part:
        (part / "new").write_text(str(1 / 0))
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path / "folder") == ["old"]
    assert names(tmp_path) == ["file", "folder"]


def test_what_is_written_again_keeps_its_mode(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    files.write_text(new, "first")
    old.touch(mode=0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    files.write_text(old, "again")
    with files.written_whole(tmp_path / "folder"):
        pass
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("old", "folder")] == [0o600, 0o700]
    (tmp_path / "any").touch()
    assert new.stat().st_mode == (tmp_path / "any").stat().st_mode


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "that leads nowhere yet"])
def test_a_link_stays_one(tmp_path, there):
    link, target = tmp_path / "link", tmp_path / "elsewhere/target"
    target.parent.mkdir()
    if there:
        target.touch(mode=0o600)
    link.symlink_to("elsewhere/target")
    files.write_text(link, "new")
    assert (link.is_symlink(), target.read_text()) == (True, "new")
    assert (names(tmp_path), names(target.parent)) == (["elsewhere", "link"], ["target"])


def test_what_lies_in_dvcs_cache_is_not_written_to(tmp_path):
    """With cache.type symlink DVC keeps links in place of results."""
    cached, result = tmp_path / "cached", tmp_path / "result"
    cached.write_text("old")
    cached.chmod(0o444)
    result.symlink_to(cached)
    files.write_text(result, "new")
    assert (cached.read_text(), result.read_text(), result.is_symlink()) == ("old", "new", False)
    assert result.stat().st_mode & stat.S_IWUSR


@pytest.mark.parametrize("before", [True, False], ids=["the old one is away", "the new one is to come"])
def test_ctrl_c_while_a_folder_is_replaced_leaves_the_old_one(before, tmp_path, monkeypatch):
    with files.written_whole(tmp_path / "folder") as part:
        (part / "old").touch()
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if not before and target == tmp_path / "folder" and (path / "new").exists():
            raise KeyboardInterrupt
        moved = rename(path, target)
        if before and path == tmp_path / "folder":
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), files.written_whole(tmp_path / "folder") as part:
        (part / "new").touch()
    assert names(tmp_path / "folder") == ["old"]
    assert names(tmp_path) == ["folder"]


KILLED = """
import os, signal, sqlite3, sys
from contextlib import ExitStack
from pathlib import Path
from mlproject.core import files

path = Path(sys.argv[1])
with ExitStack() as opened:
    part = opened.enter_context(files.written_whole(path / "folder"))
    (part / "half").touch()
    opened.enter_context(files.written_file(path / "file")).write_text("half")
    database = sqlite3.connect(opened.enter_context(files.written_file(path / "a.db")))
    database.execute("BEGIN")
    database.execute("CREATE TABLE a (b)")  # kept in a journal next to the file until the transaction ends
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_writer_of_that_output_only(tmp_path):
    assert python(KILLED, tmp_path).returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 7
    journal = next(name for name in names(tmp_path) if name.endswith(".part-journal"))
    assert re.fullmatch(r"a\.db\.[0-9a-f]{8}\.part-journal", journal)
    mine = ("a.db.mine.part-journal", "file.mine.part", "b.db.00000000.part-journal")
    for name in mine:
        (tmp_path / name).touch()
    files.write_text(tmp_path / "file", "whole")
    files.write_text(tmp_path / "a.db", "whole")
    with files.written_whole(tmp_path / "folder") as part:
        (part / "whole").touch()
    assert names(tmp_path) == sorted(("a.db", "file", "folder", *mine))
    assert names(tmp_path / "folder") == ["whole"]


def test_what_a_library_made_beside_a_half_written_file_goes_with_it(tmp_path):
    with suppress(ZeroDivisionError), files.written_file(tmp_path / "a.db") as part:
        part.with_name(f"{part.name}-journal").touch()
        part.write_text(str(1 / 0))
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["part", "part-journal", "part-wal", "part-shm"])
def test_git_ignores_what_a_killed_process_left(kind):
    """Else every version that is registered later had "uncommitted changes", and could not be promoted."""
    for name in (f"mlflow.db.01abcdef.{kind}", f"store/mlflow.db.01abcdef.{kind}"):
        ignored = subprocess.run(["git", "check-ignore", "--no-index", "-q", name], cwd=ROOT, check=False)
        assert ignored.returncode == 0, name


def test_an_output_removed_while_it_is_written_is_an_error(tmp_path):
    with (
        pytest.raises(UserError, match="was removed by another program"),
        files.written_file(tmp_path / "a") as part,
    ):
        part.unlink()
    with (
        pytest.raises(UserError, match=r"b: .* was removed by another program"),
        files.written_whole(tmp_path / "b") as part,
    ):
        part.rmdir()
    with pytest.raises(UserError, match=r"images.npy: was removed by another program"):
        files.demand_files(tmp_path, ["images.npy"])
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "is not valid JSON"), ('{"a": 1', "is not valid JSON"), (b"\xff\xfe", "is not valid JSON")],
)
def test_a_damaged_json_file_is_named(content, said, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=said) as error:
        files.read_json(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"f1": 1}'])
def test_a_json_file_without_a_required_key_is_named(content, tmp_path):
    path = tmp_path / "threshold.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"threshold\.json: is incomplete: it has no threshold"):
        files.read_json(path, required=("threshold",))


ASCII = """
from mlproject.core import files, script
from mlproject.core.errors import UserError
from pathlib import Path

def main(path):
    files.write_json(Path(path), {"size": "16\\xd716 \\u2192 \\xfc"})
    print(files.read_json(Path(path))["size"])
    raise UserError("16\\xd716")

script.run(main)
"""


def test_letters_survive_a_terminal_that_has_none_of_them(tmp_path):
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = subprocess.run(
        [sys.executable, "-c", ASCII, str(tmp_path / "a.json")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert result.stdout == "16\\xd716 \\u2192 \\xfc\n"
    assert result.stderr == "error: 16\\xd716\n"
    assert files.read_json(tmp_path / "a.json") == {"size": "16×16 → ü"}


@pytest.mark.parametrize("kept", [0, 100, 200])
def test_a_truncated_array_is_named(kept, tmp_path):
    path = tmp_path / "a.npy"
    files.write_array(path, np.zeros(50))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"a\.npy: is no readable array"):
        files.read_array(path)


def test_an_empty_table_file_is_named(tmp_path):
    (tmp_path / "a.csv").touch()
    with pytest.raises(UserError, match=r"a\.csv: is no readable table"):
        read_table(tmp_path / "a.csv")
