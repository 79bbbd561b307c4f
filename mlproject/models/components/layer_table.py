"""Table of a network's layers, read from the modules that were really built (paper, Figs. 1 and 2)."""

from typing import Any

import torch
from torch import nn

from mlproject.models.components.detector import Detector

FOLDED = (nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh)  # said in the box before them


@torch.inference_mode()
def layers(detector: Detector) -> list[dict[str, Any]]:
    """Return one entry a layer, in order: part, kind, layer (in words), shape (c[, h, w]) and parameters.

    The first entry is the input image. Each of `Detector.network_parts` is fed what the one before it makes;
    a detector without any has no layers.
    """
    parts = detector.network_parts()
    if not parts:
        return []
    first = next(module for module in next(iter(parts.values())) if isinstance(module, nn.Conv2d))
    side, device = detector.settings.image_size, first.weight.device
    values = torch.zeros(1, first.in_channels, side, side, device=device)
    found = [_entry("", "input", "image", values, 0)]
    for name, part in parts.items():
        for module in part:
            values = module(values)
            if isinstance(module, FOLDED):
                found[-1]["layer"] += f", {type(module).__name__}"
            else:
                count = sum(weights.numel() for weights in module.parameters())
                found.append(_entry(name, *_described(module), values, count))
    return found


def _entry(part: str, kind: str, words: str, values: torch.Tensor, count: int) -> dict[str, Any]:
    return {"part": part, "kind": kind, "layer": words, "shape": list(values.shape[1:]), "parameters": count}


def _described(module: nn.Module) -> tuple[str, str]:
    """Return a layer's kind (what its colour says) and its words."""
    match module:
        case nn.Conv2d():
            return "convolution", f"conv {module.kernel_size[0]}×{module.kernel_size[1]}"
        case nn.MaxPool2d():
            return "pooling", f"max-pool {module.kernel_size}"
        case nn.Upsample():
            return "upsampling", f"up {module.scale_factor:g}×"
        case nn.Linear():
            return "dense", f"dense {module.out_features}"
        case nn.Flatten():
            return "flatten", "flatten"
        case _:
            return "other", type(module).__name__
