"""Prepared images as tensors that networks take, and tensors as images that people see."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

Colour = Literal["rgb", "grey", "grey3"]
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's convert("L")
HALF = 0.5 + 1e-9  # above float64's error on sums of pixels, below any step between two of them
CHUNK = 32  # images generated or shrunk at once: bounds memory, fixed so that what is generated does not vary


def network_images(images: np.ndarray, size: int, colour: Colour) -> torch.Tensor:
    """Return (n, c, size, size) uint8 for (n, s, s, 3) uint8 prepared images, as `fit_network` does."""
    starts = range(0, len(images), CHUNK)
    chunks = (torch.from_numpy(np.array(images[start : start + CHUNK])) for start in starts)
    return torch.cat([fit_network(chunk, size, colour) for chunk in chunks])


def fit_network(images: torch.Tensor, size: int, colour: Colour) -> torch.Tensor:
    """Return (n, c, size, size) uint8 for (n, s, s, 3) uint8 images, by torch operations alone.

    Shrinking is antialiased. `grey3` is grey kept as three channels (the paper's KD-CAE, 3.5.1).
    """
    # float64, and halves upwards: halves are common here (averages of whole numbers), and in float32 they
    # would fall to either side by the order in which a library adds
    if colour == "rgb":
        fitted = images.permute(0, 3, 1, 2).double()
    else:
        red, green, blue = images.unbind(3)
        fitted = red.double().mul_(LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])[:, None]
    if fitted.shape[-1] != size:
        fitted = F.interpolate(fitted, (size, size), mode="bilinear", antialias=True, align_corners=False)
    fitted = (fitted + HALF).floor().clamp(0, 255).to(torch.uint8)
    return fitted.expand(-1, 3, -1, -1).contiguous() if colour == "grey3" else fitted


def grey(images: torch.Tensor) -> torch.Tensor:
    """Return (n, h, w), the luminance of (n, 3, h, w) float images."""
    red, green, blue = images.unbind(1)
    return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def display_images(images: torch.Tensor) -> np.ndarray:
    """Return (n, h, w, 3) uint8 for (n, 1 or 3, h, w) float images in [0, 1]."""
    rgb = images.detach().float().cpu().clamp(0, 1).expand(-1, 3, -1, -1)
    return (rgb * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def jitter(images: torch.Tensor, amount: float, generator: torch.Generator) -> torch.Tensor:
    """Change brightness and contrast of each (n, c, h, w) image in [0, 1] by up to ± amount, at random.

    Light varies on a line as it does in MVTec's screw (mean brightness alone separates its test set);
    a detector must not read it.
    """
    if amount == 0:
        return images
    brightness, contrast = ((torch.rand((2, len(images), 1, 1, 1), generator=generator) * 2 - 1) * amount).to(
        images.device
    )
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((images - mean) * (1 + contrast) + mean * (1 + brightness)).clamp(0, 1)


def turn(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Turn each square (n, c, h, h) image by a random quarter and mirror half of them: labels stay."""
    quarters = torch.randint(4, (len(images),), generator=generator).tolist()
    mirrored = torch.randint(2, (len(images),), generator=generator).tolist()
    turned = [image.rot90(k, (1, 2)) for image, k in zip(images, quarters, strict=True)]
    return torch.stack([image.flip(2) if m else image for image, m in zip(turned, mirrored, strict=True)])
