"""`mlproject watch`: real folders, real processes, killed and started again."""

import contextlib
import errno
import json
import os
import signal
import socket
import sqlite3
import struct
import urllib.error
import urllib.request
from pathlib import Path

import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.watched_line import start, write_photos

from mlproject.data import photos
from mlproject.tracking import connection

pytest_plugins = ["support.tracked_project"]

QUICK = ("--every", "0.01")


@pytest.fixture
def line(first, tmp_path, monkeypatch) -> Path:
    """A working directory that has nothing but MLFLOW_TRACKING_URI; bottle@champion is version 1."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", connection.uri())
    connection.connect().set_registered_model_alias(first.name, "champion", str(first.version))
    folder = tmp_path / "line"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def mlproject(line, mlproject):
    return mlproject


@pytest.fixture(autouse=True)
def usual_signals():
    """The command, run in this process, leaves handlers that would keep Ctrl-C from ending the tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def exported(mlproject, table: str = "verdicts.db") -> pd.DataFrame:
    code, _, errors = mlproject("verdicts", table, "--out", "verdicts.csv")
    assert code == 0, errors
    return pd.read_csv("verdicts.csv")


def predicted(mlproject, folder: Path) -> dict[str, float]:
    """Return path → score, as `mlproject predict` has them."""
    mlproject("predict", "bottle@champion", folder, "--out", "predicted.csv")
    table = pd.read_csv("predicted.csv")
    return dict(zip(table["path"], table["score"], strict=True))


def test_each_photo_has_the_score_that_predict_gives_it(mlproject, line):
    photos = line / "photos"
    write_photos(photos / "lot 7", 3)
    (photos / "broken.png").write_bytes((photos / "lot 7/0000.png").read_bytes()[:400])
    (photos / "gone.png").symlink_to("nowhere")
    (photos / "notes.txt").write_text("no photo")
    code, output, errors = mlproject("watch", "bottle@champion", photos, "--once", *QUICK)
    assert code == 0, errors
    assert len(output.splitlines()) == 5
    table = exported(mlproject)
    scores = dict(zip(table["path"], table["score"], strict=True))
    assert scores == pytest.approx(predicted(mlproject, photos), abs=0, nan_ok=True)
    reasons = table.set_index("path")["error"].dropna()
    assert reasons[f"{photos}/gone.png"] == "the link leads nowhere"
    assert reasons[f"{photos}/broken.png"].startswith("truncated")
    assert set(table["model"]) == {"sample-bottle"}
    assert set(table["version"]) == {1}


def test_once_gives_a_row_to_what_cannot_be_read(mlproject, line, monkeypatch):
    *_, broken = write_photos(line / "photos", 2)
    read, tries = photos._content, []

    def refused(path):
        if path != broken:
            return read(path)
        tries.append(path)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(photos, "_content", refused)
    code, output, errors = mlproject("watch", "bottle@champion", line / "photos", "--once", *QUICK)
    assert (code, len(tries)) == (0, 3)
    assert f"unreadable {broken}: " in output
    assert "not yet whole" not in errors
    assert exported(mlproject).set_index("path")["error"][str(broken)].endswith("(Input/output error)")


def test_started_again_it_scores_only_what_is_new(mlproject, line):
    photos = line / "photos"
    first, second = write_photos(photos, 2)
    mlproject("watch", "bottle", photos, "--once", *QUICK)
    first.touch()  # the same photo
    moved = first.rename(photos / "other.png")  # another path
    second.write_bytes(moved.read_bytes())  # another content
    (photos / "folder").mkdir()
    write_photos(photos / "folder", 1, first=5)
    code, output, _ = mlproject("watch", "bottle", "photos", "--once", *QUICK)
    assert code == 0
    assert sorted(text.split("  ")[-1] for text in output.splitlines()) == [
        f"{photos}/0001.png", f"{photos}/folder/0005.png", f"{photos}/other.png",
    ]  # fmt: skip
    moved.touch()
    _, output, errors = mlproject("watch", "bottle", photos, "--once", *QUICK)
    assert output == ""
    assert "verdicts.db: " in errors
    assert len(exported(mlproject)) == 5


def test_killed_and_started_again_every_photo_is_there_once(mlproject, line):
    photos = line / "photos"
    write_photos(photos, 60)
    for kept in (5, 20):
        with start("watch", "bottle", photos, *QUICK) as process:
            for _ in range(kept):
                assert process.stdout.readline(), process.stderr.read()
            process.kill()
    code, output, errors = mlproject("watch", "bottle", photos, "--once", *QUICK)
    assert code == 0, errors
    assert 0 < len(output.splitlines()) <= 35
    table = exported(mlproject)
    assert dict(zip(table["path"], table["score"], strict=True)) == predicted(mlproject, photos)
    assert len(table) == 60


