"""Report section with the paper's Tables 1 to 3, its numbers and ours; every F1 with the all-defective F1."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlproject.reports.comparison_columns import auroc, number
from mlproject.reports.paper.evidence import Evidence, Study
from mlproject.reports.paper.markdown import bullets, escape, joined, printed, table
from mlproject.reports.paper.published import ALWAYS, RESULTS, PaperCategory, unlike

NONE = "–"
SEES_LABELS = " †"
Row = Mapping[str, Any]

DECISIONS = (
    "category",
    "F1, paper",
    "F1, all-defective (paper's split)",
    "F1, ours by the paper's protocol",
    "F1, ours, clean",
    "F1, all-defective (ours)",
    "does clean beat all-defective?",
)
BEHIND = (
    "category",
    "training images, paper / ours",
    "test good + defective, paper",
    "test good + defective, ours",
    "AUROC, ours [95%]",
    "F1 oracle",
    "threshold optimism",
    "strongest shortcut",
)


LIES_BEHIND = "The images behind these, and how well the scores rank them without any threshold:"


def beats(f1: float | None, all_defective: float) -> str:
    """Return whether an F1 exceeds that of calling everything defective, and by how much."""
    if f1 is None:
        return NONE
    difference = f1 - all_defective
    if difference == 0:
        return "**no**, equal"
    size = f"{difference:+.2f}".replace("-", "−") if abs(difference) >= 0.005 else "by less than 0.01"
    return f"{'yes' if difference > 0 else '**no**'}, {size}"


def cnn(evidence: Evidence) -> list[str]:
    """Return Table 1."""
    counts = [
        f"{escape(category)}: {row['n_labelled_defective']} labelled defects in training, evaluated on the "
        f"held-out {row['n_good']} good and {row['n_defective']} defective images"
        for (category, model), row in evidence.rows.items()
        if model == "cnn"
    ]
    decisions = _decisions(evidence, "cnn", lambda paper: paper.cnn_f1)
    behind = _behind(evidence, "cnn")
    columns = list(BEHIND)
    columns.insert(4, "AUC, paper")
    for line, category in zip(behind, evidence.table_categories(), strict=True):
        line.insert(4, printed(RESULTS[category].cnn_auc) if category in RESULTS else NONE)
    return [
        "### Table 1. The supervised CNN",
        "It sees defects: it is trained on one half of the official test images with their labels (the "
        "*labelled pool*) in addition to the good training images, and evaluated on the other, *held-out* "
        "half only. Its rows cannot be compared with those of the other tables. "
        f"{'; '.join(counts)}{'.' if counts else ''}",
        table(DECISIONS, decisions),
        LIES_BEHIND,
        table(columns, behind),
        _notes(evidence, "cnn", "defective where the sigmoid exceeds .5"),
    ]


def kd_cae(evidence: Evidence) -> list[str]:
    """Return Table 2, with the decisions at the paper's own thresholds where they apply."""
    columns = list(DECISIONS)
    columns.insert(4, "F1, ours at Table 2's thresholds")
    decisions = _decisions(evidence, "kd_cae", lambda paper: paper.kd_cae_f1)
    for line, category in zip(decisions, evidence.table_categories(), strict=True):
        line.insert(4, _literal(evidence, category))
    thresholds = [
        [
            row.name,
            f"> {row.error_threshold:g}",
            f"< {row.log_density_threshold:g}",
            f"{row.anomaly_share:.2f}",
        ]
        for row in RESULTS.values()
    ]
    return [
        "### Table 2. KD-CAE, trained on good images alone",
        table(columns, decisions),
        LIES_BEHIND,
        table(BEHIND, _behind(evidence, "kd_cae")),
        _notes(evidence, "kd_cae", "the largest error and the smallest log-density of held-out good images"),
        *_literal_notes(evidence),
        "The thresholds that the paper prints (set by hand after looking at the distributions): defective "
        "if the reconstruction error is above the one, or the log-density below the other.",
        table(("category", "error", "log-density", "share of anomalies in test"), thresholds),
        "The log-density thresholds come from scikit-learn's `KernelDensity`, whose results are wrong at "
        "this size: with its default `leaf_size`, 256 points of 8192 values, they differ from exact "
        "log-sum-exp in float64 by 134 nats. Ours are exact, so even with the paper's settings the "
        "density rule is another one.",
    ]


def ni_cae(evidence: Evidence) -> list[str]:
    """Return Table 3: the pipeline's NI-CAE (with noise), and the noise study's (without)."""
    with_noise = _decisions(evidence, "ni_cae", lambda paper: paper.ni_cae_f1_with_noise)
    lines = []
    for line, category in zip(with_noise, evidence.table_categories(), strict=True):
        lines += [[line[0], "with", *line[1:]], *_studied(evidence, category, line)]
    return [
        "### Table 3. NI-CAE, trained on good images with and without noise",
        table([DECISIONS[0], "noise in training", *DECISIONS[1:]], lines, words=2),
        LIES_BEHIND,
        table(BEHIND, _behind(evidence, "ni_cae")),
        _notes(evidence, "ni_cae", "the threshold with the fewest errors on the *test labels*"),
        "With noise: the NI-CAE that the pipeline trains. Without: the noise study's, which differs in "
        "nothing but the noise from *with, in the study* where the study retrained both, and otherwise from "
        "the pipeline's. The study's rows are of the clean test images. † "
        f"{_LABELS}",
    ]


_LABELS = "The threshold was chosen on the test labels, as the authors did: not a result, comparison only."


