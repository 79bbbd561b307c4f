"""Plan of a benchmark: its cells, checked before the first of them is trained."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mlproject import models
from mlproject.benchmark.cell import Cell
from mlproject.core import artifacts, params
from mlproject.core.errors import UserError, unknown_name
from mlproject.data import prepare, prepared
from mlproject.training import code_hash, identity, run_settings

CODE = "mlproject.benchmark.cell"  # with what it imports and the model, the code that decides a cell
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Pair:
    """One (category, model): its cells, one a seed, and the threshold that they are evaluated at."""

    category: str
    model: str
    cells: Sequence[Cell]
    threshold: params.Threshold


@dataclass(frozen=True)
class Plan:
    """All cells of a benchmark, and the command that plans the same ones.

    Attributes:
        pairs: each category's models together.
        seeds: ascending.
        resamples: of a bootstrap.
    """

    pairs: Sequence[Pair]
    seeds: Sequence[int]
    resamples: int

    @property
    def cells(self) -> list[Cell]:
        """Every cell, in the order in which they are begun."""
        return [cell for pair in self.pairs for cell in pair.cells]

    def threshold(self, cell: Cell) -> params.Threshold:
        """Return the section threshold that a cell is evaluated with."""
        return next(
            pair.threshold
            for pair in self.pairs
            if (pair.category, pair.model) == (cell.category, cell.model)
        )

    @property
    def command(self) -> str:
        """The command line."""
        categories, names = (
            ",".join(dict.fromkeys(values))
            for values in ([pair.category for pair in self.pairs], [pair.model for pair in self.pairs])
        )
        seeds = ",".join(map(str, self.seeds)) + ("," if len(self.seeds) == 1 else "")
        return f"mlproject benchmark --categories {categories} --models {names} --seeds {seeds}"


def load(categories: str | None, wanted: str | None, seeds: str) -> Plan:
    """Return the plan of what a command line asks for.

    Args:
        categories: names, separated by commas; None: those of params.yaml.
        wanted: models alike; None: params.yaml's detectors that learn from good images alone.
        seeds: how many, from params.yaml's seed on; or a list with a comma in it.

    Raises:
        UserError: a name is unknown, a category is not prepared, a model learns from labels, or settings are
            not allowed.
    """
    evaluation = params.load("evaluate", params.Evaluate)
    chosen, numbers = _models(wanted), _seeds(seeds)
    pairs = [
        _pair(category, model, numbers, evaluation, conditions)
        for category, conditions in _conditions(_categories(categories)).items()
        for model in chosen
    ]
    return Plan(pairs, numbers, evaluation.bootstrap)


def _categories(given: str | None) -> list[str]:
    """Return the categories that are asked for."""
    listed = params.categories()
    there = {path.parent.name for path in artifacts.PREPARED.glob("*/prepared.json")}
    return listed if given is None else _names("--categories", given, {*listed, *there})


def _conditions(categories: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return category → the facts that all its trainings share, on one thread."""
    size = params.load("prepare", params.Prepare).image_size
    found = {}
    for category in categories:
        folder = artifacts.PREPARED / category
        if not (folder / "prepared.json").is_file():
            raise UserError(
                f"{folder}: is not prepared. Add {category} to `categories` in params.yaml, "
                "then run: mlproject run prepare"
            )
        data = prepared.load(category)
        good = data.manifest.loc[data.rows(split="train"), ["width", "height"]].to_numpy().tolist()
        wanted = prepare.stored_side(size, prepare.looked_at(good))
        if data.image_size != wanted:
            raise UserError(
                f"{folder}: was prepared at {data.image_size} px, but prepare.image_size: {size} in "
                f"params.yaml now gives {wanted} px. Run: mlproject run prepare"
            )
        found[category] = identity.conditions(data, threads=1)
    return found


def _models(given: str | None) -> list[str]:
    """Return the models that are asked for."""
    known = params.value("models")
    able = [name for name in known if not models.detector_class(name).supervised]
    if given is None:
        names = [name for name in params.chosen("detectors") if name in able]
        if not names:
            raise UserError(
                f"{params.FILE}: detectors: all learn from half of the test images. Study labels compares "
                f"them; --models names others: {', '.join(sorted(able))}"
            )
        return names
    names = _names("--models", given, known)
    for name in names:
        if name not in able:
            raise UserError(
                f"--models {name}: learns from half of the test images, on which the others are evaluated. "
                f"Study labels compares it with them. Allowed: {', '.join(sorted(able))}"
            )
    return names


def _names(where: str, given: str, allowed: Iterable[str]) -> list[str]:
    """Return the names of a list, each once."""
    names = [name for name in dict.fromkeys(name.strip() for name in given.split(",")) if name]
    for name in names:
        if name not in allowed:
            raise unknown_name(f"{where} {name}", name, allowed)
    if not names:
        raise UserError(f"{where}: names nothing. Allowed: {', '.join(sorted(allowed))}")
    return names


def _seeds(given: str) -> list[int]:
    """Return the seeds of a number or a list."""
    try:
        numbers = [int(number) for number in given.split(",") if number.strip()]
    except ValueError:
        numbers = []
    seeds: Sequence[int] = sorted(set(numbers))
    if seeds and "," not in given:
        first = params.seed()
        seeds = range(first, first + min(numbers[0], MOST_SEEDS + 1))
    if not 0 < len(seeds) <= MOST_SEEDS or seeds[0] < 0 or seeds[-1] > params.LARGEST_SEED:
        raise UserError(
            f"--seeds {given}: Allowed: how many, up to {MOST_SEEDS}, such as 3, or a list with a comma in "
            f"it, such as 0,5 or 7, of seeds from 0 to {params.LARGEST_SEED}"
        )
    return list(seeds)


def _pair(
    category: str, model: str, seeds: Sequence[int], evaluation: params.Evaluate, conditions: dict[str, Any]
) -> Pair:
    """Return the cells of a category and a model.

    Raises:
        UserError: the settings are not allowed, or labels of test images chose them.
    """
    resolved, threshold = run_settings.resolve(category, model)
    if resolved["labels"] is not None:
        raise UserError(
            f"{artifacts.tuned_file(category, model)}: chosen by labels of test images, on which a benchmark "
            "evaluates. Set tuned: false, or tune with --objective proxy."
        )
    settings = models.create(model, resolved["settings"], resolved["source"]).settings
    code = code_hash.code_hash(f"mlproject.models.{model}", CODE)
    own = {"model": model, "settings": settings.model_dump(mode="json"), "code": code}
    cells = [Cell(conditions | own | {"seed": seed}, evaluation.model_dump()) for seed in seeds]
    return Pair(category, model, cells, threshold)
