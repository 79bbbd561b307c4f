"""One trial between Optuna's asking and telling: what it is, how it ran, what is kept of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import optuna
from optuna.trial import TrialState

from mlproject.core.errors import UserError
from mlproject.tuning.trial import Interrupted, Trial

# User attributes of a trial
ITSELF = "failed_by_itself"  # it was neither interrupted nor marked as failed by another process
SETTINGS = "settings_of_params_yaml"  # the tuning starts from it
RUNNING = "running"  # file in a trial's folder, locked by the process that answers for it
STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "interrupted": TrialState.FAIL,
}
# What settings can bring about: diverged, too many components, out of memory. Anything else ends the tuning.
FAILURES = (UserError, RuntimeError, MemoryError, ArithmeticError)


class Record(Protocol):
    """Receiver of each trial that ended."""

    def trial(self, content: dict[str, Any]) -> str | None:
        """Take a trial.json; return the id of its run, if it has one."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        state: of `STATES`.
        reason: why it was not completed; empty otherwise.
        mistake: an error that no settings can bring about; it ends the tuning.
    """

    state: str
    reason: str = ""
    mistake: Exception | None = None


@dataclass
class Asked:
    """A trial that this process answers for, wherever it runs.

    Attributes:
        trial: with the values that were drawn for it.
        optuna_trial: Optuna's own.
        claim: `RUNNING`, open and locked.
        began: seconds since 1970.
    """

    trial: Trial
    optuna_trial: optuna.Trial
    claim: IO[str]
    began: float

    @property
    def number(self) -> int:
        """Number of the trial."""
        return self.trial.number

    @property
    def model_folder(self) -> Path:
        """Folder of its model."""
        return self.trial.plan.model_folder(self.number)

    @property
    def prunable(self) -> bool:
        """Whether it is given up where it is worse than others: the start is compared with at the end."""
        return not self.optuna_trial.user_attrs.get(SETTINGS)

    def report(self, epoch: int, value: float) -> None:
        """Tell Optuna the objective at an epoch.

        Raises:
            TrialPruned: it is worse than that of others.
        """
        if is_worse(self.optuna_trial, epoch, value) and self.prunable:
            raise given_up(epoch)

    def tell(self, tuning: optuna.Study, found: Outcome, record: Record) -> dict[str, Any]:
        """Keep and record how the trial ended; return its trial.json.

        Raises:
            UserError: another process marked it as failed.
            Exception: `Outcome.mistake`.
        """
        objective = self.trial.objective if found.state == "complete" else None
        with self.claim:
            content = self.trial.write(found.state, found.reason, self.began, time.time())
            try:
                if found.state != "interrupted":
                    self.optuna_trial.set_user_attr("mlflow_run", record.trial(content))
                self.optuna_trial.set_user_attr("reason", found.reason)
                self.optuna_trial.set_user_attr(ITSELF, found.state == "failed")
                if objective:
                    self.optuna_trial.set_user_attr("verdict", objective.as_dict())
                value = objective.value if objective else None
                tuning.tell(self.optuna_trial, value, state=STATES[found.state])
            except optuna.exceptions.UpdateFinishedTrialError:
                raise UserError(
                    f"trial {self.number} was marked as failed by another process while it ran here."
                ) from None
            (self.trial.plan.trial_folder(self.number) / RUNNING).unlink()
        if found.mistake:
            raise found.mistake
        return content


def outcome(
    trial: Trial, folder: Path, report: Callable[[int, float], None], check: Callable[[], None]
) -> Outcome:
    """Run a trial to its end; arguments as those of `Trial.run`."""
    try:
        trial.run(folder, report, check)
    except optuna.TrialPruned as pruned:
        return Outcome("pruned", str(pruned))
    except Interrupted:
        return Outcome("interrupted", "interrupted")
    except FAILURES as failure:
        return Outcome("failed", _in_words(failure))
    except Exception as mistake:  # noqa: BLE001  # `Asked.tell` raises it
        return Outcome("failed", _in_words(mistake), mistake)
    return Outcome("complete")


def is_worse(trial: optuna.Trial, epoch: int, value: float) -> bool:
    """Tell Optuna the objective of a trial at an epoch; say whether that is worse than others'."""
    trial.report(value, epoch)
    return trial.should_prune()


def given_up(epoch: int) -> optuna.TrialPruned:
    """Return the exception that ends a trial which is worse than others."""
    return optuna.TrialPruned(f"worse than the median after {epoch} epochs")


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
