"""What a halving loses comes back from the encoder."""

import torch
from torch import nn

from mlproject.models.components.skips import SkippingDecoder, SkippingEncoder


def test_each_upsampling_is_given_what_the_halving_of_its_size_had():
    encoder = SkippingEncoder(nn.MaxPool2d(2), nn.MaxPool2d(2))
    decoder = SkippingDecoder(nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=2))
    images = torch.rand(2, 3, 8, 12)
    halves = images.unflatten(2, (4, 2)).unflatten(4, (6, 2)).amax(dim=(3, 5))
    quarters = halves.unflatten(2, (2, 2)).unflatten(4, (3, 2)).amax(dim=(3, 5))
    codes, *_ = encoded = encoder(images)
    assert torch.equal(codes, quarters)
    expected = images
    for scale, values in ((2, halves), (4, quarters)):
        expected = expected + values.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    torch.testing.assert_close(decoder(encoded), expected)
