"""How far do a saved model's scores move on a processor with other instructions?

    python benchmarks/other_processors.py bottle,transistor,bracket,weave,bolt

Fits each detector of params.yaml that needs neither labels nor weights from elsewhere, two epochs where it
has epochs, and scores the test images here and in processes that are told to use an older processor's
instructions (x86 alone). Prints the largest difference, in the unit of the gate's check `same scores`. Reads
data/prepared; opens the test set, but no label. Takes a minute a category.
"""

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated
from unittest import mock

import numpy as np
import torch
import typer

from mlproject import models
from mlproject.core import params
from mlproject.data import prepared
from mlproject.models.components.detector import Detector
from mlproject.registry import gate
from mlproject.training.run_options import RunOptions

# what PyTorch, oneDNN and MKL are told to take for the processor's newest instructions
PROCESSORS = {
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
    "SSE": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"},
}


@contextmanager
def process(processor: str) -> Iterator[Executor]:
    """Yield a process that computes as that processor does; each library reads this when it is imported."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with mock.patch.dict(os.environ, PROCESSORS[processor]):
            pool.submit(torch.get_num_threads).result()
        yield pool


def scores(folder: Path, images: np.ndarray) -> np.ndarray:
    """Return what the saved detector makes of (n, s, s, 3) images."""
    return models.load(folder).score(images).scores


def main(categories: Annotated[str, typer.Argument(help="Names with commas between.")]) -> None:
    """Print a row for each category and model."""
    print(f"| category | model | {' | '.join(PROCESSORS)} |\n| --- | --- |{' --- |' * len(PROCESSORS)}")
    with ExitStack() as stack:
        others = [stack.enter_context(process(name)) for name in PROCESSORS]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for category in categories.split(","):
            data = prepared.load(category)
            test = data.images[data.rows(split="test")]
            for detector in fitted(data):
                place = folder / category / detector.name
                detector.save(place)
                here = detector.score(test).scores
                found = [other.submit(scores, place, test).result() for other in others]
                moved = [f"{gate.largest_difference(here, again):.1e}" for again in found]
                print(f"| {category} | {detector.name} | {' | '.join(moved)} |", flush=True)
    print(f"\nAllowed: {params.load('promote', params.Promote).tolerance:g} (promote.tolerance)")


def fitted(data: prepared.Prepared) -> Iterator[Detector]:
    """Yield the detectors, calibrated."""
    roles = data.roles(params.load("split", params.Split), params.seed())
    train, validation = data.images[roles.train], data.images[roles.validation]
    for name, given in params.value("models").items():
        brief = {key: 2 for key in ("epochs", "patience") if key in given}
        detector = models.create(name, given | brief)
        if detector.supervised or "weights" in given:
            continue
        detector.fit(train, validation, RunOptions(seed=0))
        detector.calibrate(validation)
        yield detector


if __name__ == "__main__":
    typer.run(main)
