"""Layers, initialisation and optimisers that the networks are built from."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Annotated, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import nn

T = TypeVar("T")
# of an encoder's convolutions, each followed by a halving
Filters = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=6)]


def one_by_one(function: Callable[[np.ndarray], T], images: np.ndarray) -> list[T]:
    """Return function(images[i : i + 1]) for each i, each on one thread, as many at once as torch may use.

    The sums of a convolution or a matrix product are split by batch and by threads, and round otherwise
    when they are split otherwise: one image on one thread is the same whatever comes with it, on however
    many cores. It is also the cheapest: one image's values stay in the processor's cache.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return [function(images[i : i + 1]) for i in range(len(images))]
    return list(_threads(threads).map(lambda i: function(images[i : i + 1]), range(len(images))))


def on_one_thread(function: Callable[[], T]) -> T:
    """Return function(), without gradients: to wake a second thread takes longer than what is small."""
    if torch.compiler.is_exporting():
        return function()

    @torch.inference_mode()
    def once(_: np.ndarray) -> T:
        return function()

    return one_by_one(once, np.zeros(1))[0]


@lru_cache(maxsize=4)
def _threads(count: int) -> ThreadPoolExecutor:
    """Return the threads of this process, the same for each call: to start them takes longer than a photo."""
    return ThreadPoolExecutor(count, initializer=_compute_alone)


def _compute_alone() -> None:
    """Let this thread wake no others, whatever the process sets later."""
    torch.get_num_threads()  # a thread takes the process's number when it first asks for it, not when told
    torch.set_num_threads(1)


os.register_at_fork(after_in_child=_threads.cache_clear)  # a forked process has none of them


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
    """Return the named optimiser over all parameters of the network."""
    if name == "rmsprop":  # as in Keras: with torch's own .99 the first steps are three times as long
        return torch.optim.RMSprop(network.parameters(), lr=learning_rate, alpha=0.9, eps=1e-7)
    if name == "adadelta":  # as in Keras, which the paper used: torch's own are rho .9, eps 1e-6
        return torch.optim.Adadelta(network.parameters(), lr=learning_rate, rho=0.95, eps=1e-7)
    return torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
