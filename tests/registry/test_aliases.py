"""Champion and previous: two people at once, deleted versions, names that do not exist, old tables."""

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
import support.promotion_project as project
from mlflow import MlflowClient
from support import fork_server
from support.promotion_project import NAME, aliases

from mlproject.registry import aliases as moves
from mlproject.registry import promotion
from mlproject.registry.gate import Check
from mlproject.tracking import connection

pytest_plugins = ["support.tracked_project", "support.promotion_project"]


@pytest.fixture
def bare(tmp_path, monkeypatch, empty_database):
    """A client of a registry whose versions 1 to 4 are empty: nothing here loads them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    project.tracked.write_params([project.CATEGORY], ["kd_cae"])
    client = connection.connect()
    client.create_registered_model(NAME)
    for _ in range(4):
        client.create_model_version(NAME, str(tmp_path), tags={"architecture": "pca"})
    return client


def test_rollback_walks_back_through_all_champions(bare):
    for number, before in (("1", None), ("2", "1"), ("3", "2")):
        moves.promote(bare, NAME, number, before)
    assert aliases() == {"champion": 3, "previous": 2}
    assert moves.rollback(bare, NAME) == ("3", "2")
    assert aliases() == {"champion": 2, "previous": 1}
    moves.promote(bare, NAME, "4", "2")
    assert aliases() == {"champion": 4, "previous": 2}
    moves.rollback(bare, NAME)
    moves.rollback(bare, NAME)
    assert aliases() == {"champion": 1}


def test_rollback_passes_over_a_deleted_version(bare, mlproject):
    for number, before in (("1", None), ("2", "1"), ("3", "2")):
        moves.promote(bare, NAME, number, before)
    bare.delete_model_version(NAME, "1")
    moves.rollback(bare, NAME)
    assert aliases() == {"champion": 2}
    code, _, err = mlproject("rollback", "bottle")
    assert code == 2
    assert "no previous champion" in err


def test_a_deleted_champion_leaves_the_one_before_it_to_return_to(bare, mlproject):
    moves.promote(bare, NAME, "1", None)
    moves.promote(bare, NAME, "2", "1")
    bare.delete_model_version(NAME, "2")
    assert aliases() == {"previous": 1}
    moves.promote(bare, NAME, "3", None)
    assert aliases() == {"champion": 3, "previous": 1}
    code, out, _ = mlproject("rollback", "bottle")
    assert (code, aliases()) == (0, {"champion": 1})
    assert "version 1 (was: 3)" in out


def test_a_rollback_says_what_the_champion_was_promoted_in_spite_of(bare, mlproject):
    moves.promote(bare, NAME, "1", None)
    bare.set_model_version_tag(NAME, "1", moves.FORCED, "not worse, learnt")
    moves.promote(bare, NAME, "2", "1")
    moves.promote(bare, NAME, "3", "2")
    _, out, _ = mlproject("rollback", "bottle")
    assert out.endswith("version 2 (was: 3).\n")
    _, out, _ = mlproject("rollback", "bottle")
    assert out.endswith("version 1 (was: 2). Its promotion was forced, although not: not worse, learnt.\n")


def test_a_champion_that_was_set_by_hand_is_returned_to(bare):
    bare.set_registered_model_alias(NAME, "champion", "2")
    moves.promote(bare, NAME, "3", "2")
    moves.rollback(bare, NAME)
    assert aliases()["champion"] == 2


def test_who_was_compared_with_another_champion_is_told_and_changes_nothing(bare):
    moves.promote(bare, NAME, "1", None)
    moves.promote(bare, NAME, "2", "1")
    with pytest.raises(moves.LostRace, match=r"from version 1 to version 2.*nothing was changed"):
        moves.promote(bare, NAME, "3", "1")
    assert aliases() == {"champion": 2, "previous": 1}


def promote(client, number, against):
    challenger, champion = (client.get_model_version(NAME, version) for version in (number, against))
    promotion.promote(client, challenger, champion, [Check("not worse", False, "it is")], "a rehearsal")


def test_who_changes_nothing_leaves_no_mark(bare):
    moves.promote(bare, NAME, "2", None)
    with pytest.raises(moves.LostRace, match="nothing was changed"):
        promote(bare, "3", against="1")
    assert "promoted.at" not in project.tags(3)


def test_a_champion_has_its_mark_even_where_another_machine_moved_in_the_same_moment(bare, monkeypatch):
    """Their whole promotion falls just before our alias: we are champion, and are told to agree."""
    moves.promote(bare, NAME, "1", None)
    set_alias = MlflowClient.set_registered_model_alias

    def interrupted(self, name, alias, version):
        if (alias, version) == ("champion", "2"):
            moves._move(self, name, ["1", "3"], "3", "1", "1")
        set_alias(self, name, alias, version)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", interrupted)
    with pytest.raises(moves.LostRace, match="in the same moment"):
        promote(bare, "2", against="1")
    assert aliases()["champion"] == 2
    left = project.tags(2)
    assert (left["promoted.forced"], left["promoted.why"]) == ("not worse", "a rehearsal")
    assert left["gate.not_worse"].startswith("NO")


@pytest.mark.parametrize(
    "moment", ["get_registered_model", "set_registered_model_tag", "set_registered_model_alias"]
)
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_two_machines_at_once_never_both_believe_they_won(bare, moment, nth):
    """No lock holds two machines apart: the other's whole promotion falls between any two of ours."""
    moves.promote(bare, NAME, "1", None)
    told = []

    def promote(number):
        try:
            moves._move(bare, NAME, ["1", number], number, "1", "1")
        except moves.LostRace as error:
            told.append((number, str(error)))

    original, calls = getattr(MlflowClient, moment), []

    def interrupted(self, *arguments, **named):
        calls.append(moment)
        if len(calls) == nth:
            promote("3")
        return original(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MlflowClient, moment, interrupted)
        promote("2")
    champion = str(connection.connect().get_registered_model(NAME).aliases["champion"])
    interleaved = len(calls) >= nth
    assert interleaved <= bool(told), "somebody must learn of the other"
    assert all(f"ersion {champion}" in text for number, text in told if number != champion)


