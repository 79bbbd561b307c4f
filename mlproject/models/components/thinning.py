"""Choice of the good images whose vectors are kept at a place, where there are more than are needed."""

import torch


def farthest(values: torch.Tensor, count: int) -> torch.Tensor:
    """Return (cells, count at most) numbers of the vectors (cells, n, d) that cover all of them best.

    Greedy k-centre (Gonzalez 1985): first the one next to the mean, then always the one that is farthest from
    those already taken. PatchCore (Roth et al. 2022) thins its memory so.
    """
    cells, n, _ = values.shape
    if n <= count:
        return torch.arange(n).expand(cells, n)
    every, apart = torch.arange(cells), _squared_distances(values)
    taken = [(values - values.mean(dim=1, keepdim=True)).square().sum(dim=2).argmin(dim=1)]
    nearest = apart[every, taken[0]]
    while len(taken) < count:
        taken.append(nearest.argmax(dim=1))
        nearest = torch.minimum(nearest, apart[every, taken[-1]])
    return torch.stack(taken, dim=1)


def farthest_of_many(values: torch.Tensor, count: int) -> torch.Tensor:
    """Return (count at most,) numbers as `farthest` does, of (n, d) vectors too many to compare all pairs."""
    if len(values) <= count:
        return torch.arange(len(values))
    taken = [int((values - values.mean(dim=0)).square().sum(dim=1).argmin())]
    nearest = torch.full((len(values),), torch.inf)
    while len(taken) < count:
        nearest = torch.minimum(nearest, (values - values[taken[-1]]).square().sum(dim=1))
        nearest[taken[-1]] = -1.0  # of equal vectors others are taken, not one again
        taken.append(int(nearest.argmax()))
    return torch.tensor(taken)


def stand_ins(values: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Return (cells, k), which vector would be kept if a kept one had never been there.

    Where a vector is left out alone, those that it covered are not covered either, and distances from the
    others are larger than a new image's. So the one that is then farthest from the others takes its place.

    Args:
        values: (cells, n, d).
        kept: (cells, k) numbers of the vectors that `farthest` chose, 2 ≤ k < n.
    """
    n, k = values.shape[1], kept.shape[1]
    to_kept = _squared_distances(values).gather(1, kept[..., None].expand(-1, -1, n))
    (nearest, second), slots = (found.unbind(1) for found in to_kept.topk(2, dim=1, largest=False))
    nearest, second = (found.scatter(1, kept, -1.0) for found in (nearest, second))
    alone = slots[0][:, None] == torch.arange(k)[:, None]  # (cells, k, n): which are covered by which
    return torch.where(alone, second[:, None], nearest[:, None]).argmax(dim=2)


def _squared_distances(values: torch.Tensor) -> torch.Tensor:
    """Return (cells, n, n) of (cells, n, d)."""
    centred = values - values.mean(dim=1, keepdim=True)
    squares = centred.square().sum(dim=2)
    products = torch.baddbmm(squares[:, None], centred, centred.transpose(1, 2), alpha=-2)
    return products + squares[..., None]
