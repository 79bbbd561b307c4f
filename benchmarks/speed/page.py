"""The table of results as a page of the documents, and as lines of text."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.speed import machine
from benchmarks.speed.measure import NO_PEERS, NOT_MEASURED, PEAK, Group, Result, Row, ratios
from mlproject.core import files

HEAD = ("what", "here", "against", "ratio", "goal", "")
UNMEASURED = ("patch_kde's set-up at 100,000 images", "a GPU")
BUSY = 0.2  # cores that other processes take
CAUSES = """\
## What was gained, and what was not

- **Large pages** (`mlproject/__init__.py`): NI-CAE at 256 px and DCGAN at 128 px take hundreds of MB of fresh
  memory each step. Processor time of an epoch 6.6 → 5.0 s and 1.65 → 1.21 s: `python -m benchmarks.speed
  ni_cae dcgan` with `THP_MEM_ALLOC_ENABLE=0` and without.
- **Freed memory is kept** by the training's process for the next step (`mlproject/training/memory.py`): an
  epoch of NI-CAE at 256 px takes a fifth less time, one of DCGAN and KD-CAE a twentieth less (`ni_cae dcgan
  kd_cae` without and with `memory.keep_between_steps()`). The price is memory: the peak is 4.4 GiB instead of
  2.7 (`/usr/bin/time -v python benchmarks/profile_training.py ni_cae`).
- **Training**: convolutions take 58 % of KD-CAE's epoch in float32, 42 % in bfloat16 (copies and sums 13 %
  of each), 58 % of NI-CAE's (copies and sums 19 %): `python benchmarks/profile_training.py kd_cae bfloat16`
  and so on, idle Intel machine, 2026-11-27. The AMD processor computes in bfloat16; the Intel one emulates
  it, and there `precision: auto` is float32.
- **Another processor has other ratios.** On an Intel one at 2.8 GHz, KD-CAE's training was 1.52 times as fast
  as Keras and reached .29 of the matrix product, patch_kde's verdicts were 3.2 and 4.8 times as fast as
  PaDiM's, and 2.4 to 2.2 times when served (`git show b0cb27a:docs/speed.md`, before descriptors got
  quicker). NI-CAE's training was .99 times as fast as Keras, DCGAN's 1.21 times as plain PyTorch, the density
  57 and 71 times as scikit-learn's (`git show f703687:docs/speed.md`). That processor emulates bfloat16,
  which is slower.
- **Descriptors** of a 256 px photo take a sixth less time, because the zeros of their sampling are left out
  at every size: `python -m timeit -s "import torch; from mlproject.models.components.local_descriptors import
  gradient_descriptors as g; torch.set_num_threads(1); x = torch.rand(1, 3, 256, 256)" "g(x, [(4, 2.0), (8,
  3.0)])"`, at b0cb27a and 4400104.
- **Files to verdicts** include decoding a 256 px PNG on both sides. For a part, patch_kde has kernels of its
  own at each place; for a texture it has 2,000 that all places share, which is less to read for one photo.
  With many photos at once it reads the kernels of a place once for eight photos, in products that fit a
  core's cache. KD-CAE blurs its map by a matrix product. The threads that score stay for the next photo, and
  so does the memory that a photo took (`mlproject/training/memory.py`). Most of the memory is PyTorch's own,
  on both sides. Until 2026-11-28 patch_kde took all photos of this benchmark for a texture, so its rows were
  those of a texture, and this page did not say so.
- **JPEG by draft scaling** is not used: it is quicker, but changes pixels, so the score of a JPEG file would
  differ from that of the same image given as an array.
- **Other ways to score**: `.peers/bin/python benchmarks/scoring_trials.py` prints what each gains and what it
  does to the AUROC. ONNX Runtime and OpenVINO score KD-CAE more than 1.3 times as fast, with the same AUROC:
  `mlproject export` writes their graph. int8 changes its AUROC by more than .002; torch.compile, channels
  last and bfloat16 (on a processor without it) gain less or lose. patch_kde gains 1.3 times from none; faiss,
  an index at each place, takes twice as long.
- **`dvc repro`** with nothing to do spends a fifth of its time on reading params.yaml, once for each stage, a
  fifth on reading dvc.yaml and dvc.lock, a sixth on writing a lock file for each stage, and a sixth on
  looking up inputs and outputs (`python benchmarks/profile_dvc.py`). That is why presets are not kept in
  params.yaml.
"""
INTRODUCTION = """\
# Speed and memory

<!-- Written by `make bench`: do not edit. -->
How fast this project is and how much memory it takes, next to what one would use instead. Accuracy is on
[another page](benchmark.md).

Each row compares two ways to do the same thing, measured in turn in one run on all cores, each in a process
of its own. *Here* is this project, *against* is the alternative. *Ratio* is here divided by against: the
median of the rounds' ratios, not the ratio of the two medians. *Goal* is what the ratio was meant to reach.
Figures are medians of 5 rounds, with minimum and maximum in brackets; of 3 rounds where one takes long. The
rows at 1,000 images and more have a single round, and compare this project with itself at 100 images. On a
*busy machine* other processes took more than a fifth of a core.

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
    known = machines(results)
    parts = [
        INTRODUCTION,
        *(
            f"Machine{f' {number}' if len(known) > 1 else ''}: {where}.\n"
            for number, where in enumerate(known, 1)
        ),
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