def test_figures_are_served_and_sigterm_ends_it_cleanly(mlproject, line):
    photos = line / "photos"
    write_photos(photos, 3)
    (photos / "empty.png").touch()
    with start("watch", "bottle", photos, *QUICK, "--port", "0") as process:
        address = process.stderr.readline().split("/health")[0]
        for _ in range(4):
            assert process.stdout.readline()
        health = json.load(urllib.request.urlopen(f"{address}/health"))
        metrics = urllib.request.urlopen(f"{address}/metrics").read().decode()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(f"{address}/health", headers={"Host": "a.b:80"}))
        for _ in range(3):  # clients that go away before they have their answer
            with socket.create_connection(address.removeprefix("http://").split(":")) as gone:
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                gone.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        urllib.request.urlopen(f"{address}/health").read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()
    assert health["status"] == "ok"
    assert health["model"] == "sample-bottle version 1 (kd_cae)"
    assert health["photos"]["unreadable"] == 1
    assert sum(health["photos"].values()) == 4
    assert 0 <= health["last_photo_age_seconds"] < 60
    found = {
        (sample.name.removeprefix("mlproject_watch_"), *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
    }
    assert found["photos_total", "unreadable"] == 1
    assert found["photos_total", "good"] + found["photos_total", "defective"] == 3
    assert found["latency_seconds_count",] == 4
    assert found["healthy",] == 1
    assert found["model", "1", "kd_cae", "sample-bottle"] == 1
    assert len(exported(mlproject)) == 4


def test_ctrl_c_ends_it_with_exit_code_0(line):
    (line / "photos").mkdir()
    with start("watch", "bottle", "photos", *QUICK) as process:
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bottle", "nowhere"], "nowhere: no such folder"),
        (["bottle", ".", "photos"], "photos: is in another folder"),
        (["bottel", "photos"], "Did you mean"),
        (["bottle", "photos", "--table", "photos"], "is a folder"),
        (["bottle", "photos", "--table", "notes.txt"], "file is not a database"),
        (["bottle", "photos", "--table", "other.db"], "is no table of verdicts"),
        (["bottle", ""], "no such folder"),
        (["bottle", "photos", "--run-length", "20"], "100"),
    ],
)
def test_a_mistake_is_named(mlproject, line, arguments, said):
    (line / "photos").mkdir()
    (line / "notes.txt").write_text("no database, but long enough to be looked at" * 30)
    with contextlib.closing(sqlite3.connect("other.db")) as other:
        other.execute("CREATE TABLE parts (name TEXT)")
    content = Path("other.db").read_bytes()
    before = sorted(line.rglob("*"))
    code, output, errors = mlproject("watch", *arguments, "--once")
    assert (code, output) == (2, "")
    assert said in errors
    assert sorted(line.rglob("*")) == before
    assert Path("other.db").read_bytes() == content


def test_a_port_that_is_taken_is_named(mlproject, line):
    (line / "photos").mkdir()
    with start("watch", "bottle", "photos", *QUICK, "--port", "0") as process:
        port = process.stderr.readline().split("/health")[0].rsplit(":", 1)[1]
        code, _, errors = mlproject("watch", "bottle", "photos", "--once", "--port", port, "--table", "b.db")
        process.terminate()
    assert code == 2
    assert f"127.0.0.1:{port} cannot be used" in errors


def test_every_ending_holds_the_same(mlproject, line):
    write_photos(line / "photos", 2)
    mlproject("watch", "bottle", "photos", "--once", *QUICK)
    for ending in ("csv", "json", "parquet"):
        assert mlproject("verdicts", "verdicts.db", "--out", f"v.{ending}")[0] == 0
    read = pd.read_csv("v.csv")
    assert read["score"].tolist() == pd.read_parquet("v.parquet")["score"].tolist()
    assert read["sha256"].tolist() == [row["sha256"] for row in json.loads(Path("v.json").read_text())]


def test_no_table_and_an_empty_one_are_named(mlproject, line):
    (line / "photos").mkdir()
    assert "`mlproject watch` makes it" in mlproject("verdicts", "none.db", "--out", "v.csv")[2]
    mlproject("watch", "bottle", "photos", "--once", *QUICK)
    code, _, errors = mlproject("verdicts", "verdicts.db", "--out", "v.csv")
    assert code == 2
    assert "holds no verdict yet" in errors
