"""Score of `mutmut run`: what share of the mutants some test fails for, by module; the survivors by name.

python benchmarks/mutation_score.py        writes docs/results/mutation.json
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from mlproject.core import files

MUTANTS = Path("mutants")
RESULTS = Path("docs/results/mutation.json")
EXPLAINED = {  # survivors, by why no test can or need tell them from the original; mutmut's names
    "no other result: an argument's own default, one refused alike, or the type that values have anyway": (
        "split.x__place_26", "split.x__places_2", "split.x__places_4", "metrics.x__checked_4",
        "metrics.x__checked_6", "metrics.x_resampled_auroc_28", "anomaly_maps.x_gradient_difference_47",
        "thresholds.x_threshold_at_false_alarm_rate_20", "thresholds.x_threshold_at_false_alarm_rate_22",
        "anomaly_maps.x_gradient_difference_43",
        "combination.xǁCombinationǁapply_5",
        "combination.xǁCombinationǁapply_7", "combination.xǁCombinationǁleft_out_scores_3",
        "combination.xǁCombinationǁleft_out_scores_5", "gate.x_same_scores_18", "gate.x_above_chance_36",
        "split.x_split_47", "gate.x_learnt_8", "gate.x_lineage_11",
    ),
    "no other result: equal scores have equal ranks, so how a sort orders them is not seen": (
        "metrics.x__outcomes_8", "metrics.x__outcomes_10", "metrics.x__outcomes_12",
        "metrics.x_resampled_auroc_3", "metrics.x_resampled_auroc_5", "metrics.x_resampled_auroc_7",
    ),
    "no other result: another function of the counts that has its largest value at the same threshold": (
        "metrics.x_oracle_threshold_9", "metrics.x_oracle_threshold_16", "metrics.x_oracle_threshold_17",
    ),
    "no other result: both F1 are absent, or neither": ("metrics.x_evaluate_34",),
    "no other result: the last two of four sizes are those from the third on": (
        "anomaly_maps.x_gradient_difference_16",
    ),
    "a place in a role that differs by 2^-52 at most": (
        "split.x__place_39", "split.x__place_44", "split.x__place_45",
    ),
    "seen only on a GPU, on which the tests do not run": (
        "anomaly_maps.x__gradient_magnitude_4", "anomaly_maps.x__gradient_magnitude_7",
        "anomaly_maps.x_gradient_difference_19", "anomaly_maps.x_gradient_difference_21",
        "identity.x_conditions_36",
    ),
    "at a value that is met with no probability: a place, an interval's end or a p-value equal to a limit": (
        "split.x_split_31", "split.x_split_34", "split.x_split_35", "split.x_split_37",
        "gate.x_above_chance_49", "gate.x_above_chance_51", "gate.x_not_worse_32", "gate.x_not_worse_41",
    ),
    "a rounding to 10 digits instead of 9, which hides the same errors of floating point": (
        "thresholds.x_images_for_average_15", "thresholds.x_threshold_at_false_alarm_rate_13",
    ),
}  # fmt: skip
KILLED = {1, 2, 3, 24, 36, 152, 255, -24}  # exit codes of pytest, and of mutmut for one that ran too long


def main() -> None:
    """Write the score, and print it."""
    modules = {path.relative_to(MUTANTS).with_suffix("").as_posix(): _codes(path) for path in _records()}
    rows = {name: _row(codes) for name, codes in sorted(modules.items()) if codes}
    total = sum((Counter({k: row[k] for k in ("mutants", "killed")}) for row in rows.values()), Counter())
    share = total["killed"] / total["mutants"]
    known = {name for names in EXPLAINED.values() for name in names}
    unexplained = sorted({name for row in rows.values() for name in row["survived"]} - known)
    files.write_json(
        RESULTS,
        {
            "killed_share": round(share, 4),
            **total,
            "modules": rows,
            "explained": EXPLAINED,
            "unexplained": unexplained,
        },
    )
    for name, row in rows.items():
        print(f"{name:48} {row['killed']:5} of {row['mutants']:5} killed")
    print(f"{total['killed']} of {total['mutants']} mutants killed: {share:.1%}")
    for name in unexplained:
        print(f"survived, and is not explained here: {name}")


def _records() -> list[Path]:
    return sorted(MUTANTS.rglob("*.py.meta"))


def _codes(path: Path) -> dict[str, int | None]:
    """Return mutant → exit code of the tests that it was tried with."""
    found: dict[str, int | None] = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return found


def _row(codes: dict[str, int | None]) -> dict[str, Any]:
    survived = sorted(_short(name) for name, code in codes.items() if code not in KILLED)
    return {"mutants": len(codes), "killed": len(codes) - len(survived), "survived": survived}


def _short(name: str) -> str:
    """Return module.function_number of mutmut's name of a mutant."""
    return ".".join(name.split(".")[-2:]).replace("__mutmut_", "_")


if __name__ == "__main__":
    main()
