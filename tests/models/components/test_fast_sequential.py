"""A chain of layers gives what its layers give one after another."""

import pytest
import torch
from torch import nn

from mlproject import models
from mlproject.core import params
from mlproject.models.components.fast_sequential import FastSequential, upsampled_convolution

CHAINS = [
    (model, part)
    for model in models.names()
    for part, layers in models.create(model, params.value("models")[model]).network_parts().items()
    if isinstance(layers, FastSequential)
]


@pytest.mark.parametrize("scale", [2, 3, 4, 5])
def test_a_convolution_of_repeated_pixels_is_one_of_the_image_edges_included(scale):
    convolution = nn.Conv2d(3, 5, 3, padding=1).double()
    images = torch.rand(2, 3, 6, 7, dtype=torch.float64)
    repeated = images.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    torch.testing.assert_close(upsampled_convolution(convolution, images, scale), convolution(repeated))


def test_chains_are_what_the_autoencoders_and_the_cnn_are_made_of():
    assert {model for model, _ in CHAINS} == {"kd_cae", "vae", "ni_cae", "cnn"}


@pytest.mark.parametrize(("model", "part"), CHAINS)
def test_values_and_gradients_are_those_of_the_plain_sequence(model, part):
    chain = models.create(model, params.value("models")[model]).network_parts()[part].double()
    channels = next(layer for layer in chain if isinstance(layer, nn.Conv2d)).in_channels
    side = 12 if part == "decoder" else 96
    images = torch.rand(2, channels, side, side, dtype=torch.float64, requires_grad=True)
    found = []
    for network in (chain, nn.Sequential(*chain)):
        made = network(images)
        weighted = (made * torch.linspace(0, 1, made.numel(), dtype=made.dtype).view_as(made)).sum()
        found.append([made, *torch.autograd.grad(weighted, [images, *network.parameters()])])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Upsample(scale_factor=3), nn.ReLU(), nn.MaxPool2d(2)],
        [nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 5, padding=2)],
        [nn.Upsample(scale_factor=2), nn.ReLU()],
        [nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(2, 2, 3, padding=1)],
        [nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 3, padding=1, stride=2)],
        [nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 3, padding=1, dilation=2)],
        [nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 3, padding=1, groups=2)],
        [nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")],
        [nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 1, stride=3)],
    ],
    ids=str,
)
def test_unusual_layers_are_computed_all_the_same(layers):
    chain = FastSequential(*layers).double()
    images = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(chain(images), nn.Sequential(*chain)(images))
