"""One trial: fit a detector with the values drawn for it, evaluate it, keep it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlproject.core import files, params
from mlproject.models.components import search_space
from mlproject.models.components.detector import Detector
from mlproject.models.components.search_space import Value
from mlproject.training.loop import Epoch
from mlproject.training.run_options import RunOptions
from mlproject.tuning.data import TuningData
from mlproject.tuning.objective import ObjectiveValue
from mlproject.tuning.plan import Plan

FIRST_RUNG = 3  # epochs before a training is first evaluated for pruning; then after 6, 12, …


class Interrupted(Exception):
    """The trial was asked to stop; it counts as not run."""


def is_rung(epoch: int) -> bool:
    """Say whether a training is evaluated after this epoch, counted from 1: 3, 6, 12, 24, …"""
    while epoch > FIRST_RUNG and epoch % 2 == 0:
        epoch //= 2
    return epoch == FIRST_RUNG


@dataclass
class Trial:
    """One trial and its record, also where it was cut short.

    Attributes:
        history: epoch, loss, validation_loss of every epoch; a loss that is not finite is left out.
        rungs: epoch → objective, for the epochs at which it was evaluated.
        objective: its value at the end; None before.
    """

    plan: Plan
    images: TuningData
    number: int
    values: Mapping[str, Value]
    history: list[dict[str, float]] = field(default_factory=list)
    rungs: dict[int, float] = field(default_factory=dict)
    objective: ObjectiveValue | None = None

    def run(
        self, folder: Path, report: Callable[[int, float], None], check: Callable[[], None]
    ) -> ObjectiveValue:
        """Return the objective, and leave the calibrated model in a folder.

        Args:
            folder: for the model; made or replaced.
            report: given epoch and objective at each rung; what it raises ends the trial. AnoGAN's encoder
                counts as its first the epoch after the GAN's.
            check: called after each epoch; what it raises ends the trial.

        Raises:
            UserError: the settings do not fit the images, or training diverged.
        """
        plan, images = self.plan, self.images
        detector = plan.detector(dict(self.values))

        def on_epoch(epoch: Epoch) -> None:
            losses = {"loss": epoch.loss, "validation_loss": epoch.validation_loss}
            finite = {name: value for name, value in losses.items() if math.isfinite(value)}
            self.history.append({"epoch": epoch.number, **finite})
            check()
            # no validation loss: a phase (AnoGAN's first) with nothing to evaluate yet
            number = sum("validation_loss" in row for row in self.history)
            rung = is_rung(number) and epoch.number < epoch.limit and "validation_loss" in finite
            if plan.prune and rung:
                detector.after_fit(images.train, images.validation)
                self.rungs[epoch.number] = self._evaluate(detector).value
                report(number, self.rungs[epoch.number])

        detector.fit(
            images.train,
            images.validation,
            RunOptions(
                seed=plan.facts["seed"],
                device=plan.facts["device"],
                precision=plan.facts["precision"],
                on_epoch=on_epoch,
            ),
        )
        self.objective = self._evaluate(detector)
        detector.save(folder)
        return self.objective

    def _evaluate(self, detector: Detector) -> ObjectiveValue:
        threshold = params.Threshold(**self.plan.threshold)
        rate = search_space.rate(self.values, threshold.false_alarm_rate)
        return self.images.evaluate(detector, rate, threshold)

    def write(self, state: str, reason: str, began: float, ended: float) -> dict[str, Any]:
        """Write trial.json, all that the record in MLflow is made of; return it.

        Args:
            state: complete, pruned, failed or interrupted.
            reason: why it was not completed; empty otherwise.
            began: seconds since 1970, as `ended`.
        """
        content = {
            "number": self.number,
            "state": state,
            "reason": reason,
            "values": dict(self.values),
            "verdict": self.objective.as_dict() if self.objective else None,  # files keep this name
            "rungs": {str(epoch): value for epoch, value in self.rungs.items()},
            "history": self.history,
            "began": began,
            "ended": ended,
        }
        files.write_json(self.plan.trial_folder(self.number) / "trial.json", content)
        return content
