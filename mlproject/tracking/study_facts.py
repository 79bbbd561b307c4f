"""Facts of a study that its run in MLflow shows: its table, its differences, its answer in words."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pandas as pd

from mlproject.core import artifacts, files
from mlproject.core.tables import read_table
from mlproject.tracking.facts import Facts, files_hash, files_in

ENDS = {"": "difference", ".low": "low", ".high": "high"}
WHOLE = ("test", "held_out")  # subsets that are no single type of defect
CURVES = ("auroc", "f1", "false_alarm_rate")


@dataclass(frozen=True)
class StudyFacts(Facts):
    """Facts of one (category, study); it has no pictures, and its epochs are levels (labels: their number).

    Attributes:
        table: table.csv.
        summary: summary.json.
    """

    stage: ClassVar[str] = "study"
    image_key: ClassVar[str] = "study"

    table: pd.DataFrame
    summary: dict[str, Any]

    @classmethod
    def read(cls, category: str, study: str) -> Self:
        folder, report = (
            artifacts.study_folder(category, study),
            artifacts.study_report_folder(category, study),
        )
        table = read_table(report / "table.csv")
        cells = {path.name: path for path in (folder / "cells").glob("*.csv")}
        logged = {
            "study/run.json": folder / "run.json",
            **{f"report/{name}": path for name, path in files_in(report).items()},
        }
        return cls(
            training=files.read_json(folder / "run.json"),
            history=curves(table),
            table=table,
            summary=files.read_json(report / "summary.json"),
            files=logged,
            pictures={},
            model_hash=files_hash(cells),
            content_hash=files_hash(logged | cells),
        )

    def figures(self) -> dict[str, float]:
        """Return every difference with its interval, and from how many labels a detector is beaten."""
        values: dict[str, float] = {"training.seconds": self.training["seconds"]}
        for one in self.summary["comparisons"]:
            # a level of a left-out type says nothing that the type does not
            where = f"{one['level']:g}" if one["subset"] in WHOLE else one["subset"]
            place = _metric(f"difference.{one['series']}.{one['arm']}-{one['against']}.{where}")
            values |= {f"{place}{end}": one[name] for end, name in ENDS.items()}
        needed = self.summary.get("labels_needed", {})
        return values | {f"labels_needed.{name}": float(n) for name, n in needed.items() if n is not None}

    def tags(self) -> dict[str, str]:
        """Add the answer in words."""
        said = "\n\n".join([*self.summary["statements"], *self.summary["notes"]])
        return super().tags() | {
            "kind": "study",
            "gap": self.summary["gap"] or "",
            "mlflow.note.content": f"{self.summary['title']}\n\n{said}",
        }


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """Return a column for each series, arm and measure, a row a step; NaN where an arm has no such step.

    Steps are levels where these are whole numbers (labels, images), else their places (variances).
    What was measured at one level alone stands at every step of its series, for comparison.
    """
    whole = bool((table["level"] % 1 == 0).all())
    found: dict[int, dict[str, float]] = {}
    for series, rows in table[table["subset"].isin(WHOLE)].groupby("series", sort=False):
        levels = sorted(rows["level"].unique())
        steps = {level: int(level) if whole else place for place, level in enumerate(levels)}
        for arm, own in rows.groupby("arm", sort=False):
            values = own.set_index("level")
            for level in levels if len(values) == 1 else values.index:
                row = values.iloc[0] if len(values) == 1 else values.loc[level]
                kept = {_metric(f"{series}.{arm}.{name}"): row[name] for name in CURVES}
                found.setdefault(steps[level], {}).update(kept)
    steps_in_order = [{"epoch": step} | values for step, values in sorted(found.items())]
    return pd.DataFrame(steps_in_order or {"epoch": []})


def _metric(name: str) -> str:
    """Return a name that MLflow allows."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in name)
