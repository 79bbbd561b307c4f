"""Result of study noise: robustness curves, and each detector's loss."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlproject.evaluation import paper_protocol
from mlproject.studies.components import tables
from mlproject.studies.components.base import Cell, Chart, Result
from mlproject.studies.components.tables import Group
from mlproject.studies.results import level_chart

CLEAN = "clean"  # series of the cell without noise; in the table it is level 0 of every kind
SUBSET = "test"
PAIR = ("ni_cae", "ni_cae_without_noise")


def result(
    scored: Mapping[Cell, pd.DataFrame],
    thresholds: Mapping[str, float],
    resamples: int,
    notes: Sequence[str],
    paper_rule: str,
) -> Result:
    """Return the outcome of the study.

    Args:
        scored: every cell's scores of the whole test set.
        thresholds: each arm's, from clean good images.
        paper_rule: the paper's rule for NI-CAE's threshold, a name in `paper_protocol.RULES`.
    """
    kinds = list(dict.fromkeys(cell.series for cell in scored if cell.series != CLEAN))
    groups = _groups(scored, kinds, thresholds)
    rows = [tables.row(group, resamples) for group in groups.values()]
    comparisons = _comparisons(groups, resamples)
    return Result(
        rows=rows,
        comparisons=comparisons,
        statements=[*_lost(rows, comparisons), *_injection(comparisons)],
        notes=notes,
        charts=_charts(rows, kinds),
        facts={"paper": _by_the_paper(scored, paper_rule)},
    )


def _by_the_paper(scored: Mapping[Cell, pd.DataFrame], rule: str) -> dict[str, dict[str, Any]]:
    """Return the measures on clean images by the paper's rule, for the NI-CAE arms, by name."""
    found = {}
    for cell, table in scored.items():
        if cell.series == CLEAN and cell.arm in PAIR:
            score = {"score": table["score"].to_numpy(dtype=np.float64)}  # NI-CAE has one part: the score
            found[cell.arm] = paper_protocol.evaluate(rule, score, score, table["label"].to_numpy())
    return found


def _groups(
    scored: Mapping[Cell, pd.DataFrame], kinds: Sequence[str], thresholds: Mapping[str, float]
) -> dict[tuple[str, str, float], Group]:
    """Return (kind, arm, variance) → the draws of that noise."""
    groups = {}
    for kind in kinds:
        for arm in thresholds:
            cells = [c for c in scored if c.arm == arm and c.series in (kind, CLEAN)]
            for level in sorted({cell.level for cell in cells}):
                drawn = [scored[cell] for cell in cells if cell.level == level]
                at = [thresholds[arm]] * len(drawn)
                groups[kind, arm, level] = tables.group(kind, arm, level, SUBSET, drawn, at)
    return groups


def _comparisons(groups: Mapping[tuple[str, str, float], Group], resamples: int) -> list[dict[str, Any]]:
    found = []
    for (kind, arm, level), group in groups.items():
        if level:
            found.append(tables.comparison(group, groups[kind, arm, 0.0], CLEAN, resamples))
        if arm == PAIR[0]:
            others = [other for k, other, v in groups if (k, v) == (kind, level) and other != arm]
            for other in others:
                found.append(tables.comparison(group, groups[kind, other, level], other, resamples))
    return [one for one in found if one]


def _lost(rows: Sequence[Mapping[str, Any]], comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return, for each arm, a sentence on its largest loss."""
    sentences = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        changes = [c for c in comparisons if (c["arm"], c["against"]) == (arm, CLEAN)]
        if not changes:
            sentences.append(f"{arm}: cannot be evaluated: the test set lacks good or defective images.")
            continue
        worst = min(changes, key=lambda c: c["difference"])
        (row,) = (
            r for r in rows if (r["arm"], r["series"], r["level"]) == (arm, worst["series"], worst["level"])
        )
        clean = next(r for r in rows if (r["arm"], r["level"]) == (arm, 0))
        sentences.append(
            f"{arm}: AUROC {clean['auroc']:.2f} on clean images, at worst {row['auroc']:.2f} "
            f"({worst['series']}, variance {worst['level']:g}); its false alarms go from "
            f"{clean['false_alarm_rate']:.0%} to {row['false_alarm_rate']:.0%} there."
        )
    return sentences


def _injection(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence on the effect of injected noise, over all kinds and levels."""
    pairs = [c for c in comparisons if (c["arm"], c["against"]) == PAIR]
    if not pairs:
        return []
    noisy = [c for c in pairs if c["level"]]
    better, worse = (sum(c["clear"] == word for c in noisy) for word in ("above", "below"))
    clean = next(c for c in pairs if not c["level"])
    return [
        "Noise injected while training changes NI-CAE's AUROC (one training each) by "
        f"{clean['difference']:+.2f} on clean images [{clean['low']:+.2f}, {clean['high']:+.2f}], "
        f"and on {len(noisy)} kinds and levels of noise by "
        f"{np.mean([c['difference'] for c in noisy]):+.2f} on average: clearly better on {better}, "
        f"clearly worse on {worse}."
    ]


def _charts(rows: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> list[list[Chart]]:
    """Return one row of charts per measure, one column per kind of noise."""
    everything = ("everything defective", rows[0]["all_defective_f1"]) if rows else None
    measures = (
        ("auroc", "AUROC", ("chance", 0.5)),
        ("f1", "F1", everything),
        ("false_alarm_rate", "false alarms", None),
    )
    return [
        [
            level_chart.chart(
                [row for row in rows if row["series"] == kind],
                measure,
                kind.replace("_", " "),
                "variance",
                name,
                reference,
            )
            for kind in kinds
        ]
        for measure, name, reference in measures
    ]
