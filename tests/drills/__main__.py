"""Run a drill: python tests/drills NAME [ARGUMENT …]. Prints each try, and how many survived."""

import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = sorted(path.stem for path in HERE.glob("*.py") if path.stem != "__main__")


def main() -> None:
    """Run the drill that the command line names; without a name, list them."""
    sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]
    if sys.argv[1:2] == [] or sys.argv[1] not in NAMES:
        for name in NAMES:
            first_line = (HERE / f"{name}.py").read_text(encoding="utf-8").partition("\n")[0]
            print(f"{name:18}", first_line.removeprefix('"""Drill: '))
        sys.exit(2)
    drill = import_module(f"drills.{sys.argv[1]}")
    tried = lost = 0
    for title, wrong in drill.tries(sys.argv[2:]):
        tried += 1
        lost += bool(wrong)
        print(f"{title}: {wrong or 'survived'}", flush=True)
    print(f"tried {tried}, survived {tried - lost}, lost {lost}")
    sys.exit(lost > 0)


if __name__ == "__main__":
    main()
