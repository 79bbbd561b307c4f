"""Photos are taken once they are whole, and once only; faults of a file system are borne."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
from support.watched_line import write_photos

from mlproject import models
from mlproject.data import photos
from mlproject.data.decode import decode_bytes
from mlproject.evaluation import frame_map
from mlproject.production import arrivals, verdict_table, watch
from mlproject.production.arrivals import Arrivals
from mlproject.production.status_page import Figures
from mlproject.production.verdict_table import VerdictTable
from mlproject.production.watch import Watch
from mlproject.registry.model_in_use import ModelInUse

pytest_plugins = ["support.tracked_project"]


def names(found: Sequence[arrivals.Arrival]) -> list[str]:
    return [arrival.path.name for arrival in found]


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.fixture
def looking(folder) -> Arrivals:
    return Arrivals([folder], lambda path, state: False)


@pytest.fixture
def whole_photo(tmp_path) -> bytes:
    return write_photos(tmp_path / "whole", 1)[0].read_bytes()


def test_a_photo_that_is_being_written_is_left_alone(looking, folder, whole_photo):
    photo = folder / "a.png"
    for end in range(100, len(whole_photo), 1500):
        photo.write_bytes(whole_photo[:end])
        assert looking.look() == []
    photo.write_bytes(whole_photo)
    assert looking.look() == []
    assert names(looking.look()) == ["a.png"]


def test_a_name_is_no_photo_until_it_has_its_ending(looking, folder, whole_photo):
    part = folder / "a.png.part"
    part.write_bytes(whole_photo)
    assert [looking.look(), looking.look(), looking.waiting] == [[], [], 0]
    part.rename(folder / "a.png")
    assert looking.look() == []
    assert names(looking.look()) == ["a.png"]


def test_a_photo_comes_again_until_it_is_finished(looking, folder, whole_photo):
    (folder / "a.png").write_bytes(whole_photo)
    looking.look()
    (arrival,) = looking.look()
    assert looking.look() == [arrival]
    assert looking.waiting == 1
    looking.finish(arrival)
    assert [looking.look(), looking.waiting] == [[], 0]


def test_a_photo_written_over_comes_again_even_with_its_old_size_and_time(looking, folder, whole_photo):
    photo = folder / "a.png"
    photo.write_bytes(whole_photo)
    looking.look()
    looking.finish(looking.look()[0])
    before = photo.stat()
    photo.write_bytes(whole_photo[::-1])
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    looking.look()
    assert names(looking.look()) == ["a.png"]


def test_what_was_removed_is_forgotten(looking, folder, whole_photo):
    (folder / "a.png").write_bytes(whole_photo)
    looking.look()
    looking.finish(looking.look()[0])
    (folder / "a.png").unlink()
    looking.look()
    assert not looking._done


def test_a_fifo_is_not_read(folder):
    os.mkfifo(folder / "a.png")
    assert arrivals.content_hash(folder / "a.png") == ""


@pytest.fixture
def table(tmp_path):
    with verdict_table.opened(tmp_path / "verdicts.db", new=True) as opened:
        yield opened


@pytest.fixture
def watching(trained, folder, table):
    """A watch without a registry, and the lines that it tells."""
    lines: list[str] = []
    version = SimpleNamespace(
        name="sample-bottle", version="1", architecture="kd_cae", title="version 1", threshold=1.5,
        image_size=48, detector=models.load(trained),
    )  # fmt: skip
    used = ModelInUse(version, np.empty(0))
    made = Watch(used, lambda now: None, [folder], table, 10_000, Figures(table, 1), Event(), lines.append)
    return made, lines


def test_a_photo_that_changes_while_it_is_scored_gets_no_verdict(watching, folder, whole_photo, table):
    made, lines = watching
    (folder / "a.png").write_bytes(whole_photo)
    made.look()
    predictions = watch.predict_photos

    def written_meanwhile(*given):
        for prediction in predictions(*given):
            (folder / "a.png").write_bytes(whole_photo + b"more")
            yield prediction

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "predict_photos", written_meanwhile)
        made.look()
    assert table.rows() == []
    made.look()
    made.look()
    (row,) = table.rows()
    assert row["sha256"] == arrivals.content_hash(folder / "a.png")
    assert len(lines) == 1


def test_a_scored_photo_has_its_map_in_the_table(watching, folder, whole_photo, table):
    made, _ = watching
    (folder / "a.png").write_bytes(whole_photo)
    made.look()
    made.look()
    (photo,) = table.scored("sample-bottle", "1", 0, -1)
    assert photo.frame_map == frame_map.frame_map(decode_bytes(whole_photo, 48)).tobytes()


def test_what_cannot_be_read_is_tried_three_times_then_said_and_left(
    watching, folder, whole_photo, table, monkeypatch
):
    made, lines = watching
    (folder / "a.png").write_bytes(whole_photo)
    asked = []

    def refused(path):
        asked.append(path)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(photos, "_content", refused)
    for _ in range(8):
        made.look()
    assert len(asked) == watch.READ_TRIES
    (row,) = table.rows()
    assert row["error"] == "cannot be read (Input/output error)"
    assert lines == [f"unreadable {folder}/a.png: cannot be read (Input/output error)"]


def test_a_folder_that_goes_away_is_a_problem_until_it_is_back(watching, folder, whole_photo, table):
    made, lines = watching
    shutil.rmtree(folder)
    made.look()
    made.look()
    assert made.figures.health()["status"] == "failing"
    folder.mkdir()
    (folder / "a.png").write_bytes(whole_photo)
    made.look()
    made.look()
    assert made.figures.health()["status"] == "ok"
    assert lines[:2] == [f"{folder}: is gone or may not be read", f"{folder}: is there again"]
    assert len(table.rows()) == 1


def test_names_that_are_no_utf_8_are_kept_apart(watching, folder, whole_photo, table):
    made, _ = watching
    for name in (b"a\xff.png", b"a\xfe.png"):
        (folder / os.fsdecode(name)).write_bytes(whole_photo)
    for _ in range(3):
        made.look()
    assert sorted(row["path"] for row in table.rows()) == [f"{folder}/a\\xfe.png", f"{folder}/a\\xff.png"]


def test_another_version_is_used_and_recorded_once_the_address_names_it(watching, folder, table, monkeypatch):
    made, lines = watching
    write_photos(folder, 1)
    made.look()
    made.look()
    new = ModelInUse(
        SimpleNamespace(**vars(made.model.version) | {"version": "2", "title": "version 2"}), np.empty(0)
    )
    made.newer = lambda used: new
    made._next_question = 0.0
    made._follow()
    write_photos(folder, 1, first=1)
    made.look()
    made.look()
    assert [row["version"] for row in table.rows()] == ["1", "2"]
    assert "version 1 is replaced by version 2" in lines


def test_a_registry_that_is_away_does_not_stop_the_line(watching, folder, table):
    made, lines = watching

    def away(used):
        raise ConnectionError("no route")

    made.newer = away
    made._next_question = 0.0
    made._follow()
    write_photos(folder, 1)
    made.look()
    made.look()
    assert lines[0] == "version 1 stays in use: no route"
    assert len(table.rows()) == 1


def test_two_tables_of_one_file_keep_a_photo_once(table, tmp_path, watching, folder):
    made, _ = watching
    write_photos(folder, 1)
    made.look()
    made.look()
    row = table.database.execute("SELECT * FROM verdicts").fetchone()
    with verdict_table.opened(tmp_path / "verdicts.db") as other:
        assert isinstance(other, VerdictTable)
        assert other.add(verdict_table.Verdict(*row[1:])) is None
        assert len(other.rows()) == 1
