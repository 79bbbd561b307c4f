"""Layers, initialisation and optimisers that the networks are built from."""

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

# of an encoder's convolutions, each followed by a halving
Filters = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=6)]


def conv_relu(channels_in: int, channels_out: int, kernel: int = 3) -> list[nn.Module]:
    """Return a same-padded convolution and its ReLU."""
    return [nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2), nn.ReLU()]


def initialise(*networks: nn.Module) -> None:
    """Draw weights as Keras does, in which the paper's models were written: Glorot uniform, biases zero."""
    for network in networks:
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def optimiser(name: str, network: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Return the optimiser ``rmsprop``, ``adadelta`` or ``adam`` over all parameters of the network."""
    if name == "rmsprop":  # as in Keras: with torch's own .99 the first steps are three times as long
        return torch.optim.RMSprop(network.parameters(), lr=learning_rate, alpha=0.9, eps=1e-7)
    if name == "adadelta":  # as in Keras, which the paper used: torch's own are rho .9, eps 1e-6
        return torch.optim.Adadelta(network.parameters(), lr=learning_rate, rho=0.95, eps=1e-7)
    if name == "adam":
        return torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
    raise ValueError(f"no optimiser is named {name}")
