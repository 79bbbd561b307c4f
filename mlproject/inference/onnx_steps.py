"""Replace operations that ONNX or ONNX Runtime lacks, and detectors need, by equal ones that it has."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

ARITHMETIC = {"add", "radd", "sub", "rsub", "mul", "rmul", "div", "truediv", "rdiv", "rtruediv"}
NOTHING = 1e-6  # up to 1e-8 the exporter's optimiser takes for 0, and leaves out
LARGER = 2.0**20


class OnnxSteps(TorchFunctionMode):
    """Context in which what ONNX lacks, or ONNX Runtime computes otherwise, is computed by other steps.

    Float64 convolution, resizing and average pooling become matrix products: ONNX Runtime has no such Conv,
    Resize or AveragePool. So does, in any precision, resizing that averages. The matrix of a resizing is the
    resized identity. Linear equations are solved by elimination, a median is the last of the lowest
    half. Results are equal but for the last digits.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        double = bool(args) and isinstance(args[0], torch.Tensor) and args[0].dtype == torch.float64
        replaced = (EVERYWHERE | IN_DOUBLE if double else EVERYWHERE).get(func)
        if func is F.interpolate and (kwargs.get("mode") == "area" or kwargs.get("antialias")):
            replaced = _resize
        if double and getattr(func, "__name__", "").strip("_") in ARITHMETIC:
            args = tuple(_number(value) if isinstance(value, float) else value for value in args)
        elif func is torch.Tensor.add and isinstance(args[1], float) and 0 < args[1] < NOTHING:
            replaced = _add_little
        return (replaced or func)(*args, **kwargs)


def _number(value: float) -> torch.Tensor:
    """Return a number as a tensor, because the exporter would round it to float32."""
    return torch.tensor(value, dtype=torch.float64)


def _add_little(values: torch.Tensor, little: float) -> torch.Tensor:
    """Return float32 values + a number, both exactly enlarged meanwhile."""
    return (values * LARGER + little * LARGER) * (1 / LARGER)


def _convolve(images: torch.Tensor, kernel: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
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
    down, across = (
        _resizing(length, wanted, mode, kept).to(images.dtype)
        for length, wanted in zip((height, width), size, strict=True)
    )
    return down @ images @ across.T


def _solve(matrices: torch.Tensor, sides: torch.Tensor) -> torch.Tensor:
    """Return (n, k, 1), the solutions of (n, k, k) x = (n, k, 1), by Gauss and Jordan's elimination.

    Rows are not exchanged: of positive definite matrices, as all here are, no pivot is 0.
    """
    left = torch.cat([matrices, sides], dim=2)
    for k in range(matrices.shape[1]):
        row = left[:, k : k + 1] / left[:, k : k + 1, k : k + 1]
        others = left - left[:, :, k : k + 1] * row
        left = torch.cat([others[:, :k], row, others[:, k + 1 :]], dim=1)
    return left[:, :, -1:]


class _Median(NamedTuple):
    values: torch.Tensor


def _median(values: torch.Tensor, dim: int) -> _Median:
    """Return the lower median, as torch does; its indices are not needed."""
    middle = (values.shape[dim] + 1) // 2
    return _Median(values.topk(middle, dim=dim, largest=False, sorted=True).values.select(dim, -1))


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


EVERYWHERE: dict[Any, Callable[..., Any]] = {torch.linalg.solve: _solve, torch.Tensor.median: _median}
IN_DOUBLE: dict[Any, Callable[..., Any]] = {
    torch.conv2d: _convolve,
    F.interpolate: _resize,
    F.avg_pool2d: _halve,
}
