"""Columns of the comparison, and the notes on its rows."""

from collections.abc import Callable, Mapping
from typing import Any

from mlproject.core.wording import at_least

Row = Mapping[str, Any]
BASELINE = "pca"  # what an autoencoder must beat
DIFFERENCE = f"AUROC minus {BASELINE} [95%]"
NAMED = 3  # images that are listed by name
HOLM = "with Holm's correction over all pairs of models of the category (family-wise error 5%)"


def number(value: float | None) -> str:
    """Write a share or an area with two decimals; `-` where there is none (no masks, no rule)."""
    return "-" if value is None else f"{round(value, 2) + 0.0:.2f}"


def auroc(row: Row) -> str:
    """Write an AUROC with its bootstrap interval."""
    return f"{number(row['auroc'])} [{number(row['auroc_low'])}, {number(row['auroc_high'])}]"


def difference(gap: Row | None) -> str:
    """Write a difference of two AUROCs with its interval; `-` where there is none."""
    if gap is None:
        return "-"
    value, low, high = (f"{round(gap[name], 2) + 0.0:+.2f}" for name in ("difference", "low", "high"))
    return f"{value} [{low}, {high}]"


def _shortcut(row: Row) -> str:
    return f"{number(row['shortcuts']['strongest_auroc'])} {row['shortcuts']['strongest']}"


def _false_alarms(row: Row) -> str:
    return f"{number(row['false_alarm_rate_asked'])} / {number(row['clean']['false_alarm_rate'])}"


def _paper_f1(row: Row) -> str:
    return number(row["paper"]["f1"] if row["paper"] else None)


def _pixel_level(row: Row, name: str) -> str:
    if row[name] is None:
        return "-"
    return f"{number(row[name])} [{number(row[f'{name}_low'])}, {number(row[f'{name}_high'])}]"


def _found(half: Row) -> str:
    return f"{half['found']} / {half['n']}" if half["n"] else "-"


def smallest_found(row: Row) -> float | None:
    """Return the area of the smallest defect that was found, as a share of the image."""
    sizes = [kind["smallest_found_area"] for kind in row["defects"]["types"]]
    return min((size for size in sizes if size is not None), default=None)


def area(share: float | None) -> str:
    """Write a share of the image as a percentage; `-` where there is none."""
    return "-" if share is None else f"{share:.2%}"


Columns = dict[str, Callable[[Row], str]]
NAMES: Columns = {"category": lambda row: row["category"], "model": lambda row: row["model"]}
RANKING: Columns = NAMES | {
    "good / defective": lambda row: f"{row['n_good']} / {row['n_defective']}",
    "AUROC [95%]": auroc,
    DIFFERENCE: lambda row: difference(row["differences"].get(BASELINE)),
    "strongest shortcut": _shortcut,
    "AUROC brightness matched": lambda row: number(row["brightness_matched_auroc"]),
    "AP": lambda row: number(row["average_precision"]),
}
LOCALISATION: Columns = NAMES | {
    "pixel AUROC [95%]": lambda row: _pixel_level(row, "pixel_auroc"),
    "AUPRO [95%]": lambda row: _pixel_level(row, "aupro"),
    "smaller half of defects found": lambda row: _found(row["defects"]["smaller_half"]),
    "larger half of defects found": lambda row: _found(row["defects"]["larger_half"]),
    "smallest found, area": lambda row: area(smallest_found(row)),
}
DECISIONS: Columns = NAMES | {
    "F1": lambda row: number(row["clean"]["f1"]),
    "F1 all defective": lambda row: number(row["all_defective_f1"]),
    "F1 paper": _paper_f1,
    "F1 oracle": lambda row: number(row["oracle"]["f1"]),
    "optimism": lambda row: number(row["threshold_optimism"]),
    "recall": lambda row: number(row["clean"]["recall"]),
    "precision": lambda row: number(row["clean"]["precision"]),
    "balanced accuracy": lambda row: number(row["clean"]["balanced_accuracy"]),
    "false alarms asked / seen": _false_alarms,
}

HELD_OUT: Columns = NAMES | {
    "labelled defects used": lambda row: str(row["n_labelled_defective"]),
    "good / defective": lambda row: f"{row['held_out']['n_good']} / {row['held_out']['n_defective']}",
    "AUROC [95%]": lambda row: auroc(row["held_out"]),
    DIFFERENCE: lambda row: difference(row["held_out"]["differences"].get(BASELINE)),
    "AP": lambda row: number(row["held_out"]["average_precision"]),
    "F1": lambda row: number(row["held_out"]["clean"]["f1"]),
    "F1 all defective": lambda row: number(row["held_out"]["all_defective_f1"]),
    "F1 oracle": lambda row: number(row["held_out"]["oracle"]["f1"]),
    "recall": lambda row: number(row["held_out"]["clean"]["recall"]),
    "false alarms asked / seen": lambda row: _false_alarms(row | row["held_out"]),
}


