"""DCGAN (the paper's section 3.3.3, after Radford et al. 2016): a generator against a discriminator."""

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import nn

from mlproject.core.errors import TooFewImages, UserError
from mlproject.core.params import Section
from mlproject.data import tensors
from mlproject.generators.base import Generator, GeneratorEpoch
from mlproject.training import checkpoints, memory
from mlproject.training.batches import batches, random_source
from mlproject.training.loop import History
from mlproject.training.run_options import RunOptions

START = 4  # side of the smallest feature map: the rest of an image's side is doublings of it
WEIGHT_SPREAD = 0.02  # Radford et al., section 4
LOSSES = ("discriminator_loss", "generator_loss", "belief_in_real", "belief_in_generated")


class Parameters(Section):
    """Settings of a DCGAN.

    Attributes:
        image_size: side of what it makes, pixels.
        latent: length of z.
        filters: of the widest feature map; doubled with each halving of the side.
        beta1: Adam's first moment; .5, since .9 made the game oscillate (Radford et al., section 4).
        instance_noise: spread of noise on all that the discriminator sees, in [-1, 1]; Radford et al.: 0.
            Where images are much alike it wins at once without, and nothing is learnt.
    """

    image_size: Literal[32, 64, 128]
    latent: int = Field(ge=1)
    filters: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    beta1: float = Field(ge=0, lt=1)
    instance_noise: float = Field(ge=0, le=1)
    batch_size: int = Field(ge=2)
    epochs: int = Field(ge=1)


@dataclass
class Game:
    """Both networks, both optimisers, and how far they are."""

    generator: nn.Sequential
    discriminator: nn.Sequential
    generator_step: torch.optim.Optimizer
    discriminator_step: torch.optim.Optimizer
    history: list[dict[str, float]] = field(default_factory=list)

    def parts(self) -> dict[str, Any]:
        """Return everything with a state of its own, by its name in a checkpoint."""
        return {name: value for name, value in vars(self).items() if name != "history"}


def build_generator(settings: Parameters) -> nn.Sequential:
    """Return z (n, latent, 1, 1) → image (n, 3, s, s) in [-1, 1]: fractionally-strided convolutions only.

    Batch norm after all but the last: its shift is why no other convolution has a bias.
    """
    halvings = round(math.log2(settings.image_size // START))
    widths = [settings.filters * 2**step for step in reversed(range(halvings))]
    layers: list[nn.Module] = [nn.ConvTranspose2d(settings.latent, widths[0], START, bias=False)]
    for wide, narrow in itertools.pairwise(widths):
        layers += [nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False)]
    layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1, bias=False), nn.Tanh())


