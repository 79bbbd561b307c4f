"""Anomaly maps enlarged to the size of the prepared images and their masks."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812


def at_prepared_size(maps: np.ndarray, size: int) -> np.ndarray:
    """Return (n, size, size) float16 of (n, h, w) maps, bilinear."""
    enlarged = F.interpolate(
        torch.from_numpy(maps)[:, None], (size, size), mode="bilinear", align_corners=False
    )
    largest = torch.finfo(torch.float16).max
    return enlarged[:, 0].clamp(-largest, largest).to(torch.float16).numpy()
