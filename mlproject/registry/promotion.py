"""Promotion of a registered version: run the gate, move the alias, keep what the gate said as tags."""

import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.core import artifacts
from mlproject.core.errors import UserError, unknown_name
from mlproject.core.params import Promote
from mlproject.registry import aliases, gate, recorded_version, version_tags
from mlproject.registry.address import CHAMPION, find_model, find_version
from mlproject.registry.gate import Check
from mlproject.registry.recorded_version import RecordedVersion
from mlproject.tracking import connection, lineage

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def versions(client: "MlflowClient", name: str) -> "list[ModelVersion]":
    """Return a registered model's versions, oldest first; deleted ones are not among them."""
    found = client.search_model_versions(f"name = '{name}'")
    return sorted(found, key=lambda version: int(version.version))


def choose(
    client: "MlflowClient", category: str, model: str | None, number: int | None
) -> "ModelVersion | None":
    """Return the version that the options name; None where they name none.

    Args:
        model: an architecture: its newest version.
        number: a version.

    Raises:
        UserError: both are given, or there is no such category, architecture or version.
    """
    registered = find_model(client, category)
    if model and number is not None:
        raise UserError("Give --model or --version, not both.")
    if number is not None:
        return find_version(client, f"{registered.name}/{number}")
    if model is None:
        return None
    found = versions(client, registered.name)
    of_model = [version for version in found if version_tags.architecture(version) == model]
    if not of_model:
        known = {version_tags.architecture(version) for version in found}
        raise unknown_name(f"{registered.name}: a version of {model}", model, known)
    return of_model[-1]


def champion(client: "MlflowClient", name: str) -> "ModelVersion | None":
    """Return the champion of a registered model, None if it has none."""
    number = aliases.read(client, name).get(CHAMPION)
    return find_version(client, f"{name}/{number}") if number else None


def newest_other(client: "MlflowClient", than: "ModelVersion") -> "ModelVersion":
    """Return the newest version of the same registered model but that one.

    Raises:
        UserError: there is no other.
    """
    others = [found for found in versions(client, than.name) if str(found.version) != str(than.version)]
    if not others:
        raise UserError(f"{than.name} has no version but {than.version}: nothing to compare it with.")
    return others[-1]


def checks(challenger: "ModelVersion", against: "ModelVersion | None", settings: Promote) -> Iterator[Check]:
    """Yield what the gate says, one check at a time: the later ones take seconds.

    Args:
        against: the champion; None: the first one is compared with chance.

    Raises:
        UserError: a version's files are gone.
    """
    run_tags = _run_tags(challenger)
    with tempfile.TemporaryDirectory() as folder:
        new = recorded_version.fetch(challenger, Path(folder))
        yield gate.learnt(run_tags)
        if against is None:
            labels, scores = new.test["label"].to_numpy(), new.test["score"].to_numpy(dtype=float)
            yield gate.above_chance(labels, scores, settings)
        else:
            yield _against(recorded_version.fetch(against, Path(folder)), new, settings)
        yield _false_alarms(new, settings)
        yield from _loaded_back(new, settings)
        # the settings of its stages are kept by its run
        parameters = {"parameters": run_tags.get(lineage.PARAMETERS, "")}
        yield gate.lineage(version_tags.lineage(challenger) | parameters)


def _run_tags(version: "ModelVersion") -> dict[str, str]:
    """Return the tags of a version's run; {} if it has none, or somebody deleted it."""
    from mlflow.exceptions import MlflowException

    if not version.run_id:
        return {}
    try:
        tags: dict[str, str] = connection.connect().get_run(version.run_id).data.tags
    except MlflowException as error:
        # the second is what a server with a log-in says of a run that is gone
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"):
            raise
        return {}
    return tags


def _against(old: RecordedVersion, new: RecordedVersion, settings: Promote) -> Check:
    try:
        both, rescored = recorded_version.shared_and_rescored(old, new, version_tags.category(new.version))
    except UserError as error:
        return gate.cannot("not worse", f"the champion: {error}")
    if both.empty:
        why = f"{old.title} and it were tested on different images; `dvc repro` tests both on the same"
        return gate.cannot("not worse", why)
    labels, before, after = (both[name].to_numpy() for name in ("label", "champion", "challenger"))
    check = gate.not_worse(labels, before, after, settings)
    if rescored:
        check = check._replace(
            said=f"{check.said}; {rescored} of them came after the champion, which scored them now"
        )
    return check


def _false_alarms(new: RecordedVersion, settings: Promote) -> Check:
    if new.false_alarm_rate_asked is None:
        return gate.cannot("false alarms", "the share that was asked for is not recorded with it")
    good = new.test[new.test["label"] == 0]
    return gate.false_alarms(
        good["score"].to_numpy(dtype=float), new.threshold, new.false_alarm_rate_asked, settings
    )


def _loaded_back(new: RecordedVersion, settings: Promote) -> Iterator[Check]:
    """Yield what needs the model itself: the same scores, latency, memory."""
    category = version_tags.category(new.version)
    here, wrong = recorded_version.unchanged(new, category)
    names = ("same scores", "latency", "memory")
    if here.empty:
        yield from (gate.cannot(name, wrong) for name in names)
        return
    try:
        answers = recorded_version.ask(new, [artifacts.RAW / category / path for path in here["path"]])
    except UserError as error:
        yield from (gate.cannot(name, str(error)) for name in names)
        return
    same = gate.same_scores(here["score"].to_numpy(dtype=float), answers.scores, settings)
    if wrong:
        same = same._replace(passed=False, said=f"{same.said}; but {wrong}")
    if not answers.own_code:
        same = same._replace(passed=False, said=f"{same.said}; but not by the code that came with it")
    yield same
    yield gate.latency(answers.latency_ms, recorded_version.REPEATS, settings)
    yield gate.memory(answers.memory_mb, settings)


def promote(
    client: "MlflowClient",
    challenger: "ModelVersion",
    against: "ModelVersion | None",
    made: Sequence[Check],
    why: str | None,
) -> None:
    """Leave on a version what the gate said, then make it champion.

    Args:
        against: the champion that it was compared with.
        made: the checks; where one is not met, `why` must say why it is promoted all the same.

    Raises:
        LostRace: somebody else moved the champion meanwhile.
    """
    name, number = challenger.name, str(challenger.version)
    expected = str(against.version) if against else None
    marks = {f"gate.{check.name.replace(' ', '_')}": check.line() for check in made}
    marks["promoted.at"] = datetime.now(UTC).isoformat(timespec="seconds")
    marks["promoted.against"] = expected or "chance"
    marks[aliases.BY] = connection.who()
    if failed := gate.failed(made):
        assert why  # the command asks for it
        marks |= {aliases.FORCED: ", ".join(failed), "promoted.why": why}
    stale = {aliases.FORCED, "promoted.why"} & challenger.tags.keys() - marks.keys()

    def leave_marks() -> None:
        for key, value in marks.items():
            client.set_model_version_tag(name, number, key, value)
        for key in stale:
            client.delete_model_version_tag(name, number, key)

    aliases.promote(client, name, number, expected, leave_marks)
