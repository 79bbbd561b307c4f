"""A script ends with a line and an exit code, not with a traceback, where nothing is wrong with it."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlproject.core import files, script
from mlproject.core.errors import UserError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [(KeyboardInterrupt(), 130, "interrupted\n"), (UserError("no such key"), 2, "error: no such key\n")],
)
def test_what_a_person_did_is_one_line(error, code, line, capsys, monkeypatch):
    def main() -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["train.py"])
    with pytest.raises(SystemExit) as ended:
        script.run(main)
    assert ended.value.code == code
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("reports/bottle/a.json", "reports is a file, not a folder"),
        ("folder", "Is a directory"),
        ("a" * 300, "File name too long"),
    ],
)
def test_a_path_where_no_file_can_be_is_one_line(path, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["table"])
    Path("reports").touch()
    Path("folder").mkdir()
    with pytest.raises(SystemExit) as ended:
        script.run(lambda: files.read_json(Path(path)))
    assert ended.value.code == 2
    assert (
        capsys.readouterr().err == f"error: {path}: {said}. The run stopped. Correct that, then run again.\n"
    )


@pytest.mark.parametrize("printed", ["print('good')", "print('good', flush=True)"])
def test_what_was_printed_to_a_full_disk_is_one_line_and_exit_code_2(printed):
    code = f"from mlproject.core import script\nscript.run(lambda *_: {printed})"
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    said = "error: output: the disk is full. The run stopped. Free some space, then run again.\n"
    assert (done.returncode, done.stderr) == (2, said)
