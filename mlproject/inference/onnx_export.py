"""Export a detector as an ONNX file: an image of the prepared size in, score and decision out, without torch.

The graph is traced from the functions that the detector itself scores with, so no rule exists twice.
"""

import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mlproject.core.errors import UserError
from mlproject.core.files import written_file
from mlproject.data.decode import fit_array
from mlproject.inference.onnx_steps import OnnxSteps
from mlproject.models.components.combination import Combination
from mlproject.models.components.detector import Detector

INPUT = "images"
OUTPUTS = ("score", "threshold", "defective", "anomaly_map")
NEEDED = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4  # relative; each library sums float32 networks in its own order


class Graph(nn.Module):
    """The traced network: (n, s, s, 3) uint8 → score, threshold, defective (n,), anomaly_map (n, h, w)."""

    limit: torch.Tensor
    centres: torch.Tensor
    scales: torch.Tensor

    def __init__(self, detector: Detector, combination: Combination, threshold: float) -> None:
        super().__init__()
        self.detector, self.names = detector, list(combination.centres)
        networks = {name: value for name, value in vars(detector).items() if isinstance(value, nn.Module)}
        self.networks = nn.ModuleDict(networks)  # registered, so that their weights are exported
        # tensors because the exporter would round plain numbers to float32
        numbers = {
            "limit": threshold,
            "centres": [combination.centres[name] for name in self.names],
            "scales": [combination.scales[name] for name in self.names],
        }
        for name, value in numbers.items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64))
        self.eval()

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with OnnxSteps():
            parts, maps = self.detector.traced(images)
        columns = torch.stack([parts[name].double() for name in self.names], dim=1)
        scores = ((columns - self.centres) / self.scales).amax(dim=1)  # as `Combination.apply`
        threshold = self.limit.expand(scores.shape)
        return scores, threshold, scores > threshold, maps


def write(
    path: Path,
    detector: Detector,
    threshold: float,
    image_size: int,
    examples: np.ndarray,
    about: Mapping[str, str],
) -> float:
    """Write the file if ONNX Runtime scores the examples as the detector does; otherwise write nothing.

    Args:
        threshold: defective where score > threshold.
        image_size: side of prepared images, pixels: the input is (n, image_size, image_size, 3).
        examples: (n, image_size, image_size, 3) uint8, to compare with.
        about: lineage, kept in the file's metadata with threshold and image size.

    Returns:
        The largest difference of a score, relative to it or to the threshold.

    Raises:
        UserError: a package is missing, the model cannot be exported, or the scores differ.
    """
    require_packages()
    program = _trace(detector, threshold, image_size)
    metadata = program.model.metadata_props
    metadata.update(about)
    metadata.update(
        threshold=repr(threshold),
        image_size=str(image_size),
        decision="defective where score > threshold",
        input=f"{INPUT}: (n, {image_size}, {image_size}, 3) uint8 RGB",
    )
    with written_file(path) as part:
        program.save(part)
        return compare(part, detector, threshold, examples)


def require_packages() -> None:
    """Raise a UserError that says what to install, unless all packages are installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX export needs {', '.join(missing)}: pip install '.[onnx]'")


def compare(path: Path, detector: Detector, threshold: float, examples: np.ndarray) -> float:
    """Return the largest relative difference between ONNX Runtime's scores and the detector's.

    Raises:
        UserError: the difference of scores or maps is above TOLERANCE, or a decision differs.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    scores, thresholds, defective, maps = session.run(list(OUTPUTS), {INPUT: examples})
    scored = detector.score(examples)
    # a score near 0 is only as exact as the scale it is computed on
    difference = _relative(scores - scored.scores, np.maximum(np.abs(scored.scores), abs(threshold)))
    of_maps = _relative(maps - scored.maps, np.abs(scored.maps).max())
    same = bool((thresholds == threshold).all() and (defective == (scores > threshold)).all())
    if not (same and difference <= TOLERANCE and of_maps <= TOLERANCE):
        raise UserError(
            f"{detector.name}: ONNX Runtime's scores differ from the detector's by {difference:.1e}, "
            f"its maps by {of_maps:.1e}; {TOLERANCE:.0e} is allowed. Nothing was written."
        )
    return difference


def _relative(difference: np.ndarray, scale: np.ndarray) -> float:
    return float(np.max(np.abs(difference) / np.maximum(scale, np.finfo(np.float64).tiny)))


def _trace(detector: Detector, threshold: float, image_size: int) -> torch.onnx.ONNXProgram:
    if detector.combination is None:
        raise RuntimeError("calibrate the detector before exporting it")
    graph = Graph(detector, detector.combination, threshold)
    # two images: from a batch of one the exporter concludes that n is always 1
    images = torch.zeros((2, image_size, image_size, 3), dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecated parts
        graph(images)
        try:
            program = torch.onnx.export(
                graph,
                (images,),
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: torch.export.Dim("n")},),
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(f"{detector.name} cannot be exported to ONNX: {reason}") from None
    assert program is not None
    return program


def examples_for(detector: Detector, image_size: int, given: np.ndarray | None = None) -> np.ndarray:
    """Return images to compare on: noise, plain ones, those given, and the reconstructions of all.

    Args:
        given: (k, image_size, image_size, 3) uint8, further images.
    """
    random = np.random.default_rng(0)
    shape = (2, image_size, image_size, 3)
    plain = np.stack([np.full(shape[1:], level, np.uint8) for level in (0, 128, 255)])
    images = [plain, random.integers(0, 256, shape, dtype=np.uint8), *([] if given is None else [given])]
    made = detector.reconstruct(np.concatenate(images))
    if made is not None:
        images.append(np.stack([fit_array(image, image_size) for image in made]))
    return np.concatenate(images)
