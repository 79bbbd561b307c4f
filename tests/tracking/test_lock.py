"""Lock that machines share: no two hold it, whatever the order of their steps, and a dead holder frees it."""

import itertools

import pytest

from mlproject.tracking import lock

pytest_plugins = ["support.tracked_project"]


class Tags:
    """Tags of something on a server, and machines that take steps between ours."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.between = lambda: None

    def place(self) -> lock.Place:
        def step(action):
            def taken(*arguments):
                between, self.between = self.between, lambda: None  # what happens there is no step of ours
                between()
                self.between = between
                return action(*arguments)

            return taken

        return lock.Place(
            "bottle", step(self.tags.copy), step(self.tags.__setitem__), step(self.tags.__delitem__)
        )


@pytest.fixture
def waits(monkeypatch):
    """What happens while somebody waits, instead of time that passes."""
    happens = []
    monkeypatch.setattr(lock.time, "sleep", lambda seconds: happens.pop(0)())
    return happens


def test_it_leaves_nothing_behind(waits):
    tags = Tags()
    with lock.held(tags.place()):
        assert len(tags.tags) == 1
    assert tags.tags == {}


def test_who_finds_another_holder_waits_until_it_is_done(waits):
    tags = Tags()
    tags.tags[f"{lock.PREFIX}other"] = "ben@far 1"
    waits += [lambda: None, tags.tags.clear]
    with lock.held(tags.place()):
        assert waits == []
        assert list(tags.tags) != [f"{lock.PREFIX}other"]


@pytest.mark.parametrize("moment", range(1, 7))
def test_of_two_that_come_at_once_never_both_hold_it(waits, moment):
    """The other raises its flag at any step of ours, and holds the lock where it sees no flag of ours."""
    tags, steps, holders = Tags(), itertools.count(1), []

    def other() -> None:
        if next(steps) == moment:
            tags.tags[f"{lock.PREFIX}other"] = "ben@far 1"
            if len(tags.tags) == 1:
                holders.append("ben")
            else:
                del tags.tags[f"{lock.PREFIX}other"]

    def leave() -> None:
        holders.remove("ben")
        del tags.tags[f"{lock.PREFIX}other"]

    tags.between = other
    waits += [leave]
    with lock.held(tags.place()):
        assert holders == []


def test_the_flag_of_a_dead_process_is_taken_down(waits, monkeypatch):
    tags, now = Tags(), [0.0]
    monkeypatch.setattr(lock.time, "monotonic", lambda: now[0])
    tags.tags[f"{lock.PREFIX}dead"] = "ben@far 1"
    waits += [
        lambda: now.__setitem__(0, lock.DEAD_SECONDS - 1),
        lambda: now.__setitem__(0, lock.DEAD_SECONDS + 1),
    ]
    with lock.held(tags.place()):
        assert f"{lock.PREFIX}dead" not in tags.tags


def test_the_flag_of_one_that_works_for_long_stays_up(waits, monkeypatch):
    tags, now = Tags(), [0.0]
    monkeypatch.setattr(lock.time, "monotonic", lambda: now[0])
    flag = f"{lock.PREFIX}other"
    tags.tags[flag] = "ben@far 0"

    def works() -> None:
        now[0] += lock.DEAD_SECONDS - 1
        tags.tags[flag] = f"ben@far {now[0]}"

    waits += [works, works, works, lambda: tags.tags.pop(flag)]
    with lock.held(tags.place()):
        assert waits == []


def test_who_waits_is_told_for_whom(waits, monkeypatch, capsys):
    tags, now = Tags(), [0.0]
    monkeypatch.setattr(lock.time, "monotonic", lambda: now[0])
    tags.tags[f"{lock.PREFIX}other"] = "ben@far 1"
    waits += [lambda: now.__setitem__(0, lock.QUIET_SECONDS + 1), lambda: None, tags.tags.clear]
    with lock.held(tags.place()):
        assert capsys.readouterr().out == "bottle: waiting for ben@far\n"
