"""Trainings of the paper's networks, against plain PyTorch, Keras and what the processor can do."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from benchmarks.speed import inputs
from benchmarks.speed.epochs import EpochByEpoch
from benchmarks.speed.measure import Group, Row, Side
from benchmarks.speed.worker import Measured
from mlproject import generators, models
from mlproject.commands.preset import presets
from mlproject.data import tensors
from mlproject.models.components import layers
from mlproject.training.run_options import RunOptions

ENDLESS = {"epochs": 10**6, "patience": 10**6}
PLAIN = {"OMP_WAIT_POLICY": "", "THP_MEM_ALLOC_ENABLE": "0"}  # as PyTorch has them, not as this project
VALIDATION_SHARE = 0.2  # the paper's


def groups(tiny: bool) -> list[Group]:
    """Return the trainings of KD-CAE, NI-CAE and DCGAN."""
    kd_cae = {"model": "kd_cae", "n": 20 if tiny else 200, "small": tiny}
    ni_cae = {"model": "ni_cae", "n": 20, "small": tiny}
    dcgan = {"n": 8 if tiny else 16, "small": tiny}
    matmul = {"side": 64 if tiny else 2048}
    bfloat16 = {"precision": "bfloat16"}
    of_peak = Row("KD-CAE training, multiplications done", "ours", "peak", "GFLOP/s", 0.45)
    return [
        Group(
            "kd_cae",
            {
                "float32": Side("float32", "training:ours", kd_cae),
                "bfloat16": Side("bfloat16", "training:ours", kd_cae | bfloat16),
                "plain": Side("plain PyTorch", "training:plain", kd_cae, environment=PLAIN),
                "keras": Side("Keras on TensorFlow", "keras_models:training", kd_cae, peers=True),
            },
            (
                Row("KD-CAE training, float32", "float32", "keras", "images/s", 2),
                Row("KD-CAE training, bfloat16", "bfloat16", "keras", "images/s", 3.5),
                Row("KD-CAE training, float32", "float32", "plain", "images/s"),
                Row("KD-CAE training, bfloat16", "bfloat16", "plain", "images/s"),
            ),
            note="Plain PyTorch's idle threads spin, which costs it most on a busy machine, and only there.",
        ),
        Group(
            "matmul",
            {
                "ours": Side("float32", "training:flops", kd_cae),
                "peak": Side("matrix product", "training:matmul", matmul),
            },
            (of_peak,),
        ),
        Group(
            "ni_cae",
            {
                "float32": Side("float32", "training:ours", ni_cae),
                "bfloat16": Side("bfloat16", "training:ours", ni_cae | bfloat16),
                "plain": Side("plain PyTorch", "training:plain", ni_cae, environment=PLAIN),
                "keras": Side("Keras on TensorFlow", "keras_models:training", ni_cae, peers=True),
            },
            (
                Row("NI-CAE training, 256 px, float32", "float32", "keras", "images/s", 2),
                Row("NI-CAE training, 256 px, bfloat16", "bfloat16", "keras", "images/s"),
                Row("NI-CAE training, 256 px, float32", "float32", "plain", "images/s"),
            ),
            rounds=3,
        ),
        Group(
            "dcgan",
            {
                "ours": Side("float32", "training:dcgan", dcgan),
                "bfloat16": Side("bfloat16", "training:dcgan", dcgan | bfloat16),
                "plain": Side("plain PyTorch", "training:plain_dcgan", dcgan, environment=PLAIN),
            },
            (
                Row("DCGAN training, 128 px, float32", "ours", "plain", "images/s", 1.5),
                Row("DCGAN training, 128 px, bfloat16", "bfloat16", "plain", "images/s"),
            ),
            rounds=3,
        ),
    ]


def settings(model: str, small: bool) -> dict[str, Any]:
    """Return the paper's settings, without noise; for tests, smaller images."""
    paper = presets()["paper"]["models"][model] | {"noise": None}
    return paper | ({"image_size": 32} if small else {})


