"""A watched line's windows: counted over restarts, per version, and shown."""

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import requests

from mlproject.core.errors import UserError
from mlproject.evaluation import drift, frame_map
from mlproject.production import verdict_table
from mlproject.production.drift_monitor import OWN, DriftMonitor
from mlproject.production.status_page import Figures, served
from mlproject.production.verdict_table import Scored, Verdict, VerdictTable
from mlproject.registry.model_in_use import ModelInUse

ADDRESSES = Path("/proc/net/if_inet6")  # empty or missing without IPv6
IPV6 = ADDRESSES.is_file() and bool(ADDRESSES.read_text())
VERDICT = Verdict(
    path="", sha256="", score=0.0, threshold=2.0, defective=False, error=None, model="sample-bottle",
    version="1", architecture="pca", brightness=0.5, sharpness=0.01, found_at="2026-11-27T12:00:00.000+00:00",
    scored_at="2026-11-27T12:00:00.000+00:00", bytes=1, modified_ns=1, changed_ns=1,
)  # fmt: skip


@pytest.fixture
def table(tmp_path):
    with verdict_table.opened(tmp_path / "verdicts.db", new=True) as opened:
        yield opened


def monitor(table: VerdictTable, version: str = "1") -> DriftMonitor:
    used = SimpleNamespace(name="sample-bottle", version=version, threshold=2.0)
    good = np.random.default_rng(9).normal(size=60)
    return DriftMonitor(table, ModelInUse(used, good), run_length=10_000)


def maps(count: int, dust_from: int = 10**9) -> list[bytes]:
    """Return maps of photos; dust lies at x 0.27, y 0.05 of the frame from one of them on."""
    made = np.random.default_rng(5).normal(scale=0.01, size=(count, frame_map.VALUES))
    made[dust_from:, frame_map.SIDE + 8] -= 0.03
    return [row.tobytes() for row in made.astype(frame_map.DTYPE)]


def verdicts(count: int, first: int = 0, darker_from: int = 10**9, **changes) -> list[Verdict]:
    rng = np.random.default_rng(first)
    made = []
    for number in range(first, first + count):
        brightness = rng.normal(0.4 if number >= darker_from else 0.5, 0.02)
        row = replace(VERDICT, path=str(number), score=rng.normal(), brightness=brightness, **changes)
        made.append(replace(row, defective=row.score > row.threshold))
    return made


def take(
    table: VerdictTable, watching: DriftMonitor, given: list[Verdict], seen: list[bytes] | None = None
) -> list[str]:
    lines = []
    for verdict, seen_here in zip(given, seen or len(given) * [None], strict=True):
        number = table.add(verdict)
        assert number is not None
        if seen_here:
            table.add_map(number, seen_here)
        about = (verdict.brightness, verdict.sharpness, seen_here)
        lines += watching.add(Scored(number, verdict.scored_at, verdict.score, *about))
    return lines


def found(table: VerdictTable) -> list[tuple]:
    return table.database.execute("SELECT * FROM drift ORDER BY model, version, number").fetchall()


def test_a_darker_line_is_told_at_the_end_of_its_window(table):
    watching = monitor(table)
    assert take(table, watching, verdicts(OWN + drift.WINDOW)) == []
    (line,) = take(table, watching, verdicts(drift.WINDOW, first=OWN + drift.WINDOW, darker_from=0))
    assert line.startswith("drift      in the last 50 photos: brightness lower than before, median 0.39")
    assert table.alarms() == 1
    assert watching.last.alarm


def test_dust_is_told_with_its_place(table):
    watching = monitor(table)
    count = OWN + drift.WINDOW
    (line,) = take(table, watching, verdicts(count), maps(count, dust_from=OWN))
    assert line.startswith(
        "drift      in the last 50 photos: darker than before at x 0.27, y 0.05 of the frame"
    )
    assert watching.last.p_place <= watching.level / len(drift.TESTS)


def test_maps_are_kept_of_the_first_photos_and_of_the_window_that_is_not_full(table):
    count = OWN + drift.WINDOW + 3
    take(table, monitor(table), verdicts(count), maps(count))
    take(table, monitor(table, "2"), verdicts(2, first=1000, version="2"), maps(2))
    kept = [number for (number,) in table.database.execute("SELECT id FROM frame_maps")]
    assert kept == [*range(1, OWN + 1), *range(OWN + drift.WINDOW + 1, OWN + drift.WINDOW + 6)]


def test_where_verdicts_were_deleted_by_hand_a_photo_with_a_freed_id_has_its_own_map(table):
    take(table, monitor(table), verdicts(2), maps(2))
    table.database.execute("DELETE FROM verdicts")
    seen = maps(1, dust_from=0)
    take(table, monitor(table), verdicts(1, first=1000), seen)
    assert [photo.frame_map for photo in table.scored("sample-bottle", "1", 0, -1)] == seen


