"""Comparison of all models on all categories: the same rows as Markdown, CSV and terminal tables.

Every F1 is shown with the F1 of calling everything defective, every AUROC with the strongest shortcut's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlproject.core import artifacts
from mlproject.core.errors import UserError
from mlproject.reports.comparison_columns import (
    BASELINE,
    DECISIONS,
    DIFFERENCE,
    HELD_OUT,
    HOLM,
    LOCALISATION,
    NAMES,
    RANKING,
    Columns,
    Row,
    area,
    not_learnt,
    notes,
    sees_labels,
)

if TYPE_CHECKING:
    from rich.console import Group

FIGURES = ("verdicts", "reconstructions", "error_distribution", "curves", "mistakes")
TERMINAL_WIDTH = 120
READING = (
    "AUROC: how often a defective image scores above a good one; 0.50 is chance, brackets are the 95% "
    "bootstrap interval. AP: average precision.",
    f"AUROC minus {BASELINE}: paired difference, all models evaluated on the same resamples of the same "
    "images; brackets are the 95% bootstrap interval of this difference alone. Whether two models' own AUROC "
    f"intervals overlap says nothing about their difference. A difference is called shown {HOLM}. With fewer "
    "than 20 good or 20 defective images bootstrap intervals are too narrow.",
    "Strongest shortcut: AUROC of the best trivial image statistic alone, such as mean brightness. Far from "
    "0.50, either way, it could explain a model's result, so AUROC is repeated with brightness matched.",
    "F1 all defective: of calling every image defective. An F1 that is not above it shows no skill.",
    "F1, recall, precision, balanced accuracy, false alarms: at the threshold of protocol `clean`, from good "
    "images alone. Asked: the share of good images that may exceed it; seen: the share that did.",
    "F1 paper: at thresholds set as the paper set that model's, to compare with its tables. KD-CAE and PCA: "
    "the largest values of held-out good images. CNN: its output above .5. NI-CAE: fewest errors on the test "
    "labels; not a result.",
    "F1 oracle: at the threshold with the best F1 on the test labels; an upper bound, not a result. "
    "Optimism: oracle F1 minus clean F1.",
)
READING_OF_MASKS = (
    "Pixel AUROC and AUPRO: the maps against the masks, brackets are the 95% bootstrap interval over images. "
    "Smaller and larger half: of the defects by marked area. Smallest found: the smallest marked area, as a "
    "share of the image, of a defect that was found, which is called defective by protocol `clean`."
)


def merge(
    results: Iterable[Row], shortcuts: Mapping[str, Row], scores: Mapping[tuple[str, str], pd.DataFrame]
) -> list[dict[str, Any]]:
    """Return one row per result: metrics.json, its category's shortcuts and its differences to other models.

    Args:
        results: metrics.json of each (category, model), with `not_learnt_because` of its training.json.
        shortcuts: category → shortcuts.json.
        scores: (category, model) → test_scores.csv.

    Returns:
        Under `differences`: other model → as `paired_comparison.differences` gives it. Models that saw
        labels have none there, only in `held_out`, on the half of the test images that they did not see.
    """
    rows = [{**result, "shortcuts": shortcuts[result["category"]]} for result in results]
    for category in shortcuts:
        group = [row for row in rows if row["category"] == category]
        tables = {row["model"]: scores[category, row["model"]] for row in group}
        whole = _differences({row["model"]: tables[row["model"]] for row in group if not sees_labels(row)})
        halves = _differences({name: table[table["half"] == "held_out"] for name, table in tables.items()})
        for row in group:
            row["differences"] = whole.get(row["model"], {})
            row["held_out"] = row["held_out"] | {"differences": halves[row["model"]]}
    return rows


def _differences(tables: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the paired differences of models that scored the same images, matched by path."""
    from mlproject.evaluation import paired_comparison  # `mlproject table` needs no scikit-learn

    if not tables:
        return {}
    ordered = {name: table.sort_values("path") for name, table in tables.items()}
    first = next(iter(ordered.values()))
    if any(table["path"].tolist() != first["path"].tolist() for table in ordered.values()):
        raise UserError("test_scores.csv of some models are of different images. `dvc repro` renews them.")
    scores = {name: table["score"].to_numpy(dtype=np.float64) for name, table in ordered.items()}
    return paired_comparison.differences(first["label"].to_numpy(), scores)


