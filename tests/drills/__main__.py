"""Run a drill: python tests/drills NAME [ARGUMENT …]. Prints each try, and how many survived."""

import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = sorted(path.stem for path in HERE.glob("*.py") if path.stem != "__main__")


def main() -> None:
    """Run the drill that the command line names; without a name, list them."""
    sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]
    drills = {name: import_module(f"drills.{name}") for name in NAMES}
    if sys.argv[1:2] == [] or sys.argv[1] not in drills:
        for name, drill in drills.items():
            first_line, _, _ = (drill.__doc__ or "").partition("\n")
            print(f"{name:18} {first_line.removeprefix('Drill: ')}")
        sys.exit(2)
    tried = lost = 0
    for title, wrong in drills[sys.argv[1]].tries(sys.argv[2:]):
        tried += 1
        lost += bool(wrong)
        print(f"{title}: {wrong or 'survived'}", flush=True)
    print(f"tried {tried}, survived {tried - lost}, lost {lost}")
    sys.exit(lost > 0)


if __name__ == "__main__":
    main()
