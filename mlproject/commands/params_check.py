"""Checks of params.yaml: `run` asks them of what it uses, before anything runs; `doctor` of everything."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from mlproject import engines, generators, models, studies
from mlproject.core import params
from mlproject.core.errors import UserError


def refuse_wrong_values(only_used: bool = False) -> None:
    """Refuse what is seen to be wrong without the code of a model, a generator or a study.

    Args:
        only_used: not what only studies read, where none is listed.

    Raises:
        UserError: names the first wrong value.
    """
    for section in params.SECTIONS:
        params.load(section.__name__.lower(), section)
    params.categories()
    params.seed()
    params.is_tuned()
    chosen = {key: params.chosen(key) for key in params.LISTS}
    if chosen["studies_used"] or not only_used:
        params.study_workers()
        engines.chosen(params.value("engine"), where=f"{params.FILE}: engine")


def refuse_wrong_settings(only_used: bool = False) -> None:
    """Refuse settings that the code of a model, a generator or a study does not allow.

    Takes seconds: that code imports torch.

    Args:
        only_used: those alone that params.yaml lists, and the models that a listed study trains.

    Raises:
        UserError: names the first wrong value.
    """
    used: dict[str, set[str]] = {group: set() for group in params.LISTS.values()}
    for key, group in params.LISTS.items():
        used[group].update(map(str, params.chosen(key)))
    detectors, changed = params.chosen("detectors"), []
    for name, settings, where in _sections("studies", used["studies"] if only_used else None):
        study, checked = studies.check(name, settings, where)
        for model, changes in study.trained_with(checked, detectors).items():
            used["models"].add(model)
            changed.append((model, changes, name))
    for name, settings, where in _sections("models", used["models"] if only_used else None):
        models.create(name, settings, where)
    for name, settings, where in _sections("generators", used["generators"] if only_used else None):
        generators.create(name, settings, where)
    if changed:
        from mlproject.studies.components import fitting  # as slow to load as torch, and the studies have it

        tuned, known = params.is_tuned(), params.value("models") or {}
        for model, changes, name in changed:
            if model in known and not (tuned and model in detectors):  # tuned: not with these settings
                fitting.overridden(model, known[model], changes, name)


def refuse_used_settings() -> None:
    """Call `refuse_wrong_settings` for what is used, in another process: torch's memory is not kept in this.

    Raises:
        UserError: it refused something.
    """
    if not params.FILE.is_file():  # DVC misses it itself
        return
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)  # noqa: S603
    # any other end, such as that of a torch that cannot be loaded, the first stage that needs it explains
    if done.returncode == UserError.exit_code:
        raise UserError(done.stdout.decode())


def _sections(group: str, only: set[str] | None) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield name, settings and place of each section of a group, or of `only` those that are named."""
    for name, settings in (params.value(group) or {}).items():
        where = f"{params.FILE}: {group}.{name}"
        if only is None or str(name) in only:
            if not isinstance(settings, dict | None):
                raise UserError(f"{where} is {settings!r}: it must be a section")
            yield str(name), settings or {}, where


def main() -> None:
    """Be the other process of `refuse_used_settings`: write what is refused, and exit accordingly."""
    try:
        refuse_wrong_settings(only_used=True)
    except UserError as error:
        sys.stdout.buffer.write(str(error).encode())
        sys.exit(UserError.exit_code)


if __name__ == "__main__":
    main()
