"""The aliases `champion` and `previous` of a registered model, moved so that no other move is lost."""

import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from mlproject.core.errors import UserError
from mlproject.registry import description
from mlproject.registry.address import CHAMPION
from mlproject.tracking import lock

if TYPE_CHECKING:
    from mlflow import MlflowClient

PREVIOUS = "previous"
HISTORY = "mlproject.champions"  # tag of the registered model: versions that were champion, newest last
MOVE = "mlproject.move"  # tag of the registered model: whose move was last
BY = "promoted.by"  # tag of a version: who made it champion
FORCED = "promoted.forced"  # tag of a version: the gate's checks that it became champion in spite of
REMEMBERED = 50


class LostRace(UserError):
    """Somebody else moved the champion meanwhile."""

    exit_code = 1


def read(client: "MlflowClient", name: str) -> dict[str, str]:
    """Return alias → version number of a registered model."""
    return {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}


def history(client: "MlflowClient", name: str) -> list[str]:
    """Return the versions that were champion, oldest first, the champion last."""
    return client.get_registered_model(name).tags.get(HISTORY, "").split()


def promote(
    client: "MlflowClient",
    name: str,
    version: str,
    expected: str | None,
    mark: Callable[[], None] = lambda: None,
) -> None:
    """Make a version champion and the champion `previous`.

    Args:
        expected: the champion that the version was compared with.
        mark: writes on the version what it was promoted for. Called once it is known that the champion is
            the expected one and before it is moved: no champion is ever without its mark.

    Raises:
        LostRace: the champion is another one by now, or became so in the same moment.
    """
    with lock.on_model(client, name):
        past = history(client, name)
        if expected and past[-1:] != [expected]:  # made champion by hand, or by an older release
            past.append(expected)
        # a champion that was deleted leaves the one before it to return to
        before = expected or read(client, name).get(PREVIOUS)
        previous = before if before != version else None
        _move(client, name, [*past, version], version, expected, previous, mark)


def rollback(client: "MlflowClient", name: str) -> tuple[str, str]:
    """Make `previous` champion again; return the champion before and after.

    The champion before that becomes `previous`: a second rollback goes back one further.

    Raises:
        UserError: there is nothing to return to.
        LostRace: as `promote`.
    """
    found = read(client, name)
    champion, target = found.get(CHAMPION), found.get(PREVIOUS)
    if target is None:
        why = f"version {champion} is its first champion" if champion else "it never had a champion"
        raise UserError(
            f"{name} has no previous champion to return to: {why}, or the one before was deleted."
        )
    with lock.on_model(client, name):
        past = history(client, name)
        while past and past[-1] != target:
            past.pop()
        past = past or [target]
        alive = {str(v.version) for v in client.search_model_versions(f"name = '{name}'")}
        before = next((old for old in reversed(past[:-1]) if old in alive and old != target), None)
        _move(client, name, past, target, champion, before)
    return champion or "none", target


def _move(
    client: "MlflowClient",
    name: str,
    past: list[str],
    version: str,
    expected: str | None,
    previous: str | None,
    mark: Callable[[], None] = lambda: None,
) -> None:
    """Set both aliases, if the champion still is `expected`; `mark` the version before.

    The lock separates all who take it; an older release, or a person on MLflow's own pages, does not take it.
    So each process writes its mark before it reads the champion, and reads the mark again after it has moved
    the alias. If two move it at once, either the one that marked first finds the other's mark, or the other
    finds the first one's champion.

    Raises:
        LostRace: says which version is champion now, and who made it so.
    """
    move = f"{version} {uuid.uuid4().hex}"
    client.set_registered_model_tag(name, MOVE, move)
    now = read(client, name).get(CHAMPION)
    if now != expected:
        raise LostRace(
            f"{name}: {_mover(client, name, now)} moved the champion meanwhile: from {_called(expected)} to "
            f"{_called(now)}. "
            f"Version {version} was not compared with that: nothing was changed. Run the command again."
        )
    mark()
    client.set_registered_model_tag(name, HISTORY, " ".join(past[-REMEMBERED:]))
    if previous:
        client.set_registered_model_alias(name, PREVIOUS, previous)
    elif PREVIOUS in read(client, name):
        client.delete_registered_model_alias(name, PREVIOUS)
    client.set_registered_model_alias(name, CHAMPION, version)
    description.update(client, name)
    after = client.get_registered_model(name)
    champion = str(after.aliases.get(CHAMPION))
    if after.tags.get(MOVE) != move or champion != version:
        to = after.tags.get(MOVE, "?").split()[0]
        raise LostRace(
            f"{name}: {_mover(client, name, to)} moved the champion in the same moment (their move: version "
            f"{to}). Version {champion} is champion now; agree, then run "
            "one of the two commands again."
        )


def _called(version: str | None) -> str:
    return f"version {version}" if version else "no champion"


def _mover(client: "MlflowClient", name: str, version: str | None) -> str:
    """Return who made a version champion, where it says so."""
    from mlflow.exceptions import MlflowException

    tags: dict[str, str] = {}
    with suppress(MlflowException):  # there is no such version
        tags = client.get_model_version(name, version or "").tags
    return tags.get(BY, "somebody else")
