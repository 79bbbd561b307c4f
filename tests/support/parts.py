"""Photos of one part on a plain table, in any position and under any lamp, drawn with known truth."""

import math

import numpy as np
import torch

SIZE = 128


def photo(x, y, degrees, slope=0.0, lamp=1.0, mark=True):
    """A bar of 60 × 14 pixels with a thick end, and a dark mark near it, on a grey table that may slope."""
    rows, columns = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    u = (columns - x) * cosine + (rows - y) * sine
    v = (rows - y) * cosine - (columns - x) * sine
    bar = ((u.abs() < 30) & (v.abs() < 7)) | ((u > 18) & (u < 30) & (v.abs() < 13))
    table = 0.7 + slope * (columns / SIZE - 0.5)
    grey = torch.where(bar, 0.35 + 0.002 * u, table)
    if mark:
        grey = torch.where((u - 10).abs() + (v - 2).abs() < 3, 0.1, grey)
    return (grey * lamp).expand(3, -1, -1).clone()


def positions(n=14, seed=0):
    random = np.random.default_rng(seed)
    return [(*random.uniform(45, 83, 2), random.uniform(0, 360)) for _ in range(n)]
