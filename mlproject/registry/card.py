"""Files that travel with a registered model: its card, its worst mistakes, and its recorded scores."""

from pathlib import Path
from typing import Any

from mlproject.core.tables import read_table, write_table
from mlproject.evaluation import intervals, metrics
from mlproject.registry.recorded_scores import RECORDED, recorded_scores
from mlproject.tracking.detector_facts import DetectorFacts

MISTAKES = "mistakes.png"
BOOTSTRAP = 1000
NAMED = 5  # added or removed images


def write(dataset: str, facts: DetectorFacts, folder: Path) -> dict[str, str]:
    """Write the files into `folder`; return what MLflow's pyfunc calls them and where they lie."""
    card, recorded = folder / "README.md", folder / RECORDED
    card.write_text(model_card(dataset, facts), encoding="utf-8")
    write_table(recorded, recorded_scores(facts))
    found = {"card": str(card), "recorded": str(recorded)}
    if mistakes := facts.files.get(f"report/figures/{MISTAKES}"):
        found["mistakes"] = str(mistakes)
    return found


def model_card(dataset: str, facts: DetectorFacts, *, in_registry: bool = False) -> str:
    """Return the model's card, for somebody who has only the model, as Markdown.

    Args:
        in_registry: for the registry's pages, which show no files next to the text.
    """
    run, m = facts.training, facts.metrics
    shortcut = f"{facts.shortcuts['strongest']}: {_three(facts.shortcuts['strongest_auroc'])}"
    flag = ", flagged: it nearly decides alone" if facts.shortcuts["flagged"] else ""
    epochs = f", {run['epochs']} epochs, the best was {run['best_epoch']}" if run["epochs"] > 1 else ""
    processes = f", {run['processes']} processes" if run.get("processes", 1) > 1 else ""
    lines = [
        f"# {run['model']} for {run['category']} ({dataset})",
        "",
        "Decides whether the part in a photo is defective: it is if score > "
        f"{facts.threshold['threshold']:.6g}.",
        "",
        *_not_learnt(facts.not_learnt_because),
        f"- Trained on {run['n_train']} good images, {run['n_validation']} more "
        f"{'chose the epoch' if run['epochs'] > 1 else 'were held out'} (data `{run['data_hash']}`).",
        *_extends(run),
        *_outside_weights(facts.outside_weights),
        *_labelled(run),
        *_tuned(m),
        f"- Threshold: from {m['n_calibration']} good images{_with_training_images(facts)}, "
        f"for a false-alarm rate of {m['false_alarm_rate_supported']:.3g} "
        f"(asked: {m['false_alarm_rate_asked']:.3g}{_confidence(m)}).",
        f"- Tested on {m['n_good']} good and {m['n_defective']} defective images. Brackets: 95% intervals.",
        f"- AUROC {_three(m['auroc'])} [{_three(m['auroc_low'])}, {_three(m['auroc_high'])}]; "
        f"the strongest shortcut, {shortcut}{flag}.",
        *_decisions(facts),
        f"- Seed {run['seed']}, {run['device']}, {run['precision']}{processes}{epochs}.",
        "",
        *_mistakes(facts, in_registry),
        "In: a column `image` with file bytes, base64 text, or arrays of any size. Out: `score`,",
        "`threshold`, `defective`; with the parameter `maps=true` also `anomaly_map` and `reconstruction`.",
        "It knows this category alone, photographed as its training images were; any photo gets a score.",
    ]
    return "\n".join(lines) + "\n"


def _not_learnt(why: str | None) -> list[str]:
    """Return the line about a model that has learnt nothing."""
    return [f"- **It has learnt nothing**: {why}. Do not use it."] if why else []


def _with_training_images(facts: DetectorFacts) -> str:
    """Return what to say of the threshold's images where its training images are among them."""
    subsets = read_table(facts.files["scores/scores.csv"])["subset"]
    if facts.metrics["n_calibration"] <= int(subsets.isin(("validation", "calibration")).sum()):
        return ""
    return " (its training images included, each scored as if it were new)"


