"""At what scales should the fine grid of patch_kde take gradients?

    python -m benchmarks.gradient_scales bottle,transistor,bracket,weave,bolt

The coarse grid's stay those of params.yaml's patch_kde, and so do all other settings. Protocol clean; means
over three seeds, which say how good images are divided. Reads data/prepared; opens the test set. Takes two
minutes a category.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.learnt_descriptors import measured
from mlproject import models
from mlproject.core import params
from mlproject.data import prepared
from mlproject.models import patch_kde
from mlproject.training.run_options import RunOptions

SEEDS = (0, 1, 2)
SCALES = ((1.0, 2.0, 4.0), (0.6, 1.0, 2.0, 4.0), (0.6, 1.0, 2.0), (0.6, 1.0))  # Gaussian sigmas, pixels


def main(categories: Annotated[str, typer.Argument(help="Names with commas between.")]) -> None:
    """Print a line for each category and choice of scales."""
    settings = params.value("models.patch_kde")
    print("| category | scales, pixels | AUROC | F1 | pixel AUROC | AUPRO |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    torch.set_num_threads(1)
    for category in categories.split(","):
        data = prepared.load(category)
        for scales in SCALES:
            length = len(scales) * 9 + 2  # all values: see `gradient_descriptors`
            patch_kde.FINE = replace(patch_kde.FINE, scales=scales, length=length)
            found = []
            for seed in SEEDS:
                roles = data.roles(params.load("split", params.Split), seed)
                detector = models.create("patch_kde", settings)
                detector.fit(data.images[roles.train], data.images[roles.validation], RunOptions(seed=seed))
                found.append([float(value) for value in measured(detector, data, roles)])
            cells = " | ".join(f"{value:.3f}" for value in np.mean(found, axis=0))
            print(f"| {category} | {', '.join(f'{scale:g}' for scale in scales)} | {cells} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
