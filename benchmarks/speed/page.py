"""The table of results as a page of the documents, and as lines of text."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.speed import machine
from benchmarks.speed.measure import NO_PEERS, NOT_MEASURED, PEAK, Group, Result, Row, ratios
from mlproject.core import files

HEAD = ("what", "here", "against", "ratio", "goal", "")
UNMEASURED = ("growth at 100,000 images; patch_kde's set-up at 10,000", "a GPU")
BUSY = 0.2  # cores that other processes take
CAUSES = """\
## What was gained, and what was not

- **Large pages** (`mlproject/__init__.py`): NI-CAE at 256 px and DCGAN at 128 px take hundreds of MB of fresh
  memory each step. Processor time of an epoch 6.6 → 5.0 s and 1.65 → 1.21 s: `python -m benchmarks.speed
  ni_cae dcgan` with `THP_MEM_ALLOC_ENABLE=0` and without.
- **Memory of a training stays** with its process (`mlproject/training/memory.py`): an epoch of NI-CAE at
  256 px takes a fifth less time, of DCGAN and KD-CAE a twentieth (`ni_cae dcgan kd_cae` without and with
  `memory.keep_between_steps()`). It costs memory: `/usr/bin/time -v python benchmarks/profile_training.py
  ni_cae` then says 4.4 GiB at its peak, not 2.7.
- **Training**: convolutions take 58 % of KD-CAE's epoch in float32, 42 % in bfloat16 (copies and sums 13 %
  of each), 58 % of NI-CAE's (copies and sums 19 %): `python benchmarks/profile_training.py kd_cae bfloat16`
  and so on, idle Intel machine, 2026-11-27. The AMD processor computes in bfloat16; the Intel one emulates
  it, and there `precision: auto` is float32.
- **Another processor, other ratios**: the groups of the AMD machine gave on the Intel one KD-CAE's training
  1.52 times Keras and .29 of the matrix product, patch_kde's verdicts 3.2 and 4.8 times PaDiM's, served 2.4
  to 2.2 times (`git show b0cb27a:docs/speed.md`, before descriptors got quicker).
- **Descriptors** of a 256 px photo take a sixth less time, since the zeros of their sampling are left out at
  every size: `python -m timeit -s "import torch; from mlproject.models.components.local_descriptors import
  gradient_descriptors as g; torch.set_num_threads(1); x = torch.rand(1, 3, 256, 256)" "g(x, [(4, 2.0), (8,
  3.0)])"`, at b0cb27a and now.
- **Files to verdicts** include decoding a 256 px PNG on both sides. Of a part patch_kde has kernels for each
  place, of a texture 2,000 for all places, which is less to read for one photo. Many at once it reads the
  kernels of a place once for eight photos, in products that fit a core's cache. KD-CAE blurs its map by a
  matrix product. The threads that score stay for the next photo, and so does the memory
  that a photo took (`mlproject/training/memory.py`). Most of the memory is PyTorch's own, on both sides.
  Until 2026-11-28 all photos were of a texture to patch_kde, and its rows those of a texture, unsaid.
- **JPEG by draft scaling** is quicker, but changes pixels: a file's score would differ from its pixels'. It
  is not done.
- **Other ways to score**: `.peers/bin/python benchmarks/scoring_trials.py` prints what each gains and what it
  does to the AUROC. ONNX Runtime and OpenVINO score KD-CAE more than 1.3 times as fast, with the same AUROC:
  `mlproject export` writes their graph. int8 changes its AUROC by more than .002; torch.compile, channels
  last and bfloat16 (on a processor without it) gain less or lose. patch_kde gains 1.3 times from none; faiss,
  an index at each place, takes twice as long.
- **`dvc repro`** with nothing to do: a fifth of the time DVC reads params.yaml, once for each stage, a fifth
  dvc.yaml and dvc.lock, a sixth it writes a lock file for each stage, a sixth it looks up inputs and outputs
  (`python benchmarks/profile_dvc.py`). Presets do not lie in params.yaml for that reason.
"""
INTRODUCTION = """\
# Speed and memory

<!-- Written by `make bench`: do not edit. -->
Each row compares two ways to do the same thing, measured in turn in one run on all cores, each in a process
of its own. Figures are medians of 5 rounds with minimum and maximum; of 3 where a round takes long, one round
where rate and memory at many images are compared with those at few. On a *busy machine* other processes took
more than a fifth of a core. Accuracy is on [another page](benchmark.md).