def by_category(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each category, in order."""
    return {
        name: [row for row in rows if row["category"] == name] for name in {r["category"]: 0 for r in rows}
    }


def winner(rows: Sequence[Row]) -> str | None:
    """Return the model of a category that is shown to be above chance and better than every other, if any.

    None too where a shortcut is flagged: the numbers may say who found the shortcut. Supervised models and
    those tuned on labels take no part: they are evaluated on other images. A model that has learnt nothing
    cannot win; the others must be better than it too.
    """
    rows = [row for row in rows if not sees_labels(row)]
    able = [row for row in rows if not not_learnt(row)]
    if not able:
        return None
    best = max(able, key=lambda row: row["auroc"])
    others = [row["model"] for row in rows if row is not best]
    if not others or best["auroc_low"] <= 0.5 or any(row["shortcuts"]["flagged"] for row in rows):
        return None
    beaten = [best["differences"][other]["shown"] == "above" for other in others]
    return best["model"] if all(beaten) else None


def verdicts(rows: Sequence[Row]) -> list[str]:
    """Return, for each category with several models, a sentence naming the best, or saying that none is."""
    sentences = []
    for category, group in by_category(rows).items():
        if len(group) < 2:
            continue
        best = winner(group)
        if best:
            sentences.append(
                f"{category}: {best} ranks best: its paired AUROC difference to every other model is above 0 "
                f"{HOLM}."
            )
        elif group[0]["shortcuts"]["flagged"]:
            sentences.append(f"{category}: no winner is named, a shortcut tells good from defective.")
        else:
            which = "no model that has learnt something is" if any(map(not_learnt, group)) else "no model is"
            sentences.append(
                f"{category}: no clear winner: {which} above chance and shown to be better than every "
                f"other by its paired AUROC difference {HOLM}."
            )
    return sentences


@dataclass(frozen=True)
class Table:
    """A table as text, ready for any output. `strong` holds the (line, column) of cells to emphasise."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    strong: frozenset[tuple[int, int]]


def tables(rows: Sequence[Row]) -> tuple[list[Table], list[str]]:
    """Return the tables of the comparison and their numbered notes.

    Two, one more where there are masks, and a last one if a model sees labels.
    """
    texts = list(dict.fromkeys(text for row in rows for text in notes(row).values()))
    winners = {category: winner(group) for category, group in by_category(rows).items()}
    strong = frozenset(
        (line, list(RANKING).index("AUROC [95%]"))
        for line, row in enumerate(rows)
        if winners[row["category"]] == row["model"]
    )
    compared = any(BASELINE in row["held_out"]["differences"] for row in rows)
    columns, held_out = (
        {name: write for name, write in given.items() if compared or name != DIFFERENCE}
        for given in (RANKING, HELD_OUT)
    )
    ranking = Table(
        "How well scores rank (no threshold)", tuple(columns), _lines(rows, columns, texts), strong
    )
    title = "Decisions at the threshold from good images alone (protocol clean)"
    shown = [ranking, Table(title, tuple(DECISIONS), _lines(rows, DECISIONS, texts), frozenset())]
    if _has_masks(rows):
        title = "Where the maps point, and defects found by size"
        shown.append(Table(title, tuple(LOCALISATION), _lines(rows, LOCALISATION, texts), frozenset()))
    if any(sees_labels(row) for row in rows):
        title = "All models on the held-out half of the test images, threshold from good images alone"
        shown.append(Table(title, tuple(held_out), _held_out_lines(rows, held_out, texts), frozenset()))
    return shown, texts


def _has_masks(rows: Sequence[Row]) -> bool:
    return any(write(row) != "-" for row in rows for name, write in LOCALISATION.items() if name not in NAMES)


def _lines(rows: Sequence[Row], columns: Columns, texts: list[str]) -> tuple[tuple[str, ...], ...]:
    """Return the cells, each with the number of its note if it has one."""
    lines = []
    for row in rows:
        marks = {name: f" ({texts.index(text) + 1})" for name, text in notes(row).items()}
        lines.append(tuple(write(row) + marks.get(name, "") for name, write in columns.items()))
    return tuple(lines)


def _held_out_lines(rows: Sequence[Row], columns: Columns, texts: list[str]) -> tuple[tuple[str, ...], ...]:
    """Return the cells; notes are on other images, so the only numbers are of models without learning."""
    lines = []
    for row in rows:
        mark = f" ({texts.index(notes(row)['model']) + 1})" if not_learnt(row) else ""
        lines.append(tuple(write(row) + (mark if name == "model" else "") for name, write in columns.items()))
    return tuple(lines)


def markdown(rows: Sequence[Row]) -> str:
    """Return comparison.md, whose links are relative to reports/."""
    shown, texts = tables(rows)
    blocks = ["# Comparison"]
    blocks += [f"## {table.title}\n\n{_markdown_table(table)}" for table in shown]
    blocks.append("\n".join(f"- ({i}) {text}" for i, text in enumerate(texts, 1)))
    blocks.append("\n".join(f"- {sentence}" for sentence in verdicts(rows)))
    blocks += ["![AUROC and F1 of every model beside their baselines](comparison.png)", "## How to read it"]
    reading = (*READING, READING_OF_MASKS) if _has_masks(rows) else READING
    blocks.append("\n".join(f"- {line}" for line in reading))
    for category, group in by_category(rows).items():
        blocks += [f"## {category}", _by_type(group)]
        blocks += [_pictures(category, row["model"], row["reconstructs"]) for row in group]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _markdown_table(table: Table) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    body = (
        [f"**{cell}**" if (i, j) in table.strong else cell for j, cell in enumerate(cells)]
        for i, cells in enumerate(table.lines)
    )
    return "\n".join([line(table.columns), line("---" for _ in table.columns), *map(line, body)])


def _by_type(rows: Sequence[Row]) -> str:
    """Return found / all defects of each type, for each model, with the smallest area that was found."""
    kinds = list(dict.fromkeys(kind["type"] for row in rows for kind in row["defects"]["types"]))
    if not kinds:
        return ""
    by_name = [{kind["type"]: kind for kind in row["defects"]["types"]} for row in rows]
    lines = tuple((name, *(_found(found.get(name)) for found in by_name)) for name in kinds)
    columns = ("defects found (smallest area)", *(row["model"] for row in rows))
    return _markdown_table(Table("", columns, lines, frozenset()))


def _found(kind: Row | None) -> str:
    if kind is None:
        return "-"
    smallest = kind["smallest_found_area"]
    return f"{kind['found']} / {kind['n']}" + ("" if smallest is None else f" ({area(smallest)})")


def _pictures(category: str, model: str, reconstructs: bool) -> str:
    folder = artifacts.report_folder(category, model).relative_to("reports").as_posix()
    first, *others = (name for name in FIGURES if reconstructs or name != "reconstructions")
    links = ", ".join(f"[{name.replace('_', ' ')}]({folder}/figures/{name}.png)" for name in others)
    verdicts = f"{folder}/figures/{first}.png"
    return f"### {category}, {model}\n\n![Verdicts on images of each type]({verdicts})\n\nMore: {links}."


def csv(rows: Sequence[Row]) -> pd.DataFrame:
    """Return all rows as one flat table, nested names joined by dots."""
    return pd.json_normalize([dict(row) for row in rows], sep=".")


def terminal(rows: Sequence[Row], *, plain: bool) -> "Group":
    """Return the comparison for rich to print, at most `TERMINAL_WIDTH` wide; plain: no lines, no colour."""
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    shown, texts = tables(rows)
    parts: list[RichTable | Text] = []
    for table in shown:
        rich = RichTable(box=None if plain else box.SIMPLE_HEAD, padding=(0, 1) if plain else (0, 0, 0, 1))
        for name in table.columns:
            rich.add_column(
                Text(fill(name, 10)), justify="left" if name in NAMES else "right", vertical="bottom"
            )
        for i, cells in enumerate(table.lines):
            marked = [Text(cell, "bold" if (i, j) in table.strong else "") for j, cell in enumerate(cells)]
            rich.add_row(
                *marked, end_section=i + 1 < len(rows) and rows[i]["category"] != rows[i + 1]["category"]
            )
        parts += [Text(table.title, "" if plain else "bold"), rich, Text()]
    parts += [Text(f"({i}) {text}") for i, text in enumerate(texts, 1)]
    parts += [Text(sentence) for sentence in verdicts(rows)]
    return Group(*parts)