def sees_labels(row: Row) -> bool:
    """Return whether a model was trained or tuned on half of the test images; the other half evaluates it."""
    return bool(row["supervised"] or row["tuned_on_labels"])


def not_learnt(row: Row) -> str | None:
    """Return why a model has learnt nothing; None if it has."""
    why: str | None = row.get("not_learnt_because")  # rows of older releases lack it
    return why


def outside_weights(row: Row) -> str:
    """Return whose weights a model uses that were not learnt here, in words; nothing of any other."""
    weights = row.get("outside_weights")  # rows of older releases lack it
    return f"uses {weights['trained_on']} weights" if weights else ""


def _model_notes(row: Row) -> list[str]:
    """Return what must be known of the model before any of its numbers is read."""
    found = []
    if why := not_learnt(row):
        found.append(f"{row['category']}, {row['model']} has learnt nothing: {why}. It cannot be a winner.")
    if words := outside_weights(row):
        found.append(f"{words[0].upper()}{words[1:]}: they were learnt from other images, with labels.")
    if row["supervised"]:
        found.append(
            "Supervised: trained on one half of the test images, evaluated on the other, held-out half only. "
            "The last table shows every model on that half."
        )
    if row["tuned_on_labels"]:
        found.append(
            "Tuned on labels: its settings were chosen on one half of the test images, with their labels; it "
            "is evaluated on the other, held-out half only. The last table shows every model on that half."
        )
    return found


def _false_alarm_note(row: Row) -> str | None:
    """Return what the rate asked for means, where it is not a supported average."""
    confidence = row.get("confidence")  # None: on average; rows of older releases lack it
    if not row["supported"]:
        bound = "" if confidence is None else f" with a confidence of {confidence:g}"
        return (
            f"{row['n_calibration']} calibration images support a rate of "
            f"{at_least(row['false_alarm_rate_supported'])} at best{bound}: the threshold is their largest "
            "score."
        )
    if confidence is None:
        return None
    return f"Asked with a confidence of {confidence:g} that the rate is not exceeded, rather than on average."


def _difference_note(gap: Row | None) -> str | None:
    """Return whether a paired difference to the baseline is shown; None if its interval contains 0."""
    if gap is None or gap["low"] <= 0 <= gap["high"]:
        return None
    if gap["shown"] != "unclear":
        return f"Shown to be {'better' if gap['shown'] == 'above' else 'worse'} than {BASELINE}, {HOLM}."
    return f"The interval excludes 0, but the difference to {BASELINE} is not significant {HOLM}."


def notes(row: Row) -> dict[str, str]:
    """Return the notes on a row, by the column that each qualifies."""
    said: dict[str, str] = {}
    if found := _model_notes(row):
        said["model"] = " ".join(found)
    if copied := row.get("copies_of_training_images"):  # rows of older releases lack it
        first = ", ".join(copied[:NAMED]) + (", …" if len(copied) > NAMED else "")
        said["good / defective"] = (
            f"{row['category']}: of the test images, {len(copied)} are copies of training images ({first}). "
            "They count here, and may look easier than new images."
        )
    if row["auroc_low"] <= 0.5 <= row["auroc_high"]:
        said["AUROC [95%]"] = "The interval contains 0.50: not shown to be above chance."
    elif row["auroc_high"] < 0.5:
        said["AUROC [95%]"] = "Below chance: good images score higher than defective ones."
    if note := _difference_note(row["differences"].get(BASELINE)):
        said[DIFFERENCE] = note
    if row["shortcuts"]["flagged"]:
        said["strongest shortcut"] = (
            f"{row['category']}: {row['shortcuts']['strongest']} alone tells good from defective. A model "
            "may detect this rather than any defect; rely on the AUROC with brightness matched."
        )
    if row["clean"]["f1"] <= row["all_defective_f1"]:
        said["F1"] = "Not better than calling everything defective."
    if row["paper"] and row["paper"]["sees_test_labels"]:
        said["F1 paper"] = "Not a result: the threshold was chosen on the test labels, as in the paper."
    if note := _false_alarm_note(row):
        said["false alarms asked / seen"] = note
    return said
