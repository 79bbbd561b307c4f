"""Charts of AUROC, F1 and false alarms with a band from the lowest to the highest seed."""

from collections.abc import Mapping, Sequence

import numpy as np

from mlproject.evaluation import metrics
from mlproject.studies.components import tables
from mlproject.studies.components.base import Chart, Line
from mlproject.studies.components.tables import Group


def aurocs(group: Group) -> np.ndarray:
    """Return the AUROC of each training, (k,); NaN where a class is missing."""
    return np.array([metrics.auroc(group.labels, scores) for scores in group.scores], dtype=np.float64)


def charts(groups: Mapping[tuple[str, float], Group], ticks: Sequence[str], x_label: str) -> list[Chart]:
    """Return one chart a measure; groups by (arm, level), every arm at the same levels in rising order.

    Args:
        ticks: labels of the levels.
    """
    everything = metrics.all_defective_f1(next(iter(groups.values())).labels)
    measured = {key: {"auroc": aurocs(group), **tables.decisions(group)} for key, group in groups.items()}
    measures = (
        ("auroc", "AUROC", ("chance", 0.5)),
        ("f1", "F1", ("everything defective", everything)),
        ("false_alarm_rate", "false alarms", None),
    )
    found = []
    for measure, name, reference in measures:
        lines = [
            line(arm, [values[measure] for (other, _), values in measured.items() if other == arm])
            for arm in dict.fromkeys(arm for arm, _ in groups)
        ]
        found.append(Chart(name, x_label, "", ticks, lines, reference=reference, shaded=True))
    return found


def line(name: str, values: Sequence[np.ndarray]) -> Line:
    """Return the mean, lowest and highest of (k,) values at each tick; NaN where one is missing."""
    mean, low, high = ([float(of(each)) for each in values] for of in (np.mean, np.min, np.max))
    return Line(name, range(len(values)), mean, low, high)