def _decisions(evidence: Evidence, model: str, paper_f1: Callable[[PaperCategory], float]) -> list[list[str]]:
    lines = []
    for category in evidence.table_categories():
        paper = RESULTS.get(category)
        theirs = [printed(paper_f1(paper)), number(paper.all_defective_f1)] if paper else [NONE, NONE]
        row = evidence.rows.get((category, model))
        ours = [absent(evidence, category, model), NONE, NONE, NONE]
        if row:
            f1 = row["clean"]["f1"]
            baseline = row["all_defective_f1"]
            ours = [_paper_protocol(row), number(f1), number(baseline), beats(f1, baseline)]
        lines.append([escape(category), *theirs, *ours])
    return lines


def _paper_protocol(row: Row) -> str:
    if not row["paper"]:
        return NONE
    return number(row["paper"]["f1"]) + (SEES_LABELS if row["paper"]["sees_test_labels"] else "")


def absent(evidence: Evidence, category: str, model: str) -> str:
    """Return the reason why there is no number, shown in its cell."""
    if category not in evidence.categories:
        return "no data"
    return "not run (detectors)" if model not in evidence.detectors else "no result"


def _literal(evidence: Evidence, category: str) -> str:
    row = evidence.rows.get((category, "kd_cae"))
    if row is None:
        return NONE
    if row["paper_literal"]:
        return number(row["paper_literal"]["f1"])
    return "not comparable: settings differ" if category in RESULTS else NONE


def _literal_notes(evidence: Evidence) -> list[str]:
    """Return recall and false alarms at Table 2's thresholds, which an F1 alone hides."""
    said = [
        f"At Table 2's thresholds {escape(category)} has recall {number(row['paper_literal']['recall'])} "
        f"and {number(row['paper_literal']['false_alarm_rate'])} of its good images called defective."
        for (category, _), row in evidence.rows.items()
        if row["paper_literal"]
    ]
    return [bullets(said)] if said else []


def _studied(evidence: Evidence, category: str, line: Sequence[str]) -> list[list[str]]:
    """Return the row without noise and, if the study also trained one with noise, that row."""
    paper = RESULTS.get(category)
    theirs = [printed(paper.ni_cae_f1_without_noise) if paper else NONE, line[2]]
    without = [line[0], "without", *theirs]
    if category not in evidence.categories:
        return [[*without, "no data", NONE, NONE, NONE]]
    study = evidence.studies.get((category, "noise"))
    if study is None:
        return [[*without, NONE, "not run (studies_used)", NONE, NONE]]
    lines = [[*without, *_of_arm(study, "ni_cae_without_noise")]]
    changed = (study.summary["settings"][name] for name in ("image_size", "epochs", "patience"))
    if any(value is not None for value in changed):
        lines.insert(0, [line[0], "with, in the study", NONE, line[2], *_of_arm(study, "ni_cae")])
    return lines


def _of_arm(study: Study, arm: str) -> list[str]:
    """Return the last four cells: the study's results on clean test images."""
    by_the_paper = _paper_protocol({"paper": study.summary.get("paper", {}).get(arm)})
    chosen = study.table[(study.table["arm"] == arm) & (study.table["level"] == 0)]
    if chosen.empty or chosen["f1"].isna().iloc[0]:
        return [by_the_paper, "not in the study", NONE, NONE]
    f1, baseline = float(chosen["f1"].iloc[0]), float(chosen["all_defective_f1"].iloc[0])
    return [by_the_paper, number(f1), number(baseline), beats(f1, baseline)]


def _behind(evidence: Evidence, model: str) -> list[list[str]]:
    lines = []
    for category in evidence.table_categories():
        paper, row = RESULTS.get(category), evidence.rows.get((category, model))
        training = evidence.trainings.get((category, model))
        trained = f"{paper.n_train if paper else NONE} / {training['n_train'] if training else NONE}"
        theirs = f"{paper.n_good} + {paper.n_defective}" if paper else NONE
        ours = [absent(evidence, category, model), *[NONE] * 4]
        if row:
            ours = [
                f"{row['n_good']} + {row['n_defective']}",
                auroc(row),
                number(row["oracle"]["f1"]),
                number(row["threshold_optimism"]),
                f"{number(row['shortcuts']['strongest_auroc'])} {escape(row['shortcuts']['strongest'])}",
            ]
        lines.append([escape(category), trained, theirs, *ours])
    return lines


def _notes(evidence: Evidence, model: str, rule: str) -> str:
    sentences = [f"The paper's protocol here: {rule}."]
    differing: dict[str, None] = {}
    for (_, name), training in evidence.trainings.items():
        if name == model:
            differing |= dict.fromkeys(
                f"`{setting}` {escape(here)} (paper: {escape(there)})"
                for setting, (here, there) in unlike(model, training["settings"]).items()
            )
    if differing:
        said = f"Settings that differ from the paper's: {joined(differing)}."
        sentences.append(f"{said} `mlproject preset paper` sets those.")
    if model in evidence.detectors:
        sentences += [f"Differs from the paper with any settings: {fact}" for fact in ALWAYS[model]]
    sentences += [
        f"{escape(category)}: the model has learnt nothing, its numbers say nothing of the method: "
        f"{escape(row['not_learnt_because'])}."
        for (category, name), row in evidence.rows.items()
        if name == model and row.get("not_learnt_because")
    ]
    rows = {category: row for (category, name), row in evidence.rows.items() if name == model}
    tuned = [escape(category) for category, row in rows.items() if row["tuned_on_labels"]]
    if tuned:
        sentences.append(
            f"Tuned on labels, so evaluated on the held-out half of the test images: {joined(tuned)}."
        )
    return bullets(sentences)