def _extends(run: dict[str, Any]) -> list[str]:
    """Return the line about the version that was extended."""
    if "extends" not in run:
        return []
    step = run["extends"]
    changed = {
        said: [image["path"] for image in step[key]]
        for key, said in (("added", "added"), ("removed", "taken out"))
    }
    counts = " and ".join(f"{len(paths)} {said}" for said, paths in changed.items())
    named = "; ".join(
        f"{said}: {', '.join(paths[:NAMED])}{' …' if paths[NAMED:] else ''}"
        for said, paths in changed.items()
        if paths
    )
    return [
        f"- It is version {step['parent']} with {counts} of the good images that were trained on ({named}). "
        "`extension.json` names each, with its sha256. How images are described is as it was there."
    ]


def _outside_weights(known: dict[str, Any]) -> list[str]:
    """Return the line about weights that were learnt elsewhere."""
    if not known:
        return []
    return [
        f"- It uses {known['trained_on']} weights: {known['backbone']}, layers {known['layers']}, "
        f"{known['megabytes']:.1f} MB, licence {known['licence']}, file with sha256 `{known['sha256']}`."
    ]


def _labelled(run: dict[str, Any]) -> list[str]:
    """Return the line about the labelled images that a supervised model learnt from as well."""
    if "n_labelled_defective" not in run:
        return []
    counts = f"{run['n_labelled_good']} good and {run['n_labelled_defective']} defective images"
    return [f"- It also learnt from {counts} of the test set; all figures are of the others."]


def _confidence(metrics: dict[str, Any]) -> str:
    """Return with which confidence the false-alarm rate was asked for; nothing if on average."""
    confidence = metrics.get("confidence")
    return "" if confidence is None else f", with a confidence of {confidence:g}"


def _tuned(metrics: dict[str, Any]) -> list[str]:
    """Return the line about labels that chose the settings."""
    if not metrics.get("tuned_on_labels"):
        return []
    return [
        "- Its settings were chosen by the labels of half of the test set "
        f"({metrics['n_labelled_defective']} defective images); all figures are of the other half."
    ]


def _decisions(facts: DetectorFacts) -> list[str]:
    """Return the lines about decisions at the threshold: F1, recall and false alarms with intervals."""
    m, clean = facts.metrics, facts.metrics["clean"]
    test = read_table(facts.files["scores/scores.csv"]).query("subset == 'test'")
    labels = test["label"].to_numpy()
    f1 = ""
    if labels.any():
        called = test["score"].to_numpy() > facts.threshold["threshold"]
        f1 = _bracket(intervals.f1_interval(labels, called, BOOTSTRAP, metrics.BOOTSTRAP_SEED))
    return [
        f"- F1 {_three(clean['f1'])}{f1} (calling everything defective: {_three(m['all_defective_f1'])}).",
        f"- Recall {_share(clean['recall'], m['n_defective'])}, "
        f"false alarms {_share(clean['false_alarm_rate'], m['n_good'])}.",
    ]


def _mistakes(facts: DetectorFacts, in_registry: bool) -> list[str]:
    if f"report/figures/{MISTAKES}" not in facts.files:
        return []
    if in_registry:
        return [f"Its worst mistakes: `report/figures/{MISTAKES}` of its run, and next to this card.", ""]
    return [f"![Its worst mistakes and its clearest decisions on test images]({MISTAKES})", ""]


def _share(share: float | None, n: int) -> str:
    return _three(share) + (
        _bracket(intervals.share_interval(round(share * n), n)) if share is not None else ""
    )


def _bracket(interval: intervals.Interval) -> str:
    return f" [{_three(interval.low)}, {_three(interval.high)}]"


def _three(value: Any) -> str:
    return "not measured" if value is None else f"{value:.3f}"
