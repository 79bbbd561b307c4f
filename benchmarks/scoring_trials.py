"""What scoring gains from other ways to compute it, and whether it still tells defects.

    python benchmarks/scoring_trials.py [kd_cae | patch_kde]   # trials whose packages are absent say so
    .peers/bin/python benchmarks/scoring_trials.py     # after `make bench-peers`: with faiss and OpenVINO

KD-CAE and patch_kde are fitted on the sample's weave. Each trial scores its test images, eight at a time on
one thread; times are processor time, so other processes matter little. One is worth keeping where it is 1.3
times as fast and the AUROC stays within .002.
"""

import copy
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from mlproject import models
from mlproject.core import params
from mlproject.data.sample import build
from mlproject.inference import onnx_export
from mlproject.models.components.detector import Detector
from mlproject.models.components.position_density import PositionDensity, _nearest, disc
from mlproject.training.run_options import RunOptions

Score = Callable[[np.ndarray], np.ndarray]  # (n, s, s, 3) uint8 → (n,)
NAMES = ("kd_cae", "patch_kde")
TOGETHER = 8
ROUNDS = 5
TRAINED = 100  # images


class NotApplicable(Exception):
    """Why a trial says nothing of a model."""


def as_it_is(detector: Detector, folder: Path) -> Score:
    """Return the detector's own scoring."""
    return lambda images: detector.score(images).scores


def compiled(detector: Detector, folder: Path) -> Score:
    """Return scoring with what computes on pixels compiled."""
    changed: Any = copy.copy(detector)
    for name in ("encoder", "decoder", "describe"):
        if hasattr(changed, name):
            setattr(changed, name, torch.compile(getattr(changed, name)))
    return as_it_is(changed, folder)


def channels_last(detector: Detector, folder: Path) -> Score:
    """Return scoring with weights in that order too; the images are already."""
    if not hasattr(detector, "network"):
        raise NotApplicable("it has no convolution")
    changed: Any = copy.deepcopy(detector)
    changed.network.to(memory_format=torch.channels_last)
    return as_it_is(changed, folder)


def bfloat16(detector: Detector, folder: Path) -> Score:
    """Return scoring with the network's convolutions, or the products with kernels, in bfloat16."""
    changed: Any = copy.copy(detector)
    if hasattr(detector, "densities"):
        changed.densities = tuple(density.changed() for density in changed.densities)
        for density in changed.densities:
            density.__dict__["bank"] = density.bank.bfloat16()
            density.__dict__["distances"] = _autocast(density.distances)
    else:
        changed.encode_decode = _autocast(changed.encode_decode)
    return as_it_is(changed, folder)


def _autocast(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: torch.Tensor) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            found = function(*arguments)
        return found.float() if isinstance(found, torch.Tensor) else tuple(part.float() for part in found)

    return call


def onnx_runtime(detector: Detector, folder: Path) -> Score:
    """Return the exported graph's scores."""
    return _session(_exported(detector, folder))


def int8(detector: Detector, folder: Path) -> Score:
    """Return the scores of the exported graph with weights and values in 8 bits."""
    from onnxruntime import quantization

    class Good(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.left: Iterator[np.ndarray] = iter(good_images(TRAINED, TRAINED + 8))

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.left, None)
            return None if image is None else {onnx_export.INPUT: image[None]}

    small = folder / "int8.onnx"
    quantization.quantize_static(str(_exported(detector, folder)), str(small), Good())
    return _session(small)


def openvino(detector: Detector, folder: Path) -> Score:
    """Return the exported graph's scores by OpenVINO."""
    import openvino as ov

    model = ov.Core().compile_model(_exported(detector, folder), "CPU", {"INFERENCE_NUM_THREADS": 1})
    return lambda images: model({onnx_export.INPUT: images})["score"]


def faiss(detector: Detector, folder: Path) -> Score:
    """Return scoring in which faiss finds the nearest kernel, one exact index a place."""
    if not hasattr(detector, "densities"):
        raise NotApplicable("its density sums over all points")
    changed: Any = copy.copy(detector)
    changed.densities = tuple(FaissDensity.of(density) for density in changed.densities)
    return as_it_is(changed, folder)