def images(model: str, n: int, small: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return n training images and a fifth as many validation images, uint8, at the network's size."""
    made = inputs.arrays(n + max(1, int(n * VALIDATION_SHARE)), settings(model, small)["image_size"])
    return made[:n], made[n:]


def ours(model: str, n: int, small: bool, scratch: str, precision: str = "float32") -> Measured:
    """Training images a second, validation included, of a detector's `fit`."""
    detector = models.create(model, settings(model, small) | ENDLESS)
    train, validation = images(model, n, small)
    training = EpochByEpoch(
        lambda on_epoch: detector.fit(
            train, validation, RunOptions(seed=0, precision=precision, on_epoch=on_epoch)
        )
    )
    return Measured(
        lambda: float(training.epoch().images_per_second),
        lambda: f"validation loss {training.last.validation_loss:.4f}",
    )


def plain(model: str, n: int, small: bool, scratch: str) -> Measured:
    """Train the same network on the same schedule by the loop that PyTorch's tutorials show."""
    chosen = settings(model, small)
    built: Any = models.create(model, chosen)
    network = nn.Sequential(*built.encoder, *built.decoder)
    torch.manual_seed(0)
    layers.initialise(network)
    kinds = {"adadelta": torch.optim.Adadelta, "adam": torch.optim.Adam}
    same = {"rho": 0.95, "eps": 1e-7} if chosen["optimiser"] == "adadelta" else {}
    optimiser = kinds[chosen["optimiser"]](network.parameters(), lr=chosen["learning_rate"], **same)
    train, validation = (
        tensors.network_images(part, chosen["image_size"], chosen["colour"]).float() / 255
        for part in images(model, n, small)
    )
    losses: list[float] = []

    def epoch() -> float:
        started = time.perf_counter()
        network.train()
        for rows in torch.randperm(n).split(chosen["batch_size"]):
            optimiser.zero_grad()
            batch = train[rows]
            F.mse_loss(network(batch), batch).backward()
            optimiser.step()
        network.eval()
        with torch.no_grad():
            parts = validation.split(chosen["batch_size"])
            total = sum(float(F.mse_loss(network(part), part)) * len(part) for part in parts)
        losses.append(total / len(validation))
        return n / (time.perf_counter() - started)

    epoch()
    return Measured(epoch, lambda: f"validation loss {losses[-1]:.4f}")


def flops(model: str, n: int, small: bool, scratch: str) -> Measured:
    """Return GFLOP/s of `ours`: additions and multiplications of its convolutions, as they are computed."""
    from torch.utils.flop_counter import FlopCounterMode

    chosen = settings(model, small)
    detector: Any = models.create(model, chosen)
    batch = torch.rand(
        chosen["batch_size"], 1 if chosen["colour"] == "grey" else 3, *[chosen["image_size"]] * 2
    )
    with FlopCounterMode(display=False) as forward:
        loss = detector.loss(detector.network, batch, batch)
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    one_pass, back = (count.get_total_flops() / len(batch) for count in (forward, backward))
    each = one_pass * (1 + VALIDATION_SHARE) + back
    measured = ours(model, n, small, scratch)
    return Measured(
        lambda: measured.once() * each / 1e9, lambda: f"{each / 1e9:.2f} GFLOP an image and epoch"
    )


def matmul(side: int, scratch: str) -> Measured:
    """Return GFLOP/s of a large float32 matrix product: the most that this processor gives PyTorch."""
    a, b = torch.rand(side, side), torch.rand(side, side)
    a @ b

    def once() -> float:
        started = time.perf_counter()
        for _ in range(5):
            torch.mm(a, b)
        return 5 * 2 * side**3 / (time.perf_counter() - started) / 1e9

    return Measured(once)


def _dcgan(small: bool) -> Any:
    chosen = presets()["paper"]["generators"]["dcgan"] | {"epochs": 10**6}
    return generators.create("dcgan", chosen | ({"image_size": 32, "filters": 8} if small else {}))


def dcgan(n: int, small: bool, scratch: str, precision: str = "float32") -> Measured:
    """Training images a second of the generator's `fit`."""
    generator = _dcgan(small)
    made = inputs.arrays(n, generator.settings.image_size)
    training = EpochByEpoch(
        lambda on_epoch: generator.fit(made, RunOptions(seed=0, precision=precision, on_epoch=on_epoch))
    )
    return Measured(lambda: n / float(training.epoch().seconds))


def plain_dcgan(n: int, small: bool, scratch: str) -> Measured:
    """Train the same networks by the loop of PyTorch's DCGAN tutorial."""
    generator = _dcgan(small)
    networks = [generator.network, generator.discriminator]
    chosen = generator.settings
    steps = [
        torch.optim.Adam(network.parameters(), lr=chosen.learning_rate, betas=(chosen.beta1, 0.999))
        for network in networks
    ]
    pixels = torch.from_numpy(inputs.arrays(n, chosen.image_size)).permute(0, 3, 1, 2).contiguous()
    made = pixels.float() / 127.5 - 1

    def epoch() -> float:
        started = time.perf_counter()
        for rows in torch.randperm(n).split(chosen.batch_size):
            _round(networks, steps, made[rows], chosen.latent)
        return n / (time.perf_counter() - started)

    epoch()
    return Measured(epoch)


def _round(
    networks: Sequence[nn.Module], steps: Sequence[torch.optim.Optimizer], real: torch.Tensor, latent: int
) -> None:
    """Let the discriminator learn, then the generator."""
    generator, discriminator = networks
    loss: Callable[..., torch.Tensor] = F.binary_cross_entropy_with_logits
    ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
    discriminator.zero_grad()
    loss(discriminator(real).view(-1), ones).backward()
    fake = generator(torch.randn(len(real), latent, 1, 1))
    loss(discriminator(fake.detach()).view(-1), zeros).backward()
    steps[1].step()
    generator.zero_grad()
    loss(discriminator(fake).view(-1), ones).backward()
    steps[0].step()
