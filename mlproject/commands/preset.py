"""`mlproject preset`: a named set of values copied over those of params.yaml, comments kept."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mlproject.core.errors import UserError, unknown_name
from mlproject.core.wording import counted

FILE = Path("pipelines/presets.yaml")  # below the folder of params.yaml


def preset(
    name: Annotated[str | None, typer.Argument(help="One of pipelines/presets.yaml, such as paper.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Only list the presets.")] = False,
) -> None:
    """Copy a preset's values over those of params.yaml; comments stay."""
    if list_:
        typer.echo("\n".join(sorted(presets())))
        return
    if name is None:
        raise UserError(f"Which preset? There are: {', '.join(sorted(presets())) or '(none)'}")
    changes = apply(name)
    for change in changes:
        typer.echo(str(change))
    changed = counted(len(changes), "setting", "settings")
    typer.echo(f"{changed} changed. Next: dvc repro" if changes else "Nothing to change.")


@dataclass(frozen=True)
class Change:
    """One setting that a preset changes."""

    key: tuple[str, ...]
    old: Any
    new: Any

    def __str__(self) -> str:
        old, new = map(_as_yaml, (self.old, self.new))
        return f"{'.'.join(self.key)}: {old} → {new}"


def presets(path: Path | None = None) -> dict[str, Any]:
    """Return name → values of the presets that belong to a params.yaml."""
    from mlproject.core import params

    return params.load_file((path or params.FILE).parent / FILE)


def apply(name: str, path: Path | None = None) -> list[Change]:
    """Copy the preset's values over those of params.yaml, whole or not at all.

    Returns:
        The changes, in the preset's order; empty when every value was set already.

    Raises:
        UserError: no such preset, or it sets a key that params.yaml lacks.
    """
    from ruamel.yaml import YAML

    from mlproject.core import params
    from mlproject.core.files import written_file

    path = path or params.FILE
    params.load_file(path)  # says what is wrong with it
    if name not in (known := presets(path)):
        raise unknown_name(f"preset {name}", name, sorted(known))
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1_000_000  # never folds a line
    yaml.representer.add_representer(  # not the empty value that ruamel writes
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    tree, found = yaml.load(path), yaml.load(path.parent / FILE)  # with lists in the style they have there
    changes = list(differences(tree, found[name], f"{FILE}: {name}"))
    for change in changes:
        _section(tree, change.key)[change.key[-1]] = change.new
    if changes:
        with written_file(path) as part:
            yaml.dump(tree, part)
    return changes


def differences(
    active: Mapping[str, Any], preset: Mapping[str, Any], where: str, above: tuple[str, ...] = ()
) -> Iterator[Change]:
    """Yield a change for every value of `preset` that differs from that in `active`.

    A list is one value; null stands for an optional section that is absent.

    Raises:
        UserError: `preset` has a key that `active` lacks, or a value where `active` has a section.
    """
    for name, new in preset.items():
        key = (*above, name)
        place = f"{where}.{'.'.join(key)}"
        if name not in active:
            raise unknown_name(place, name, active)
        old = active[name]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differences(old, new, where, key)
        elif isinstance(old, Mapping) != isinstance(new, Mapping) and None not in (old, new):
            raise UserError(f"{place} is {new!r}: one is a section, the other a value")
        elif old != new:
            yield Change(key, old, new)


def _as_yaml(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _section(tree: Any, key: tuple[str, ...]) -> Any:
    for name in key[:-1]:
        tree = tree[name]
    return tree
