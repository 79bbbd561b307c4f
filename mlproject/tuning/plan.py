"""Plan of a tuning: everything that decides its result, in one value that can be sent to other processes."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mlproject import models
from mlproject.core import artifacts, params
from mlproject.core.errors import UserError, unknown_name
from mlproject.data import prepared
from mlproject.models.components import search_space
from mlproject.models.components.detector import Detector
from mlproject.models.components.search_space import Space, Value
from mlproject.training import identity

Objective = Literal["proxy", "labelled"]
OBJECTIVES = ("proxy", "labelled")
TRIAL = "mlproject.tuning.trial"  # with what it imports and the model, the code that decides a result


@dataclass(frozen=True)
class Plan:
    """A tuning of one (category, model).

    Attributes:
        facts: `identity.run_facts` of the settings that the tuning starts from.
        threshold: the section threshold that it starts from.
        tuning_seed: seed of the drawn settings and the made defects; split and weights use `facts["seed"]`.
        objective: evaluate on made defects (``proxy``) or on half of the test images (``labelled``).
        epochs: the most that a trial trains; None: as the settings say.
        prune: give up trials worse than the median at the same epoch.
        trials: how many in all; more of them are the same tuning.
        workers: processes.
        storage: URL of a database; None for a journal in the tuning's folder.
    """

    facts: dict[str, Any]
    threshold: dict[str, Any]
    tuning_seed: int
    objective: Objective
    epochs: int | None
    prune: bool
    trials: int
    workers: int
    storage: str | None = None

    @property
    def category(self) -> str:
        """The category."""
        return str(self.facts["category"])

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.facts["model"])

    @property
    def key(self) -> str:
        """16 hex digits: equal for tunings that may share their trials, and for no others.

        Machines with different numbers of threads may share them: the last digits do not decide the result.
        """
        varied = asdict(self) | {"space": {k: asdict(v) for k, v in self.space().items()}}
        for name in ("facts", "trials", "workers", "storage"):
            del varied[name]
        return identity.run_key(self.facts | {"threads": None}, varied)

    @property
    def name(self) -> str:
        """The tuning's name in its storage."""
        return f"{self.category}-{self.model}-{self.key}"

    @property
    def folder(self) -> Path:
        """Journal and trials."""
        return artifacts.tuning_folder(self.category, self.model) / self.key

    def trial_folder(self, number: int) -> Path:
        """Folder of trial.json and of the model."""
        return self.folder / "trials" / f"{number:04d}"

    def model_folder(self, number: int) -> Path:
        """Folder of the model of a trial that ran to its end."""
        return self.trial_folder(number) / "model"

    def space(self) -> Space:
        """Return what may vary."""
        return models.detector_class(self.model).search_space

    def settings(self, values: dict[str, Value]) -> dict[str, Any]:
        """Return the model's section with a trial's values: what the pipeline would run with."""
        return search_space.apply(self.facts["settings"], values)

    def detector(self, values: dict[str, Value]) -> Detector:
        """Return the untrained detector of a trial, its epochs limited."""
        settings = self.settings(values)
        if self.epochs and "epochs" in settings:
            settings["epochs"] = min(self.epochs, settings["epochs"])
        return models.create(self.model, settings, f"a trial of {self.name}")


def load(
    category: str,
    model: str,
    *,
    trials: int | None = None,
    epochs: int | None = None,
    workers: int | None = None,
    seed: int | None = None,
    objective: str | None = None,
    storage: str | None = None,
) -> Plan:
    """Return the tuning that params.yaml describes; what is given replaces its section tune.

    Raises:
        UserError: a name or a value is not allowed, or the category is not prepared.
    """
    if objective not in (None, *OBJECTIVES):
        raise unknown_name(f"objective {objective}", str(objective), OBJECTIVES)
    where = f"{params.FILE}: models.{model}"
    if models.detector_class(model).supervised:
        raise UserError(
            f"{model} learns from labelled defects: made defects would not test what it learnt, and it "
            "trains on the labelled pool. Only detectors trained on good images alone can be tuned."
        )
    settings = params.value(f"models.{model}")
    models.create(model, settings, where)
    given = {"trials": trials, "epochs": epochs, "workers": workers, "objective": objective}
    section = params.load("tune", params.Tune).model_dump() | {
        k: v for k, v in given.items() if v is not None
    }
    tune = params.check(section, params.Tune, "tune")
    data = prepared.load(category)
    facts = identity.run_facts(data, model, settings, f"mlproject.models.{model}", TRIAL)
    return Plan(
        facts=facts,
        threshold=params.load("threshold", params.Threshold).model_dump(),
        tuning_seed=facts["seed"] if seed is None else seed,
        objective=tune.objective,
        epochs=tune.epochs,
        prune=tune.prune,
        trials=tune.trials,
        workers=tune.workers,
        storage=storage,
    )


def check_category(category: str) -> None:
    """Check that a category is in params.yaml and prepared.

    Raises:
        UserError: it is not; names the nearest, or the command that prepares it.
    """
    if not (artifacts.PREPARED / category).is_dir():
        known = params.categories()
        if category not in known:
            raise unknown_name(f"category {category}", category, known)
        raise UserError(f"{category} is not prepared yet. Run: dvc repro prepare@{category}")
