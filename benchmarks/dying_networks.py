"""What `autoencoder.DYING` lies between: networks that die in their first epochs, and networks that learn.

    python benchmarks/dying_networks.py                     # the sample's bracket and weave, and a dark field
    python benchmarks/dying_networks.py --photos ../mvtec   # in addition, every category in this folder
    python benchmarks/dying_networks.py --side 128 --images 160 --epochs 10    # as the pipeline: many minutes

The dark field is a bright, textured ellipse on a nearly black background, and its negative. KD-CAE is trained
without the restart. While it is no better than one plain colour, a limit on how much its reconstructions
differ decides whether it has died; afterwards a smaller one does. Takes a minute.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlproject import models
from mlproject.core import params
from mlproject.data.decode import decode_bytes, fit_array
from mlproject.data.sample import build
from mlproject.models.components import autoencoder
from mlproject.training.loop import Epoch
from mlproject.training.run_options import RunOptions

VALIDATION = 8  # images


def main() -> None:
    """Print, for each training, by how much its pictures differ after each epoch, and whether it learnt."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="holds <category>/train/good")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--images", type=int, default=38, help="to train on")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    print(f"limit: {autoencoder.DYING:g}; * marks an epoch no better than one plain colour")
    for title, images in _sets(given):
        for seed in range(given.seeds):
            epochs = _train(images, seed, given)
            differ, poor = epochs[-1]
            ended = "learns" if not poor else "dead" if differ < autoencoder.DYING else "slow"
            steps = "  ".join(f"{differ:.5f}{'*' if poor else ' '}" for differ, poor in epochs)
            print(f"{title:16} seed {seed}  {ended:6}  {steps}", flush=True)


def _train(images: np.ndarray, seed: int, given: argparse.Namespace) -> list[tuple[float, bool]]:
    """Return for each epoch how much pictures differ, in [0, 1], and whether a plain colour is as good."""
    settings = params.load_file()["models"]["kd_cae"]
    settings |= {"image_size": given.side, "epochs": given.epochs, "patience": given.epochs}
    detector = models.create("kd_cae", settings)
    assert isinstance(detector, autoencoder.Autoencoder)
    train, validation = images[:-VALIDATION], images[-VALIDATION:]
    of_colour, found = detector.mean_errors(train, validation)[1], list[tuple[float, bool]]()

    def note(epoch: Epoch) -> None:
        found.append((detector.variation(validation), not epoch.validation_loss < of_colour))

    detector._train(train, validation, replace(RunOptions(seed), on_epoch=note))
    return found


def _sets(given: argparse.Namespace) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the title and the (n, s, s, 3) uint8 images of each set of good images."""
    for category in build.CATEGORIES:
        chosen = [picture for picture in build.pictures(category, seed=0) if picture.subset == "train"]
        rendered = [build.render(picture)[0] for picture in chosen[: given.images + VALIDATION]]
        yield category, np.stack([fit_array(image, given.side) for image in rendered])
    dark = dark_field(given.side, given.images + VALIDATION)
    yield "dark field", dark
    yield "its negative", 255 - dark
    for place in sorted(given.photos.glob("*/train/good")) if given.photos else ():
        files = sorted(path for path in place.iterdir() if path.is_file())[: given.images + VALIDATION]
        yield place.parents[1].name, np.stack([decode_bytes(path.read_bytes(), given.side) for path in files])


def dark_field(side: int, count: int) -> np.ndarray:
    """Return (n, s, s, 3) uint8: a bright, textured ellipse on a nearly black background."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    images = []
    for _ in range(count):
        cx, cy = rng.normal(0.5, 0.01, 2)
        inside = ((x - cx) / 0.3) ** 2 + ((y - cy) / 0.2) ** 2 < 1
        texture = 150 + 30 * np.sin(40 * x) + 30 * np.cos(33 * y)
        images.append(np.where(inside, texture, 12) + rng.normal(0, 4, (side, side)))
    return np.repeat(np.clip(images, 0, 255).astype(np.uint8)[..., None], 3, axis=3)


if __name__ == "__main__":
    main()