def test_two_processes_at_once_make_one_champion(fresh):
    """Both compare with no champion, then wait for the lock; the second finds the first's champion."""
    command = [fork_server.programs() / "mlproject", "promote", "bottle", "--version"]
    with connection.machine_lock():
        running = {
            number: subprocess.Popen(
                [*command, str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env=os.environ | {"PYTHONPATH": str(project.tracked.ROOT), "PYTHONUNBUFFERED": "1"},
            )
            for number in fresh.values()
        }  # fmt: skip
        for process in running.values():
            while "lineage" not in (line := process.stdout.readline()):
                assert line, process.stderr.read()
    ended = {number: (*process.communicate(), process.returncode) for number, process in running.items()}
    (winner,) = [number for number, (_, _, code) in ended.items() if code == 0]
    (loser,) = set(ended) - {winner}
    assert "Champion: " in ended[winner][0]
    assert ended[loser][2] == 1
    assert f"from no champion to version {winner}" in ended[loser][1]
    assert "Traceback" not in ended[loser][1]
    assert aliases() == {"champion": winner}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["promote", "botle", "--model", "pca"], "Did you mean sample-bottle?"),
        (["promote", "bottle", "--model", "pcb"], "Did you mean pca?"),
        (["promote", "bottle", "--version", "9"], "has no version 9. It has: 1 (pca), 2 (pca), 4 (pca)"),
        (["promote", "bottle", "--version", "3"], "has no version 3"),
        (["promote", "bottle"], "Give --model or --version"),
        (["promote", "bottle", "--model", "pca", "--version", "1"], "not both"),
        (["rollback", "botle"], "Did you mean sample-bottle?"),
        (["rollback", "bottle"], "it never had a champion"),
        (["compare", "bottle"], "has no champion"),
        (["promote", "bottle", "--version", "1"], "the registry holds no hash of its files"),
    ],
)
def test_a_mistake_is_a_line_of_text_and_changes_nothing(bare, mlproject, arguments, message):
    bare.delete_model_version(NAME, "3")
    code, _, err = mlproject(*arguments)
    assert code == 2
    assert message in err
    assert aliases() == {}


def test_tables_of_an_older_mlflow_are_named(bare, mlproject):
    with sqlite3.connect("old.db") as copy, sqlite3.connect("mlflow.db") as database:
        database.backup(copy)
        copy.execute("update alembic_version set version_num = '534353b11cbc'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path('old.db').absolute()}")
        code, _, err = mlproject("promote", "bottle", "--version", "1")
    assert code == 2
    assert "mlflow db upgrade sqlite:///" in err


def test_a_server_that_is_away_is_a_line_of_text(bare, mlproject, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    code, _, err = mlproject("rollback", "bottle")
    assert code == 2
    assert "does not answer" in err