def build_discriminator(settings: Parameters) -> nn.Sequential:
    """Return image (n, 3, s, s) in [-1, 1] → log-odds of being real (n, 1, 1, 1): strided convolutions only.

    No batch norm at the image itself (Radford et al., section 3: oscillation).
    """
    halvings = round(math.log2(settings.image_size // START))
    widths = [settings.filters * 2**step for step in range(halvings)]
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for narrow, wide in itertools.pairwise(widths):
        layers += [nn.Conv2d(narrow, wide, 4, 2, 1, bias=False), nn.BatchNorm2d(wide)]
        layers += [nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, START, bias=False))


def initialise(network: nn.Module) -> None:
    """Draw weights from N(0, .02), batch norm's scales from N(1, .02), as Radford et al."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, WEIGHT_SPREAD)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, WEIGHT_SPREAD)


class DCGAN(Generator):
    """Deep convolutional GAN. Only the generator network is saved; the discriminator is for training alone.

    Attributes:
        network, discriminator: as `build_generator` and `build_discriminator` return them, taught by `fit`.
        section: where a user finds the settings, for messages.
    """

    Parameters = Parameters

    def __init__(self, settings: Any, section: str = "generators.dcgan") -> None:
        super().__init__(settings)
        self.network, self.discriminator = build_generator(settings), build_discriminator(settings)
        self.section = section
        self.device = "cpu"

    def prepare(self, images: np.ndarray) -> np.ndarray:
        size, batch = self.settings.image_size, self.settings.batch_size
        if len(images) < batch:
            raise TooFewImages(
                f"{len(images)} images to learn from, fewer than a batch of {batch}. "
                f"Add good images, or lower {self.section}.batch_size in params.yaml."
            )
        if images.shape[1] < size:
            raise UserError(
                f"images of {images.shape[1]} px are smaller than {self.section}.image_size, {size}. "
                f"Set {self.section}.image_size to {images.shape[1]} at most "
                f"or, if the photos are that large, prepare.image_size to {size} at least."
            )
        shrunk = tensors.network_images(images, size, "rgb").permute(0, 2, 3, 1).contiguous().numpy()
        if (shrunk == shrunk[0, 0, 0]).all():
            red, green, blue = shrunk[0, 0, 0]
            raise UserError(
                f"all {len(images)} images to learn from are of one colour, ({red}, {green}, {blue}): "
                f"there is nothing to learn. Look at train/good."
            )
        return shrunk

    def fit(self, images: np.ndarray, run: RunOptions) -> History:
        memory.keep_between_steps()
        pixels = torch.from_numpy(self.prepare(images)).permute(0, 3, 1, 2)
        game = self._start(run.seed, run.device)
        if state := checkpoints.read(run.checkpoint):
            for name, part in game.parts().items():
                part.load_state_dict(state[name])
            game.history = state["history"]
        else:
            run.on_start()
        while len(game.history) < self.settings.epochs:
            number, started = len(game.history) + 1, time.perf_counter()
            losses = self._epoch(game, pixels, random_source(run.seed, number), run.precision)
            if not all(map(math.isfinite, losses.values())):
                lower = f"Lower {self.section}.learning_rate in params.yaml."
                raise UserError(f"training diverged in epoch {number} ({losses}). {lower}")
            game.history.append({"epoch": number, **losses})
            if run.checkpoint:
                states = {name: part.state_dict() for name, part in game.parts().items()}
                checkpoints.write(run.checkpoint, states | {"history": game.history})
            run.on_epoch(GeneratorEpoch(number, self.settings.epochs, losses, time.perf_counter() - started))
        return game.history

    def _start(self, seed: int, device: str) -> Game:
        settings = self.settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            networks = build_generator(settings), build_discriminator(settings)
            initialise(nn.ModuleList(networks))
        self.device = device
        moved = [network.to(device).to(memory_format=torch.channels_last) for network in networks]
        self.network, self.discriminator = moved
        rate, betas = settings.learning_rate, (settings.beta1, 0.999)
        steps = [torch.optim.Adam(net.parameters(), lr=rate, betas=betas, fused=True) for net in moved]
        return Game(moved[0], moved[1], steps[0], steps[1])

    def _epoch(
        self, game: Game, images: torch.Tensor, random: torch.Generator, precision: str
    ) -> dict[str, float]:
        """Play one round a batch. The few images that fill no batch sit this epoch out: batch norm
        would see too few."""
        size = self.settings.batch_size
        order = torch.randperm(len(images), generator=random)[: len(images) // size * size]
        game.generator.train()
        game.discriminator.train()
        totals = torch.zeros(len(LOSSES), device=self.device)
        for batch in batches(images, order, size, self.device):
            totals += self._round(game, batch * 2 - 1, random, precision)
        return dict(zip(LOSSES, (totals / (len(order) // size)).tolist(), strict=True))

    def _round(self, game: Game, real: torch.Tensor, random: torch.Generator, precision: str) -> torch.Tensor:
        """Let the discriminator learn, then the generator; return LOSSES."""
        z = torch.randn((len(real), self.settings.latent, 1, 1), generator=random).to(self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=precision == "bfloat16"):
            made = game.generator(z)
            # real and generated apart: each has batch statistics of its own (Radford et al.)
            says_real = self._discriminate(game, real, random)
            says_made = self._discriminate(game, made.detach(), random)
            # softplus(-x) is -log sigmoid(x): the log-odds need no sigmoid that could saturate
            loss = F.softplus(-says_real).mean() + F.softplus(says_made).mean()
        _step(game.discriminator_step, loss)
        with torch.autocast(self.device, torch.bfloat16, enabled=precision == "bfloat16"):
            # non-saturating (eq. 6): -log D(G(z)), not log(1 - D(G(z)))
            generator_loss = F.softplus(-self._discriminate(game, made, random)).mean()
        _step(game.generator_step, generator_loss)
        beliefs = says_real.sigmoid().mean(), says_made.sigmoid().mean()
        return torch.stack([loss, generator_loss, *beliefs]).detach()

    def _discriminate(self, game: Game, images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        if spread := self.settings.instance_noise:  # 0 draws nothing
            images = images + spread * torch.randn(images.shape, generator=random).to(images.device)
        return game.discriminator(images).float()

    def stream(self, n: int, seed: int) -> Iterator[np.ndarray]:
        for chunk, start in enumerate(range(0, n, tensors.CHUNK)):
            yield from self._chunk(random_source(seed, chunk))[: n - start]

    @torch.inference_mode()
    def _chunk(self, random: torch.Generator) -> np.ndarray:
        """Return a whole chunk, whatever is asked for: batches of other sizes may be computed otherwise."""
        self.network.eval()
        z = torch.randn((tensors.CHUNK, self.settings.latent, 1, 1), generator=random)
        return tensors.display_images(self.network(z.to(self.device)) / 2 + 0.5)

    def state(self) -> dict[str, np.ndarray]:
        return {name: value.detach().cpu().numpy() for name, value in self.network.state_dict().items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        self.network.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})

    def parameter_count(self) -> int:
        return sum(weights.numel() for weights in self.network.parameters())


def _step(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """Change what the optimiser holds; no gradient of the other network, which the loss leads through."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward(inputs=[weights for group in optimiser.param_groups for weights in group["params"]])
    optimiser.step()


GENERATOR = DCGAN
