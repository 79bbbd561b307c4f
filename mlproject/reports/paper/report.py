"""The whole report as Markdown, a pure function of the evidence."""

from mlproject.reports.comparison_columns import number
from mlproject.reports.paper import figures, provenance, questions, tables
from mlproject.reports.paper.evidence import Evidence
from mlproject.reports.paper.markdown import bullets, escape, joined
from mlproject.reports.paper.published import RESULTS, SOURCE

TITLE = "The paper's claims, measured again"


def markdown(evidence: Evidence) -> str:
    """Return paper.md, whose links are relative to reports/."""
    blocks = [f"# {TITLE}", *_summary(evidence), "## Tables", *_caution(evidence)]
    blocks += tables.cnn(evidence) + tables.kd_cae(evidence) + tables.ni_cae(evidence)
    blocks += figures.blocks(evidence) + questions.blocks(evidence) + provenance.blocks(evidence)
    return "\n\n".join(blocks) + "\n"


def _summary(evidence: Evidence) -> list[str]:
    values = [(f1, row.all_defective_f1) for row in RESULTS.values() for f1 in row.f1_values]
    better = sum(f1 > baseline for f1, baseline in values)
    ours = [row for row in evidence.rows.values() if row["clean"]["f1"] is not None]
    equal = sum(f1 <= baseline and number(f1) == number(baseline) for f1, baseline in values)
    sentences = [
        f"Of the paper's {len(values)} F1 values, **{better}** beat calling every image of its test sets "
        f"defective, {equal} {'equals' if equal == 1 else 'equal'} it to two decimals.",
        f"Of the {len(ours)} results here (clean protocol), "
        f"**{sum(row['clean']['f1'] > row['all_defective_f1'] for row in ours)}** beat it on theirs.",
    ]
    flagged = [name for name in evidence.categories if _flagged(evidence, name)]
    if flagged:
        sentences.append(
            f"In {joined(map(escape, flagged))} a trivial image statistic alone tells good from defective: "
            "results there may reflect that statistic rather than defects."
        )
    if evidence.missing():
        sentences.append(f"Categories of the paper without images here: **{joined(evidence.missing())}**.")
    return [
        "Anomaly detectors of [Wilmet et al. 2021]("
        + SOURCE
        + ") (KD-CAE, NI-CAE, a CNN, a DCGAN), trained and "
        "evaluated again; the paper's numbers next to ours, and both next to those of a trivial rule. "
        f"Categories here: {joined(map(escape, evidence.categories))}.",
        bullets(sentences),
    ]


def _flagged(evidence: Evidence, category: str) -> bool:
    return any(row["shortcuts"]["flagged"] for (name, _), row in evidence.rows.items() if name == category)


def _caution(evidence: Evidence) -> list[str]:
    sentences = [
        "The paper's test sets are not all of the official MVTec AD test set's sizes and shares, so both "
        "stand here with their own all-defective F1: compare each F1 with that of its own test set.",
        "Where something was not run or the images are not here, the table says so; nothing is filled in.",
    ]
    others = [name for name in evidence.categories if name not in RESULTS]
    if others:
        sentences.append(f"Not in the paper, so without its numbers: {joined(map(escape, others))}.")
    return [bullets(sentences)]