<!-- not run: takes minutes; tests/test_speed.py runs each row at a tiny size -->
```console
make bench          # rows that need Keras or anomalib say so
make bench-peers    # installs both in .peers first (1.7 GB)
```
"""


def cells(result: Result, row: Row) -> tuple[str, ...]:
    """Return a row of the table, in the order of HEAD."""
    ours, against = (result.group.sides[key].name for key in (row.ours, row.against))
    found = result.of(row)
    if isinstance(found, str):
        return row.what, ours, against, "", row.goal, found
    low_high = ratios(*found)
    ratio = _shown(low_high[0])
    if row.unit != PEAK and len(found[0]) > 1:
        ratio += f" ({_shown(low_high[1])} to {_shown(low_high[2])})"
    verdict = "" if not row.goal else "met" if row.met(low_high[0]) else "**missed**"
    if result.others > BUSY:
        verdict = f"{verdict}, busy machine".removeprefix(", ")
    return (
        row.what,
        f"{ours}: {_values(found[0], row)}",
        f"{against}: {_values(found[1], row)}",
        ratio,
        row.goal,
        verdict,
    )


def _values(values: Sequence[float], row: Row) -> str:
    middle = f"{_shown(statistics.median(values))} {row.unit}"
    return middle if len(values) == 1 else f"{middle} ({_shown(min(values))} to {_shown(max(values))})"


def _shown(value: float) -> str:
    """Return three digits, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def notes(results: Sequence[Result]) -> list[str]:
    """Return what there is to say of each group, a line each."""
    lines, where = [], machines(results)
    for result in filter(lambda result: result.measured, results):
        said = [f"{result.group.sides[key].name}: {text}" for key, text in result.facts.items() if text]
        said += [result.group.note.removesuffix(".")] if result.group.note else []
        when = f"{result.measured}; other processes took {result.others:.1f} cores"
        if len(where) > 1:
            when = f"Machine {where.index(result.machine) + 1}, {when}"
        lines.append(f"{result.group.name}: {'; '.join(said)}{'. ' if said else ''}{when}")
    return lines


def machines(results: Sequence[Result]) -> list[str]:
    """Return the machines that groups were measured on; both sides of a row are of one run on one machine."""
    return list(dict.fromkeys(result.machine for result in results if result.measured))


def page(results: Sequence[Result]) -> str:
    """Return the whole page."""
    table = [cells(result, row) for result in results for row in result.group.rows]
    met, missed = (sum(row[-1].startswith(verdict) for row in table) for verdict in ("met", "**missed**"))
    parts = [
        INTRODUCTION,
        *(f"Machine {number}: {where}.\n" for number, where in enumerate(machines(results), 1)),
        f"Goals: {met} met, {missed} missed.",
        "",
        f"| {' | '.join(HEAD)} |",
        f"| {' | '.join('---' for _ in HEAD)} |",
        *(f"| {' | '.join(row)} |" for row in table),
        "",
        "## Each group",
        "",
        *(f"- {note}" for note in notes(results)),
        "",
        CAUSES,
        "## Not measured",
        "",
        *(f"- {name}" for name in UNMEASURED),
    ]
    return "\n".join(parts) + "\n"


def failed(results: Sequence[Result]) -> bool:
    """Say whether a side could not be measured though all that it needs is there."""
    return any(reason != NO_PEERS for result in results for reason in result.missing.values())


def kept(groups: Mapping[str, Group]) -> dict[str, Result]:
    """Return the result of every group, measured or not."""
    path = machine.ROOT / machine.WRITTEN[1]
    record: dict[str, Any] = files.read_json(path)["groups"] if path.exists() else {}
    return {
        name: Result(group, **record[name])
        if name in record
        else Result(group, {}, {}, {}, dict.fromkeys(group.sides, NOT_MEASURED))
        for name, group in groups.items()
    }


def keep(results: dict[str, Result], groups: Mapping[str, Group]) -> None:
    """Write results and the page; those of other groups stay, if they were measured."""
    known = {name: result for name, result in kept(groups).items() if result.measured} | results
    record = {
        name: {key: value for key, value in vars(result).items() if key != "group"}
        for name, result in known.items()
    }
    files.write_json(machine.ROOT / machine.WRITTEN[1], {"groups": record})
    files.write_text(machine.ROOT / machine.WRITTEN[0], page(list(kept(groups).values())))
