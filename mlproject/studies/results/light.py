"""Result of study light: what each change does to AUROC and false alarms, and whether relighting matters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlproject.studies.components import tables
from mlproject.studies.components.base import Cell, Chart, Result
from mlproject.studies.components.perturbations import KINDS
from mlproject.studies.components.tables import Group
from mlproject.studies.results import level_chart

CLEAN = "clean"  # series of the cell of unchanged images; in the table it is every kind's level `unchanged`
TEST, HELD_OUT = "test", "held_out"
RELIT = ("brightness", "contrast", "shading")
RELIT_BY = 0.1  # the most that a level differs from the unchanged one
GOAL = 0.005  # relighting by ± RELIT_BY shall change AUROC by less
IN_A_ROW = 4  # charts
MEASURES = (("auroc", "AUROC", ("chance", 0.5)), ("false_alarm_rate", "false alarms", None))


def result(
    scored: Mapping[Cell, pd.DataFrame],
    thresholds: Mapping[str, float],
    resamples: int,
    notes: Sequence[str],
) -> Result:
    """Return the outcome of the study.

    Args:
        scored: every cell's scores of the test images.
        thresholds: each arm's, from unchanged good images.
    """
    groups = _groups(scored, thresholds)
    rows = [tables.row(group, resamples) for group in groups.values()]
    found = [
        tables.comparison(group, groups[kind, arm, KINDS[kind].unchanged], CLEAN, resamples)
        for (kind, arm, level), group in groups.items()
        if level != KINDS[kind].unchanged
    ]
    comparisons = [one for one in found if one]
    relighting = _relighting(comparisons)
    return Result(
        rows=rows,
        comparisons=comparisons,
        statements=[
            sentence
            for arm in thresholds
            for sentence in (*_relit_words(arm, relighting), *_worst_words(arm, rows))
        ],
        notes=notes,
        charts=_charts(rows),
        facts={"relighting": relighting, "relighting_goal": GOAL},
    )


def _groups(
    scored: Mapping[Cell, pd.DataFrame], thresholds: Mapping[str, float]
) -> dict[tuple[str, str, float], Group]:
    """Return (kind, arm, level) → its scores; the unchanged images' stand in every kind."""
    groups = {}
    for kind in dict.fromkeys(cell.series for cell in scored if cell.series != CLEAN):
        for arm, at in thresholds.items():
            own = [cell for cell in scored if cell.arm == arm and cell.series in (kind, CLEAN)]
            tables_of = {KINDS[kind].unchanged if c.series == CLEAN else c.level: scored[c] for c in own}
            for level, table in sorted(tables_of.items()):
                subset = str(table["subset"].iloc[0])
                groups[kind, arm, level] = tables.group(kind, arm, level, subset, [table], [at])
    return groups


def _relighting(comparisons: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return arm → its largest change of AUROC by light within ± RELIT_BY, and whether it is below GOAL."""
    relit = [
        one
        for one in comparisons
        if one["series"] in RELIT and abs(one["level"] - KINDS[one["series"]].unchanged) <= RELIT_BY + 1e-9
    ]
    found = {}
    for arm in dict.fromkeys(one["arm"] for one in relit):
        worst = max((one for one in relit if one["arm"] == arm), key=lambda one: abs(one["difference"]))
        found[arm] = {
            **{name: worst[name] for name in ("series", "level", "difference", "low", "high")},
            "below_goal": abs(worst["difference"]) < GOAL,
        }
    return found


def _relit_words(arm: str, relighting: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if arm not in relighting:
        return []
    worst = relighting[arm]
    how = "less" if worst["below_goal"] else "not less"
    return [
        f"{arm}: light that changes by up to ±{RELIT_BY:.0%} changes its AUROC by at most "
        f"{worst['difference']:+.4f} [{worst['low']:+.4f}, {worst['high']:+.4f}] ({worst['series']} "
        f"{worst['level']:g}): {how} than {GOAL:g}."
    ]


def _worst_words(arm: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence on the change that costs an arm most AUROC, and on that with most false alarms."""
    own = [row for row in rows if row["arm"] == arm]
    changed = [row for row in own if row["level"] != KINDS[row["series"]].unchanged]
    clean = next(row for row in own if row["level"] == KINDS[row["series"]].unchanged)
    if np.isnan(clean["auroc"]):
        return [f"{arm}: cannot be evaluated: the test images lack good or defective ones."]
    lowest = min(changed, key=lambda row: row["auroc"])
    alarms = max(changed, key=lambda row: row["false_alarm_rate"])
    return [
        f"{arm}: AUROC {clean['auroc']:.2f} on unchanged images, at worst {lowest['auroc']:.2f} "
        f"({lowest['series']} {lowest['level']:g}); false alarms {clean['false_alarm_rate']:.0%}, at most "
        f"{alarms['false_alarm_rate']:.0%} ({alarms['series']} {alarms['level']:g})."
    ]


def _charts(rows: Sequence[Mapping[str, Any]]) -> list[list[Chart]]:
    """Return for each measure the charts of all kinds, a few in a row."""
    kinds = list(dict.fromkeys(row["series"] for row in rows))
    return [
        [_chart(rows, kind, *measure) for kind in kinds[start : start + IN_A_ROW]]
        for measure in MEASURES
        for start in range(0, len(kinds), IN_A_ROW)
    ]


def _chart(
    rows: Sequence[Mapping[str, Any]], kind: str, measure: str, name: str,
    reference: tuple[str, float] | None,
) -> Chart:  # fmt: skip
    def tick(level: float) -> str:
        return CLEAN if level == KINDS[kind].unchanged else f"{level:g}"

    own = [row for row in rows if row["series"] == kind]
    return level_chart.chart(own, measure, kind, KINDS[kind].unit, name, reference, tick)
