"""Recorder of a tuning: MLflow, or none where it is not installed."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mlproject.tuning.plan import Plan

if TYPE_CHECKING:
    from mlproject.tracking.tuning_runs import TuningRecord


class SilentRecord:
    """Takes everything, records nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def trial(self, content: Mapping[str, Any]) -> str | None:
        """Take a trial."""
        return None

    def finish(
        self,
        trials: Sequence[Mapping[str, Any]],
        summary: Mapping[str, Any],
        said: str,
        files: Mapping[str, Path],
    ) -> None:
        """Take what the tuning found."""


def open_record(plan: Plan, identity: str) -> "TuningRecord | SilentRecord":
    """Return the record of a tuning, as a context.

    Args:
        identity: `storage.IDENTITY` of the tuning.
    """
    try:
        from mlproject.tracking.tuning_runs import TuningRecord
    except ModuleNotFoundError as error:
        if error.name != "mlflow":
            raise
        print("mlflow is not installed: the tuning is recorded in files only", file=sys.stderr)
        return SilentRecord()
    facts = {
        "study_seed": plan.tuning_seed,
        "objective": plan.objective,
        "epochs": plan.epochs,
        "prune": plan.prune,
        "threshold": plan.threshold,
        **plan.facts,
    }
    return TuningRecord(plan.category, plan.model, identity, facts | {"study": plan.key})
