"""The comparison of champion and challenger as text: measures in a table, differing decisions in words."""

import numpy as np

from mlproject.evaluation import head_to_head, intervals, metrics
from mlproject.evaluation.head_to_head import HeadToHead
from mlproject.evaluation.intervals import Interval


def markdown(pair: HeadToHead, resamples: int, pictures: list[str]) -> str:
    """Return the head to head as Markdown.

    Args:
        pictures: names of the figures in the same folder.
    """
    labels = pair.labels
    lines = [
        f"# {pair.category}: {pair.challenger.title} compared with the champion, {pair.champion.title}",
        "",
        f"On the {len(labels)} test images that both were tested on: {np.count_nonzero(labels == 0)} good, "
        f"{np.count_nonzero(labels)} defective. Brackets: 95% intervals (AUROC, F1: bootstrap; recall, false "
        "alarms: binomial).",
        "",
        *table(pair, resamples),
        "",
        *decisions(pair, resamples),
    ]
    for name in pictures:
        lines += ["", f"![{name.removesuffix('.png').replace('_', ' ')}]({name})"]
    return "\n".join(lines) + "\n"


def table(pair: HeadToHead, resamples: int) -> list[str]:
    """Return the measures as the lines of a Markdown table."""
    header = ["| | champion | challenger |", "| --- | --- | --- |"]
    titles = f"| version | {pair.champion.title} | {pair.challenger.title} |"
    rows = [
        f"| {name} | {_written(champion)} | {_written(challenger)} |"
        for name, champion, challenger in head_to_head.measures(pair, resamples)
    ]
    everything = f"{metrics.all_defective_f1(pair.labels):.3f}"
    return [*header, titles, *rows, f"| F1, all defective | {everything} | {everything} |"]


def decisions(pair: HeadToHead, resamples: int) -> list[str]:
    """Return sentences on how the two differ: AUROC with its paired interval, decisions by count."""
    counts = [f"{name}: {len(rows)}" for name, rows in head_to_head.groups(pair).items() if pair.differ.any()]
    said = [f"Decided differently: {np.count_nonzero(pair.differ)} of {len(pair.labels)}."]
    if counts:
        said[0] += f" {'; '.join(counts)}.".replace(" only", " Only", 1)
    if len(set(pair.labels.tolist())) == 2:
        gap = intervals.auroc_difference(
            pair.labels, pair.champion.scores, pair.challenger.scores, resamples, metrics.BOOTSTRAP_SEED
        )
        said.append(
            f"AUROC, challenger − champion: {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}] (paired; "
            "allows for one more image, not seen, that the challenger ranks by chance)."
        )
    return said


def _written(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
