"""Optimisers with the constants of Keras, with which the paper trained."""

import math

import pytest
import torch
from torch import nn

from mlproject.models.components import layers


@pytest.mark.parametrize(
    ("name", "first_step"),
    [
        # gradient 1, state 0: Adadelta moves by sqrt(eps) / sqrt((1 - rho) + eps), rho .95 and eps 1e-7
        ("adadelta", math.sqrt(1e-7) / math.sqrt(0.05 + 1e-7)),
        # RMSprop by 1 / (sqrt(1 - rho) + eps), rho .9 and eps 1e-7
        ("rmsprop", 1 / (math.sqrt(0.1) + 1e-7)),
    ],
)
def test_the_first_step_is_that_of_keras(name, first_step):
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    network.weight.grad = torch.ones(1, 1)
    layers.optimiser(name, network, learning_rate=1.0).step()
    assert network.weight.item() == pytest.approx(-first_step, rel=1e-5)