def test_a_table_of_format_1_goes_on(tmp_path):
    path = tmp_path / "old.db"
    given = verdicts(OWN + 2 * drift.WINDOW, darker_from=OWN + drift.WINDOW)
    with verdict_table.opened(path, new=True) as table:
        take(table, monitor(table), given[: OWN + 20])
        table.database.execute("DROP TABLE frame_maps")
        table.database.execute("ALTER TABLE drift DROP COLUMN p_place")
        table.database.execute("PRAGMA user_version = 1")
    with verdict_table.opened(path) as table:
        watching = monitor(table)
        later = given[OWN + 20 :]
        (line,) = take(table, watching, later, maps(len(later)))
        assert "brightness lower" in line
        assert watching.last.p_place is None  # its first photos have no maps
        count = OWN + drift.WINDOW
        take(table, monitor(table, "2"), verdicts(count, first=1000, version="2"), maps(count))
        assert table.last_window("sample-bottle", "2").p_place is not None
    with verdict_table.opened(path) as table:  # opened again, it is of this format
        assert table.counts()["unreadable"] == 0


@pytest.mark.parametrize("number", [0, 1, verdict_table.FORMAT])
def test_a_file_of_another_program_stays_as_it_is(tmp_path, number):
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE parts (name TEXT)")
        other.execute(f"PRAGMA user_version = {number}")
    before = path.read_bytes()
    with (
        pytest.raises(UserError, match=r"other\.db: is no table of verdicts"),
        verdict_table.opened(path, new=True),
    ):
        pass
    assert path.read_bytes() == before


def test_another_process_goes_on_with_the_same_windows(table, tmp_path):
    given = verdicts(OWN + 2 * drift.WINDOW + 7, darker_from=OWN + 20)
    seen = maps(len(given), dust_from=OWN + 70)
    with verdict_table.opened(tmp_path / "whole.db", new=True) as whole:
        take(whole, monitor(whole), given, seen)
        expected = found(whole)
    for start in range(0, len(given), 37):
        take(table, monitor(table), given[start : start + 37], seen[start : start + 37])
    assert found(table) == expected
    assert len(expected) == 6
    assert all(row[-1] is not None for row in expected[drift.OWN_WINDOWS :])


def test_verdicts_that_a_killed_process_did_not_compare_are_compared(table):
    given = verdicts(drift.WINDOW + 3)
    for verdict in given[:-1]:
        table.add(verdict)
    watching = monitor(table)
    assert watching.last is None
    take(table, watching, given[-1:])
    assert watching.last.number == 1


def test_each_version_has_windows_of_its_own(table):
    take(table, monitor(table), verdicts(drift.WINDOW - 1))
    take(table, monitor(table, "2"), verdicts(drift.WINDOW - 1, first=1000, version="2"))
    assert found(table) == []
    take(table, monitor(table), verdicts(1, first=2000))
    assert [row[1] for row in found(table)] == ["1"]


def test_figures_show_the_newest_window(table):
    figures, watching = Figures(table, every=1.0), monitor(table)
    assert figures.health()["drift"] == {"alarm": False, "p_value": None}
    lines = take(table, watching, verdicts(OWN + drift.WINDOW, darker_from=OWN))
    figures.compared(watching.last, len(lines))
    assert figures.health()["drift"]["alarm"]
    assert figures.registry.get_sample_value("mlproject_watch_drift_p_value") == watching.last.p_value
    assert figures.registry.get_sample_value("mlproject_watch_drift_alarm") == 1
    assert figures.registry.get_sample_value("mlproject_watch_drift_alarms_total") == 1
    again = Figures(table, every=1.0)
    assert again.registry.get_sample_value("mlproject_watch_drift_alarms_total") == 1


@pytest.mark.parametrize(
    ("host", "at", "others"),
    [
        ("127.0.0.1", "127.0.0.1", "localhost"),
        pytest.param("::1", "[::1]", "[::1]", marks=pytest.mark.skipif(not IPV6, reason="no IPv6 here")),
        ("localhost", "localhost", "127.0.0.1"),
    ],
)
def test_figures_are_served_at_addresses_of_both_kinds(table, host, at, others):
    with served(Figures(table, every=1.0), host, 0) as address:
        assert address.rsplit(":", 1)[0] == f"http://{at}"
        for name, status in ((f"{others}:1", 200), (others, 200), ("a.b:80", 403), ("[::2]", 403)):
            answer = requests.get(f"{address}/health", headers={"Host": name}, timeout=60)
            assert answer.status_code == status, name
