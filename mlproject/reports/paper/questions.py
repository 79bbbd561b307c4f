"""Report section on the paper's open questions, each answered from data or marked as unanswered."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlproject.reports.comparison_columns import (
    HOLM,
    area,
    auroc,
    difference,
    not_learnt,
    number,
    sees_labels,
    smallest_found,
)
from mlproject.reports.paper.evidence import Evidence
from mlproject.reports.paper.markdown import bullets, escape, joined, picture, table

AUTOENCODERS = ("kd_cae", "ni_cae")
STUDIES = (
    ("generated", "Do generated images help?"),
    ("noise", "How robust are the detectors to noise in the test images?"),
    ("labels", "How many labelled defects does supervision need before it wins?"),
)


def blocks(evidence: Evidence) -> list[str]:
    """Return the section's blocks."""
    found = ["## Open questions", "Questions that the authors left open, or that their tables cannot answer."]
    asked = [(question, _study(evidence, name)) for name, question in STUDIES]
    asked += [
        ("Can AnoGAN-style detection compete?", _anogan(evidence)),
        ("Is an autoencoder better than PCA?", _pca(evidence)),
        ("Does tuning without labels choose well?", _tuning(evidence)),
        ("Are small defects found?", _small_defects(evidence)),
    ]
    for letter, (question, answer) in zip("abcdefg", asked, strict=True):
        found += [f"### {letter}. {question}", *answer]
    return found + _further(evidence)


def _further(evidence: Evidence) -> list[str]:
    """Return the section on studies of other questions than the paper's; nothing if none was run."""
    own = dict(STUDIES)
    further = {name: study for (_, name), study in evidence.studies.items() if name not in own}
    if not further:
        return []
    found = ["## Further studies", "Questions that the paper does not ask, from `studies_used`."]
    for name, study in further.items():
        found += [f"### {escape(study.summary['title'])}", *_study(evidence, name)]
    return found


def _study(evidence: Evidence, name: str) -> list[str]:
    """Return a study's statements by category, or the reason why there are none."""
    found = []
    for category in evidence.categories:
        study = evidence.studies.get((category, name))
        if study is None:
            continue
        said, gap = study.summary["statements"], study.summary["gap"]
        sentences = [
            f"**{escape(category)}**: {escape(sentence)}" for sentence in (*said, *([gap] if gap else []))
        ]
        sentences += [f"{escape(category)}, note: {escape(note)}" for note in study.summary["notes"]]
        found.append(bullets(sentences))
        for file in study.summary["figures"]:
            path = f"categories/{category}/studies/{name}/figures/{file}"
            if path in evidence.pictures:
                found.append(picture(f"{study.summary['title']}: {category}", path))
    if not found:
        return [f"Not run: `studies_used` in params.yaml does not name `{name}`."]
    explained = [one.summary for (_, asked), one in evidence.studies.items() if asked == name]
    words = dict.fromkeys(summary["interval"] for summary in explained if summary["statements"])
    found += [f"Intervals: {escape(one)}" for one in words]
    missing = [category for category in evidence.categories if (category, name) not in evidence.studies]
    if missing:
        found.append(f"Not run for: {joined(map(escape, missing))}.")
    return found


def _anogan(evidence: Evidence) -> list[str]:
    if "anogan" not in evidence.detectors:
        return ["Not run: `detectors` in params.yaml does not name `anogan`."]
    others = [name for name in evidence.detectors if name != "anogan"]
    found = _against(evidence, ["anogan"], others, "AnoGAN", "the best of the other models")
    for category in evidence.categories:
        path = evidence.picture(category, "anogan", "figures/reconstructions")
        found += [picture(f"Originals above AnoGAN's reconstructions: {category}", path)] if path else []
    return found


def _pca(evidence: Evidence) -> list[str]:
    run = [name for name in AUTOENCODERS if name in evidence.detectors]
    if "pca" not in evidence.detectors or not run:
        return ["Not run: `detectors` in params.yaml must name `pca` and an autoencoder."]
    found = _against(evidence, run, ["pca"], "the better autoencoder", "PCA")
    if "comparison.png" in evidence.pictures:
        found.append(picture("AUROC and F1 of every model beside their baselines", "comparison.png"))
    return found


