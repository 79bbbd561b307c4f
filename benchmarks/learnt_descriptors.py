"""Does learning add anything to patch_kde's hand-made descriptors?

    python benchmarks/learnt_descriptors.py bottle,transistor

The encoders of KD-CAE and NI-CAE, trained on the category's good images with the settings of params.yaml, and
the same encoder untrained, describe each place by their feature maps after the first two halvings; a density
stands at each place as in patch_kde. Seed 0, protocol clean. Reads data/prepared; opens the test set.
"""

from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
import typer
from torch import nn

from mlproject import models
from mlproject.core import params
from mlproject.data import prepared
from mlproject.data.split import Roles
from mlproject.data.tensors import grey
from mlproject.evaluation import metrics, pixel_metrics, thresholds
from mlproject.models.components import map_size
from mlproject.models.components.autoencoder import Autoencoder
from mlproject.models.components.descriptor_grid import Grid
from mlproject.models.components.detector import Detector
from mlproject.models.components.patch_detector import PatchDetector, PatchParameters
from mlproject.training.run_options import RunOptions

SEED = 0
DEPTH = 2  # feature maps
LENGTH = 96  # of the whitened values
REACH = 1.5  # cells


class EncoderPatches(PatchDetector):
    """A density at each place of an autoencoder's first feature maps."""

    Parameters = PatchParameters
    multiple = 32

    def __init__(self, settings: PatchParameters, trained: Autoencoder) -> None:
        super().__init__(settings)
        self.encoder, self.of = trained.encoder.eval(), trained.settings

    def chosen_grids(self, *, texture: bool) -> tuple[Grid, ...]:
        size = self.settings.image_size
        rows = self.describe(torch.zeros(1, 3, size, size))[0].shape[1]
        return (Grid(cell=size // rows, pooling=0, rings=(), length=LENGTH, reach=REACH),)

    @torch.no_grad()
    def describe(self, crops: torch.Tensor) -> list[torch.Tensor]:
        scale = self.of.image_size / self.settings.image_size
        maps = F.interpolate(crops, scale_factor=scale, mode="bilinear", antialias=True)
        if self.of.colour != "rgb":
            luminance = grey(maps)[:, None]
            maps = luminance.expand(-1, 3 if self.of.colour == "grey3" else 1, -1, -1)
        found = []
        for layer in self.encoder.children():
            maps = layer(maps)
            if isinstance(layer, nn.MaxPool2d):
                found.append(maps)
        first, *others = found[:DEPTH]
        others = [F.interpolate(one, first.shape[-2:], mode="bilinear") for one in others]
        return [torch.cat([first, *others], dim=1).permute(0, 2, 3, 1).contiguous()]


def main(categories: Annotated[str, typer.Argument(help="Names with commas between.")]) -> None:
    """Print a line for each category and kind of descriptors."""
    print(
        "| category | descriptors | AUROC | F1 | pixel AUROC | AUPRO |\n| --- | --- | --- | --- | --- | --- |"
    )
    tree = params.load_file()
    own = tree["models"]["patch_kde"]
    settings = PatchParameters(**{name: own[name] for name in PatchParameters.model_fields})
    torch.set_num_threads(1)
    for category in categories.split(","):
        data = prepared.load(category)
        roles = data.roles(params.load("split", params.Split), SEED)
        train, validation = data.images[roles.train], data.images[roles.validation]
        detectors: dict[str, Detector] = {"hand-made (patch_kde)": models.create("patch_kde", own)}
        for name in ("kd_cae", "ni_cae"):
            torch.manual_seed(SEED)
            for title in (f"{name}'s encoder, untrained", f"{name}'s encoder"):
                network = models.create(name, tree["models"][name])
                assert isinstance(network, Autoencoder)
                if "untrained" not in title:
                    network.fit(train, validation, RunOptions(seed=SEED))
                detectors[title] = EncoderPatches(settings, network)
        for title, detector in detectors.items():
            detector.fit(train, validation, RunOptions(seed=SEED))
            print(f"| {category} | {title} |", " | ".join(measured(detector, data, roles)), "|", flush=True)


def measured(detector: Detector, data: prepared.Prepared, roles: Roles) -> list[str]:
    """Return AUROC, F1, pixel AUROC and AUPRO of the test images."""
    detector.calibrate(data.images[roles.validation])
    originals = data.originals(roles.train)
    good = thresholds.good_images(detector, roles, originals, lambda rows: data.images[rows])
    rate = params.load("threshold", params.Threshold).false_alarm_rate
    threshold = thresholds.calibrate(detector.threshold_scores(good.parts), rate, strict=False).value
    rows = data.rows(split="test")
    labels, scored = data.manifest["label"].to_numpy()[rows], detector.score(data.images[rows])
    of_images = (
        metrics.auroc(labels, scored.scores),
        metrics.classification(labels, scored.scores, threshold)["f1"],
    )
    maps = map_size.at_prepared_size(scored.maps, data.image_size)
    of_pixels = pixel_metrics.pixel_auroc(data.masks, maps), pixel_metrics.aupro(data.masks, maps)
    return [f"{np.float64(value):.3f}" for value in (*of_images, *of_pixels)]


if __name__ == "__main__":
    typer.run(main)
