"""Who records a study: MLflow, or nobody where it is not installed."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mlproject.tuning.plan import Plan

if TYPE_CHECKING:
    from mlproject.tracking.tuning_runs import StudyRecord


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
        """Take what the study found."""


def open_record(plan: Plan, identity: str) -> "StudyRecord | SilentRecord":
    """Return the record of a study, as a context.

    Args:
        identity: `storage.IDENTITY` of the study.
    """
    try:
        from mlproject.tracking.tuning_runs import StudyRecord
    except ModuleNotFoundError as error:
        if error.name != "mlflow":
            raise
        print("mlflow is not installed: the study is recorded in files only", file=sys.stderr)
        return SilentRecord()
    facts = {
        "study_seed": plan.study_seed,
        "objective": plan.objective,
        "epochs": plan.epochs,
        "prune": plan.prune,
        "threshold": plan.threshold,
        **plan.facts,
    }
    return StudyRecord(plan.category, plan.model, identity, facts | {"study": plan.key})
