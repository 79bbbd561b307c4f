"""Measure all rows, or those of the groups that are named, and write docs/speed.md: the other rows stay.

python -m benchmarks.speed                # as `make bench`
python -m benchmarks.speed kd_cae dvc     # these groups
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.speed import (
    commands,
    decoding,
    density,
    growth,
    measure,
    page,
    scoring,
    serving,
    tracked,
    training,
)
from benchmarks.speed.measure import Group

MODULES = (training, density, scoring, serving, decoding, commands, tracked, growth)


def all_groups(tiny: bool = False) -> dict[str, Group]:
    """Return every group by its name."""
    return {group.name: group for module in MODULES for group in module.groups(tiny)}


def main() -> None:
    """Measure; print each group's rows and write the page after each; exit code 1 where a side failed."""
    groups = all_groups()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(groups)}; by default all", metavar="GROUP")
    asked = parser.parse_args().groups or list(groups)
    if unknown := set(asked) - groups.keys():
        parser.error(f"no group {', '.join(unknown)}; there are {', '.join(groups)}")
    results: dict[str, measure.Result] = {}
    for name in asked:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            results[name] = measure.run(groups[name], Path(scratch))
        for row in groups[name].rows:
            print(" | ".join(page.cells(results[name], row)), flush=True)
        print(f"  {name}: {time.perf_counter() - started:.0f} s", flush=True)
        page.keep(results, groups)
    sys.exit(page.failed(list(results.values())))


if __name__ == "__main__":
    main()