def _against(
    evidence: Evidence, side: Sequence[str], other: Sequence[str], name: str, rival: str
) -> list[str]:
    """Return in how many categories one side's best model is shown to be above or below the other's."""
    lines, outcomes = [], []
    for category in evidence.categories:
        ours, theirs = _best(evidence, category, side), _best(evidence, category, other)
        if ours is None or theirs is None:
            continue
        gap = ours["differences"][theirs["model"]]
        outcomes.append(gap["shown"])
        lines.append([escape(category), *_cell(ours), *_cell(theirs), _shown(gap)])
    dead = [f"{c} {m}" for (c, m), row in evidence.rows.items() if m in (*side, *other) and not_learnt(row)]
    left_out = [f"Left out, having learnt nothing: {joined(map(escape, dead))}."] if dead else []
    if not lines:
        return ["No category has both.", *left_out]
    counts = {outcome: outcomes.count(outcome) for outcome in ("above", "below", "unclear")}
    sentence = (
        f"Of {len(lines)} categories, the AUROC of {name} is shown to be above that of {rival} in "
        f"{counts['above']} and below it in {counts['below']}; in {counts['unclear']} no difference is "
        f"shown. Differences are paired, over the same test images, and called shown {HOLM}. Where a side "
        "has several models, the one with the best test AUROC stands for it, which favours that side."
    )
    columns = ("category", name, "AUROC [95%]", rival, "AUROC [95%]", "paired difference [95%]")
    return [sentence, table(columns, lines, words=2), *left_out]


def _best(evidence: Evidence, category: str, models: Sequence[str]) -> Mapping[str, Any] | None:
    """Return the row with the highest AUROC.

    Models that saw labels are left out, evaluated on other images, and those that have learnt nothing.
    """
    rows = [evidence.rows[category, model] for model in models if (category, model) in evidence.rows]
    rows = [row for row in rows if not sees_labels(row) and not not_learnt(row) and row["auroc"] is not None]
    return max(rows, key=lambda row: row["auroc"]) if rows else None


def _shown(gap: Mapping[str, Any]) -> str:
    return f"{difference(gap)}: {'not shown' if gap['shown'] == 'unclear' else gap['shown']}"


def _cell(row: Mapping[str, Any]) -> tuple[str, str]:
    return escape(row["model"]), auroc(row)


def _tuning(evidence: Evidence) -> list[str]:
    """Return, for each tuning run, the agreement of its objective's ranking with the test set's."""
    columns = (
        "category", "model", "objective", "trials", "rank correlation [95%]", "test AUROC: chosen",
        "as set before", "median trial", "best trial",
    )  # fmt: skip
    lines, found, outcomes = [], [], []
    for (category, model), tuning in evidence.tunings.items():
        sealed = tuning["sealed"]
        if "spearman_objective" not in sealed:
            continue
        chosen = [sealed[f"test_auroc_{what}"] for what in ("chosen", "start", "median", "best")]
        if tuning["objective"] == "proxy" and None not in chosen[:2]:
            outcomes.append(chosen[0] > chosen[1])
        agreement = [number(sealed[f"spearman_objective{end}"]) for end in ("", "_low", "_high")]
        bounded = sealed["spearman_objective_low"] is not None
        lines.append(
            [
                escape(category), escape(model), tuning["objective"],
                f"{sealed['n_trials']} complete, {tuning['pruned']} pruned",
                ("{} [{}, {}]" if bounded else "{}").format(*agreement), *map(number, chosen),
            ]
        )  # fmt: skip
        path = evidence.picture(category, model, "tuning/history")
        found += [picture(f"Trials of {category}, {model}", path)] if path else []
    if not lines:
        return ["Not run: no tuning has been run (`mlproject tune`)."]
    sentence = (
        f"In {sum(outcomes)} of the {len(outcomes)} tunings without labels (objective proxy) that can tell, "
        "the trial that the objective chose has a higher test AUROC than the settings that stood before; the "
        "correlation says whether it ranks trials as the test set does. Median, best and correlation are "
        "over complete trials: a pruned one keeps no model. Of fewer than ten there is no interval. A tuning "
        "by labels (objective labelled) chose on half of the test images and is evaluated on the other."
    )
    return [sentence, table(columns, lines, words=4), *found]


def _small_defects(evidence: Evidence) -> list[str]:
    """Return the numbers of smaller and larger defects found."""
    lines, worse = [], 0
    for row in evidence.rows.values():
        if not row["defects"]["smaller_half"]["n"]:
            continue
        small, large = row["defects"]["smaller_half"], row["defects"]["larger_half"]
        rates = [half["found"] / half["n"] for half in (small, large)]
        worse += rates[0] < rates[1]
        missed = [
            f"{escape(kind['type'])} {kind['found']}/{kind['n']}"
            for kind in sorted(row["defects"]["types"], key=lambda kind: kind["found"] / kind["n"])
        ]
        lines.append(
            [
                escape(row["category"]), escape(row["model"]), f"{small['largest_area']:.2%}",
                *(f"{half['found']} / {half['n']}" for half in (small, large)), missed[0],
                area(smallest_found(row)),
            ]
        )  # fmt: skip
    if not lines:
        return ["No answer: no masks, so the size of the defects is not known."]
    sentence = (
        f"Of {len(lines)} pairs of category and model, {worse} find a smaller share of the smaller half of "
        "the defects than of the larger half (threshold from good images alone)."
    )
    columns = (
        "category", "model", "smaller half: area at most", "smaller half found", "larger half found",
        "least found type", "smallest found",
    )  # fmt: skip
    return [sentence, table(columns, lines, words=2)]
