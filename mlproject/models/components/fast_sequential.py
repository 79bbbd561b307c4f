"""Sequential network with layers reordered: same output up to rounding, less computation."""

import functools
from typing import TypeGuard, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class FastSequential(nn.Sequential):
    """A Sequential whose values differ from the plain one's by rounding alone.

    >>> layers = nn.Upsample(scale_factor=2), nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
    >>> images = torch.rand(5, 1, 8, 8)
    >>> torch.allclose(FastSequential(*layers)(images), nn.Sequential(*layers)(images), atol=1e-6)
    True

    - A maximum is taken before a ReLU, which then has fewer values to look at.
    - What treats each pixel alone comes before an upsampling, which then has fewer channels to repeat.
    - A 3 × 3 convolution of an upsampled image becomes one of the image itself (`upsampled_convolution`).
    """

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        scale = 1  # of the upsamplings that are still due
        for before, layer, after in zip([None, *self], self, [*self, None][1:], strict=False):
            if isinstance(layer, nn.Upsample) and layer.mode == "nearest":
                scale *= int(cast(float, layer.scale_factor))
            elif scale > 1 and _is_three_by_three(layer):
                values, scale = upsampled_convolution(layer, values, scale), 1
            elif not (isinstance(layer, nn.ReLU) and isinstance(after, nn.MaxPool2d)):
                if not _treats_pixels_alone(layer):
                    values, scale = _upsampled(values, scale), 1
                values = layer(values)
                if isinstance(layer, nn.MaxPool2d) and isinstance(before, nn.ReLU):
                    values = before(values)
        return _upsampled(values, scale)


def upsampled_convolution(convolution: nn.Conv2d, images: torch.Tensor, scale: int) -> torch.Tensor:
    """Return convolution(images repeated `scale` times in both directions), (n, c, scale · h, scale · w).

    A 3 × 3 window on repeated pixels sees 2 × 2 different ones at most. So the scale × scale pixels around
    each corner at which four blocks of repeated pixels meet are as many 2 × 2 convolutions of these four.

    Args:
        convolution: 3 × 3, padded by one zero.
        images: (n, c, h, w).
        scale: 2 at least.
    """
    channels_out, channels_in = convolution.weight.shape[:2]
    windows = convolution.weight.permute(0, 2, 3, 1).reshape(channels_out, 9, channels_in)
    # a row for each place around a corner and pixel of the 2 × 2: kernels with the channels last
    kernels = (
        (torch.from_numpy(_taps(scale)).to(windows) @ windows).view(-1, 2, 2, channels_in).permute(0, 3, 1, 2)
    )
    bias = None if convolution.bias is None else convolution.bias.repeat_interleave(scale**2)
    corners = F.pixel_shuffle(F.conv2d(images, kernels, bias, padding=1), scale)
    height, width = (scale * side for side in images.shape[-2:])
    edge = scale // 2  # of the outermost corners' surroundings, half lies outside
    return corners[..., edge : edge + height, edge : edge + width]


@functools.cache
def _taps(scale: int) -> np.ndarray:
    """Return (scale² · 4, 9): whether each value of a 3 × 3 kernel counts for a block, at each place.

    In one direction first: (place around a corner, block before or after the corner, value of the kernel).
    """
    line = np.zeros((scale, 2, 3), dtype=np.float32)
    for place in range(scale):
        block, inside = divmod(place - scale // 2, scale)  # block −1 before the corner, 0 after it
        for t in range(3):
            line[place, block + 1 + (inside + t - 1) // scale, t] = 1
    return np.einsum("aky,blx->abklyx", line, line).reshape(-1, 9)


def _upsampled(values: torch.Tensor, scale: int) -> torch.Tensor:
    return F.interpolate(values, scale_factor=scale, mode="nearest") if scale > 1 else values


def _treats_pixels_alone(layer: nn.Module) -> bool:
    return isinstance(layer, nn.ReLU | nn.Sigmoid) or _is_convolution(layer, kernel=1)


def _is_three_by_three(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    return _is_convolution(layer, kernel=3)


def _is_convolution(layer: nn.Module, kernel: int) -> bool:
    """Say whether it is a plain convolution of this size whose output has its input's size."""
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (kernel, kernel)
        and layer.padding == (kernel // 2, kernel // 2)
        and layer.stride == layer.dilation == (1, 1)
        and (layer.groups, layer.padding_mode) == (1, "zeros")
    )
