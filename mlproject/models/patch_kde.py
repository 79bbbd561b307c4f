"""patch_kde: kernel density of local descriptors at each position; untrained, it sees small defects.

The paper's kernel density (3.5.1) is on one code an image. Here there are two grids of hand-made descriptors,
each with a density at every cell: a fine one for small defects, and a coarse one that sees each cell among
its surroundings, for parts that are bent, missing or misplaced; in a texture, its pattern. The nearest
relative is PatchCore (Roth et al. 2022): one memory for all positions, of a pretrained network's features.
"""

from typing import ClassVar

import torch

from mlproject.models.components.descriptor_grid import Grid
from mlproject.models.components.local_descriptors import gradient_descriptors
from mlproject.models.components.patch_detector import PatchDetector, PatchParameters
from mlproject.models.components.search_space import Choice, Space

# the finest gradients are those of defects a pixel or two wide
FINE = Grid(cell=4, pooling=2.0, rings=(), length=29, reach=1.5, scales=(0.6, 1.0, 2.0))
CONTEXT = Grid(cell=8, pooling=3.0, rings=(1, 2, 4), length=96, reach=2.0, scales=(1.0, 2.0, 4.0))
# of a texture, whose parts have no places: what lies further off says little, more values are more noise
TEXTURE = Grid(cell=8, pooling=6.0, rings=(1,), length=24, reach=0.0, scales=(1.0, 2.0, 4.0), texture=True)


class Parameters(PatchParameters):
    """Settings of patch_kde.

    Attributes:
        context: whether the coarse grid counts too.
    """

    context: bool


class PatchKDE(PatchDetector):
    """Hand-made descriptors: gradient orientations at three scales of each grid, luminance and colour.

    >>> import numpy as np
    >>> from mlproject.training.run_options import RunOptions
    >>> good = np.random.default_rng(0).integers(100, 120, (12, 32, 32, 3), dtype=np.uint8)
    >>> settings = {"image_size": 32, "part_size": 32, "align": "none", "window": "near", "context": False}
    >>> detector = PatchKDE(Parameters(**settings, shrinkage=0.005, smoothing=0.5))
    >>> history = detector.fit(good[:8], good[8:], RunOptions(seed=0))
    >>> detector.measure(good[:2]).maps.shape
    (2, 32, 32)
    """

    Parameters = Parameters
    search_space: ClassVar[Space] = {**PatchDetector.search_space, "context": Choice((True, False))}

    def chosen_grids(self, *, texture: bool) -> tuple[Grid, ...]:
        return (FINE, TEXTURE if texture else CONTEXT)[: 1 + self.settings.context]

    def describe(self, crops: torch.Tensor) -> list[torch.Tensor]:
        return gradient_descriptors(crops, self.grids)


MODEL = PatchKDE
