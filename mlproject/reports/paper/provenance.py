"""Report section on how each number was made: protocols, commands, settings, machine."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlproject.data import copies
from mlproject.reports.paper.evidence import Evidence
from mlproject.reports.paper.markdown import bullets, escape, joined, table
from mlproject.reports.paper.published import SOURCE

PROTOCOLS = (
    "**clean** (the headline): the threshold is the conformal quantile of good images: those of calibration, "
    "which chose neither weights nor epoch; for patch_kde all good training images, those that it has learnt "
    "from each scored by the others. No test image and no label is seen. Defective if the score is above it.",
    "**the paper's protocol**: the threshold as the paper set that model's (said below each table). For "
    "comparison with its tables only.",
    "**oracle**: the threshold with the best F1 on the test labels, an upper bound that nobody has in "
    "production. *Threshold optimism* is oracle F1 − clean F1.",
    "**all-defective**: F1 of calling every image defective, 2p / (1 + p) at a share p of defective "
    "images. The paper's column is our arithmetic from the shares of its Table 2, which have two "
    "decimals; its good and defective counts are share × size, rounded.",
    "**AUROC**: chance that a defective image scores above a good one, with a stratified bootstrap 95% "
    "interval over the test images. It covers the choice of images, not another training.",
    "**strongest shortcut**: AUROC of the best trivial image statistic alone; far from 0.50 it may "
    "explain a result.",
    "**the paper's numbers**: [Wilmet et al. 2021]("
    + SOURCE
    + "), arXiv 2107.09204. F1 = TP / (TP + (FP + FN) / 2), "
    "defective is the positive class, all types of defect of a category are one class. Its CNN was "
    "trained on good images alone and read with argmax over one column, its NI-CAE's threshold was chosen "
    "on the test labels.",
)
COMMANDS = (
    ("everything", "dvc repro"),
    ("Table 1", "dvc repro --glob 'evaluate@*-cnn'"),
    ("Table 2, Figs. 3 and 4", "dvc repro --glob 'evaluate@*-kd_cae'"),
    ("Table 3, Fig. 5", "dvc repro --glob 'evaluate@*-ni_cae'"),
    ("Table 3, without noise and in the study", "dvc repro --glob 'study@*-noise'"),
    ("Figs. 1 and 2, and this report", "dvc repro report"),
    ("Fig. 6", "dvc repro --glob 'generate@*-dcgan'"),
    ("the open questions' studies", "dvc repro --glob 'study@*'"),
    ("the open question on tuning", "mlproject tune --category CATEGORY --model MODEL"),
    ("the same with the paper's settings, Table 2's thresholds too", "mlproject preset paper && dvc repro"),
)


def blocks(evidence: Evidence) -> list[str]:
    """Return the section's blocks."""
    commands = [(what, f"`{command}`") for what, command in COMMANDS]
    return [
        "## How each number was made",
        "### Protocols and measures",
        bullets(PROTOCOLS),
        "### Commands",
        table(("what", "command"), commands, words=2),
        "### Trainings",
        table(TRAINING, [_training(training) for training in evidence.trainings.values()], words=2),
        "Times are not here, so that equal results make equal reports: see "
        "`artifacts/<category>/<model>/training/run.json`, or the runs in MLflow.",
        "### Seeds, machine, versions",
        bullets(_surroundings(evidence)),
    ]


TRAINING = (
    "category", "model", "image side, px", "images, train / validation", "epochs, best / reached",
    "ended", "parameters",
)  # fmt: skip


def _training(training: Mapping[str, Any]) -> tuple[str, ...]:
    settings = training["settings"]
    return (
        escape(training["category"]),
        escape(training["model"]),
        escape(settings.get("image_size", "–")),
        f"{training['n_train']} / {training['n_validation']}",
        f"{training['best_epoch']} / {training['epochs']}",
        ("no better validation loss" if training["stopped"] == "early" else "at its limit")
        + ("; has learnt nothing" if training.get("not_learnt_because") else ""),
        f"{training['parameters']:,}",
    )


def _copies(trainings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each category with copies: how many, and those tested and trained on."""
    by_category = {training["category"]: training.get("copies") or {} for training in trainings}
    lines = []
    for category, found in by_category.items():
        if found:
            pairs = copies.trained_and_tested(found).items()
            trained = [f"`{escape(copy)}` of `{escape(original)}`" for copy, original in pairs]
            tested = f". Tested on copies of training images: {joined(trained)}" if trained else ""
            said = f"{copies.counted(found)}; all copies of an image have one role"
            lines.append(f"Copies: {escape(category)}: {said}{tested}")
    return lines


def _surroundings(evidence: Evidence) -> list[str]:
    trainings = list(evidence.trainings.values())

    def values(name: str) -> str:
        return joined(dict.fromkeys(escape(training[name]) for training in trainings))

    versions = dict.fromkeys(
        f"{name} {escape(version)}"
        for training in trainings
        for name, version in training["versions"].items()
    )
    return [
        f"Data: `data.source` is {escape(evidence.source)}; SHA-256 of the prepared images, first digits: "
        + joined(dict.fromkeys(f"{escape(t['category'])} `{t['data_hash'][:12]}`" for t in trainings)),
        f"Seed: {values('seed')}",
        *_copies(trainings),
        f"Device: {values('device')}; precision: {values('precision')}; threads: {values('threads')}"
        f"; processes of a training: {joined(dict.fromkeys(str(t.get('processes', 1)) for t in trainings))}",
        f"Versions: {joined(versions)}",
    ]
