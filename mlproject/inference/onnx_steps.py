"""Replace float64 operations that ONNX Runtime lacks, and maps need, by equal ones that it has."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

ARITHMETIC = {"add", "radd", "sub", "rsub", "mul", "rmul", "div", "truediv", "rdiv", "rtruediv"}


class OnnxSteps(TorchFunctionMode):
    """Context in which float64 convolution, resizing and average pooling are computed as matrix products.

    ONNX Runtime has no float64 Conv, Resize or AveragePool. The matrix of a resizing is the resized identity.
    Results are equal but for the last digits.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if args and isinstance(args[0], torch.Tensor) and args[0].dtype == torch.float64:
            if func is torch.conv2d:
                return _convolve(*args)
            if func is F.interpolate:
                return _resize(*args, **kwargs)
            if func is F.avg_pool2d:
                return _halve(*args)
            if getattr(func, "__name__", "").strip("_") in ARITHMETIC:
                args = tuple(_number(value) if isinstance(value, float) else value for value in args)
        return func(*args, **kwargs)


def _number(value: float) -> torch.Tensor:
    """Return a number as a tensor, because the exporter would round it to float32."""
    return torch.tensor(value, dtype=torch.float64)


def _convolve(images: torch.Tensor, kernel: torch.Tensor, *_: Any) -> torch.Tensor:
    """Return each channel of (n, c, h, w) convolved with its own kernel (c, 1, kh, kw), without padding."""
    rows, columns = kernel.shape[-2:]
    if rows == 1:
        return images @ _sliding(kernel[:, 0, 0], images.shape[-1])
    if columns == 1:
        return _sliding(kernel[:, 0, :, 0], images.shape[-2]).mT @ images
    height = images.shape[-2] - rows + 1
    strips = [_convolve(images[..., i : i + height, :], kernel[:, :, i : i + 1]) for i in range(rows)]
    return torch.stack(strips).sum(dim=0)


def _sliding(kernel: torch.Tensor, length: int) -> torch.Tensor:
    """Return the (c, length, length - k + 1) matrices whose product slides kernels (c, k) over rows."""
    size = kernel.shape[-1]
    offsets = torch.arange(length)[:, None] - torch.arange(length - size + 1)
    inside = (offsets >= 0) & (offsets < size)
    return F.pad(kernel, (0, 1))[:, torch.where(inside, offsets, size)]  # the last, padded one is 0


def _resize(images: torch.Tensor, size: tuple[int, int], *, mode: str, **how: bool) -> torch.Tensor:
    (height, width), kept = images.shape[-2:], tuple(sorted(how.items()))
    return _resizing(height, size[0], mode, kept) @ images @ _resizing(width, size[1], mode, kept).T


def _halve(images: torch.Tensor, factor: int) -> torch.Tensor:
    return _pooling(images.shape[-2], factor) @ images @ _pooling(images.shape[-1], factor).T


# Cached, because nothing can be computed while a graph is traced: a call before tracing fills the cache.
@cache
def _resizing(length: int, wanted: int, mode: str, how: tuple[tuple[str, bool], ...]) -> torch.Tensor:
    """Return the (wanted, length) float64 matrix that resizes columns."""
    return F.interpolate(_identity(length), (wanted, length), mode=mode, **dict(how))[0, 0]


@cache
def _pooling(length: int, factor: int) -> torch.Tensor:
    return F.avg_pool2d(_identity(length), (factor, 1))[0, 0]


def _identity(length: int) -> torch.Tensor:
    return torch.eye(length, dtype=torch.float64)[None, None]
