"""Record what a finished `make run` found in docs/results/sample.json, and README.md's table from it.

Usage, on the defaults and a clean tree: make run && .venv/bin/python benchmarks/record_results.py
tests/docs/test_results.py holds README.md to the record, and the record to params.yaml.
"""

import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlproject.core import artifacts, files, params
from mlproject.reports.comparison_columns import DECISIONS, NAMES, RANKING, Row, notes

RECORD = Path("docs/results/sample.json")
README = Path("README.md")
BEGIN, END = "<!-- figures: from reports/comparison.md after `make run` -->\n", "<!-- figures: end"
COLUMNS = NAMES | {
    "AUROC [95%]": RANKING["AUROC [95%]"],
    "strongest shortcut": RANKING["strongest shortcut"],
    "F1": lambda row: DECISIONS["F1"](row) + (" (1)" if "F1" in notes(row) else ""),
    "F1 all defective": DECISIONS["F1 all defective"],
    "false alarms asked / seen": DECISIONS["false alarms asked / seen"],
}
DECISIVE = ("data", "categories", "detectors", "seed", "prepare", "split", "training", "tuned", "threshold")


def settings(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the part of params.yaml that decides the figures."""
    used = {name: tree["models"][name] for name in tree["detectors"]}
    return {name: tree[name] for name in (*DECISIVE, "evaluate")} | {"models": used}


def table(rows: Iterable[Row]) -> str:
    """Return README's table."""
    lines = [list(COLUMNS), ["---"] * len(COLUMNS)]
    lines += [[show(row) for show in COLUMNS.values()] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def shown(text: str) -> str:
    """Return the table that README.md has between its marks."""
    return text.partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    """Write the record and the table."""
    rows, tree = files.read_json(Path("reports/comparison.json")), params.load_file()
    trainings = [files.read_json(artifacts.training_report(row["category"], row["model"])) for row in rows]
    command = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)  # noqa: S603
    record = {
        "made_by": "make run",
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
        "threads": sorted({training["threads"] for training in trainings}),
        "versions": trainings[0]["versions"],
        "data_hashes": {training["category"]: training["data_hash"] for training in trainings},
        "settings": settings(tree),
        "rows": rows,
    }
    files.write_json(RECORD, record)
    text = README.read_text(encoding="utf-8")
    files.write_text(README, text.replace(shown(text), table(rows)))


if __name__ == "__main__":
    main()
