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
KILLED = {1, 2, 3, 24, 36, 152, 255, -24}  # exit codes of pytest, and of mutmut for one that ran too long


def main() -> None:
    """Write the score, and print it."""
    modules = {path.relative_to(MUTANTS).with_suffix("").as_posix(): _codes(path) for path in _records()}
    rows = {name: _row(codes) for name, codes in sorted(modules.items()) if codes}
    total = sum((Counter({k: row[k] for k in ("mutants", "killed")}) for row in rows.values()), Counter())
    share = total["killed"] / total["mutants"]
    files.write_json(RESULTS, {"killed_share": round(share, 4), **total, "modules": rows})
    for name, row in rows.items():
        print(f"{name:48} {row['killed']:5} of {row['mutants']:5} killed")
    print(f"{total['killed']} of {total['mutants']} mutants killed: {share:.1%}")


def _records() -> list[Path]:
    return sorted(MUTANTS.rglob("*.py.meta"))


def _codes(path: Path) -> dict[str, int | None]:
    """Return mutant → exit code of the tests that it was tried with."""
    found: dict[str, int | None] = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return found


def _row(codes: dict[str, int | None]) -> dict[str, Any]:
    survived = sorted(name.rsplit(".", 1)[1] for name, code in codes.items() if code not in KILLED)
    return {"mutants": len(codes), "killed": len(codes) - len(survived), "survived": survived}


if __name__ == "__main__":
    main()