class FaissDensity(PositionDensity):
    """Distances to the nearest kernel by faiss."""

    @classmethod
    def of(cls, density: PositionDensity) -> "FaissDensity":
        """Return it with an index at each place."""
        import faiss as library

        library.omp_set_num_threads(1)
        made = cls(**{field.name: getattr(density, field.name) for field in fields(density)})
        indexes = []
        for kernels in density.bank:
            index = library.IndexFlatL2(kernels.shape[0] - 1)
            index.add(np.ascontiguousarray(kernels[:-1].T.numpy() / -2))
            indexes.append(index)
        made.__dict__["indexes"] = indexes
        return made

    def distances(self, values: torch.Tensor) -> torch.Tensor:
        """As `PositionDensity.distances`."""
        rows, columns = self.mean.shape
        near = (values - self.centre).flatten(1, 2)[:, self.around].transpose(0, 1).contiguous().numpy()
        found = [
            index.search(asked.reshape(-1, asked.shape[-1]), 1)[0].reshape(asked.shape[:2])
            for index, asked in zip(self.__dict__["indexes"], near, strict=True)
        ]
        squared = torch.from_numpy(np.stack(found, axis=1)).unflatten(1, (rows, columns))
        return _nearest(squared.permute(3, 0, 1, 2), disc(self.reach), int(self.reach)).clamp_min(0).sqrt()


TRIALS: dict[str, Callable[[Detector, Path], Score]] = {
    "as it is": as_it_is,
    "torch.compile": compiled,
    "channels last": channels_last,
    "bfloat16": bfloat16,
    "ONNX Runtime": onnx_runtime,
    "ONNX Runtime, int8": int8,
    "OpenVINO": openvino,
    "faiss": faiss,
}


def _exported(detector: Detector, folder: Path) -> Path:
    path = folder / f"{detector.name}.onnx"
    if not path.exists():
        onnx_export.write(path, detector, 0.0, 256, good_images(0, 2), {})
    return path


def _session(path: Path) -> Score:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["score"], {onnx_export.INPUT: images})[0]


def good_images(first: int, last: int) -> np.ndarray:
    """Return some of the sample's good training images."""
    return np.stack([build.render(picture)[0] for picture in build.pictures("weave", 0)[first:last]])


def measured(score: Score, images: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the processor time of an image, ms, the least of ROUNDS, and all scores."""
    batches = [images[start : start + TOGETHER] for start in range(0, len(images), TOGETHER)]
    scores = np.concatenate([score(batch) for batch in batches])
    best = np.inf
    for _ in range(ROUNDS):
        started = time.process_time()
        for batch in batches[:2]:
            score(batch)
        best = min(best, time.process_time() - started)
    return best / sum(map(len, batches[:2])) * 1000, scores


def main(*names: str) -> None:
    """Print the table, of some models or both."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # the exporter and the compiler warn of their own parts
    pictures = [picture for picture in build.pictures("weave", 0) if picture.subset == "test"]
    images = np.stack([build.render(picture)[0] for picture in pictures])
    labels = np.array([picture.defect != "good" for picture in pictures])
    print("| model | computed | ms an image | times as fast | AUROC | largest change of a score |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in names or NAMES:
        detector = models.create(name, params.value(f"models.{name}"))
        detector.fit(good_images(0, TRAINED), good_images(TRAINED, TRAINED + 20), RunOptions(seed=0))
        detector.calibrate(good_images(TRAINED + 20, TRAINED + 40))
        usual, right = measured(as_it_is(detector, Path()), images)
        with tempfile.TemporaryDirectory() as folder:
            for trial, make in TRIALS.items():
                try:
                    ms, scores = measured(make(detector, Path(folder)), images)
                except (ImportError, NotApplicable) as error:
                    print(f"| {name} | {trial} | | | | {error} |", flush=True)
                    continue
                auroc = roc_auc_score(labels, scores)
                change = np.abs(scores - right).max() / np.abs(right).max()
                cells = f"{ms:.1f} | {usual / ms:.2f} | {auroc:.4f} | {change:.1e}"
                print(f"| {name} | {trial} | {cells} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
