"""Where a training's time goes, by kind of operation, against the arithmetic that its convolutions need.

    python benchmarks/profile_training.py [kd_cae | ni_cae | dcgan] [float32 | bfloat16]

Trains the paper's network for three epochs and profiles the last one, on all cores, as `make bench` does.
"""

import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.speed import inputs, training
from mlproject import generators, models
from mlproject.commands.preset import presets
from mlproject.training.run_options import RunOptions

IMAGES = {"kd_cae": 200, "ni_cae": 20, "dcgan": 16}
KINDS = {  # the first that an operation's name contains, in this order
    "convolution, backward": ("convolution_backward",),
    "convolution, forward": ("conv",),
    "matrix product": ("mm",),
    "pooling": ("pool",),
    "batch normalisation": ("batch_norm",),
    "ReLU and sigmoid": ("relu", "sigmoid", "clamp", "threshold"),
    "upsampling": ("upsample", "pixel_shuffle"),
    "copies and sums of values": ("copy", "cat", "fill", "zero", "contiguous", "clone", "empty", "sum"),
    "optimiser": ("adam", "adadelta", "foreach", "addcmul", "addcdiv", "lerp", "sqrt"),
}
OTHER = "other operations"


def kind(operation: str) -> str:
    """Return the kind of an operation, by its name."""
    return next((name for name, parts in KINDS.items() if any(part in operation for part in parts)), OTHER)


def profile(model: str, precision: str) -> tuple[float, dict[str, float]]:
    """Return the seconds of an epoch and, of its operations, the seconds of each kind."""
    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
    times = []

    def on_epoch(epoch: Any) -> None:
        times.append(time.perf_counter())
        if epoch.number == 2:
            profiler.start()
            times[-1] = time.perf_counter()
        elif epoch.number == 3:
            profiler.stop()

    run = RunOptions(seed=0, precision=precision, on_epoch=on_epoch)
    if model == "dcgan":
        settings = presets()["paper"]["generators"][model] | {"epochs": 3}
        generators.create(model, settings).fit(inputs.arrays(IMAGES[model], settings["image_size"]), run)
    else:
        train, validation = training.images(model, IMAGES[model], small=False)
        settings = training.settings(model, small=False) | {"epochs": 3, "patience": 3}
        models.create(model, settings).fit(train, validation, run)
    found: dict[str, float] = defaultdict(float)
    for operation in profiler.key_averages():
        found[kind(operation.key.lower())] += operation.self_cpu_time_total / 1e6
    return times[2] - times[1], found


def main(model: str = "kd_cae", precision: str = "float32") -> None:
    """Print the table."""
    seconds, found = profile(model, precision)
    found["between operations: Python, autograd"] = seconds - sum(found.values())
    threads = torch.get_num_threads()
    print(f"{model}, {precision}: {seconds:.2f} s for {IMAGES[model]} images, {threads} threads")
    for name, value in sorted(found.items(), key=lambda item: -item[1]):
        print(f"{value / seconds:6.1%}  {value * 1000 / IMAGES[model]:8.3f} ms an image  {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
