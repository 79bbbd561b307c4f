"""Choice of the good images whose vectors are kept at a place, where there are more than are needed."""

import torch

LIKELY = 20  # for each kept vector, how many of the least covered ones its stand-in is chosen from


def farthest(values: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (cells, count) numbers of the vectors (cells, n, d) that cover all of them best, and stand-ins.

    Greedy k-centre (Gonzalez 1985): first the one next to the mean, then always the one that is farthest from
    those already taken. PatchCore (Roth et al. 2022) thins its memory so.

    A stand-in is the vector that would be kept if a kept one had never been there: where a vector is left out
    alone, those that it covered are not covered either, and distances from the others are larger than a new
    image's. So the one that is then farthest from the others takes its place.

    Args:
        values: of them n > count.
        count: at least 2.
    """
    centred = values - values.mean(dim=1, keepdim=True)
    squares = centred.square().sum(dim=2)
    products = torch.baddbmm(squares[:, None], centred, centred.transpose(1, 2), alpha=-2)
    apart = products.add_(squares[..., None])  # (cells, n, n)
    apart.diagonal(dim1=1, dim2=2).fill_(-1.0)  # of equal vectors others are taken, not one again
    every = torch.arange(len(values))
    taken = [squares.argmin(dim=1)]
    to_taken = [apart[every, taken[0]]]
    nearest = to_taken[0]
    while len(taken) < count:
        taken.append(nearest.argmax(dim=1))
        to_taken.append(apart[every, taken[-1]])
        nearest = torch.minimum(nearest, to_taken[-1])
    kept, to_kept = torch.stack(taken, dim=1), torch.stack(to_taken, dim=1)
    nearest, covering = to_kept.min(dim=1)
    second = to_kept.scatter_(1, covering[:, None], torch.inf).amin(dim=1)
    second.scatter_(1, kept, -1.0)
    alone = covering[:, None] == torch.arange(count)[:, None]  # (cells, count, n): which are covered by which
    return kept, torch.where(alone, second[:, None], nearest[:, None]).argmax(dim=2)


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


def stand_ins_of_many(values: torch.Tensor, kept: torch.Tensor, owners: torch.Tensor) -> list[torch.Tensor]:
    """Return, for each owner, the numbers of the vectors that would be kept if its own had never been there.

    There are as many as the owner has among those kept, or fewer if no more exist; each is the one farthest
    from what the others keep.

    Args:
        values: (n, d).
        kept: (k,) numbers of the vectors that are kept.
        owners: (n,) whose each vector is: 0 … m - 1.
    """
    centred = values - values.mean(dim=0)
    squares = centred.square().sum(dim=1)
    own = [kept[owners[kept] == owner] for owner in range(int(owners.max()) + 1)]
    nearest = torch.full((len(own), len(values)), torch.inf)
    for owner, some in enumerate(own):
        if len(some):
            apart = torch.addmm(squares[some], centred, centred[some].T, alpha=-2)
            nearest[owner] = (apart.amin(dim=1) + squares).clamp_min(0)
    first, whose = nearest.min(dim=0)
    second = nearest.scatter_(0, whose[None], torch.inf).amin(dim=0)
    found = []
    for owner, some in enumerate(own):
        uncovered = torch.where(whose == owner, second, first)
        uncovered[owners == owner] = uncovered[kept] = -1.0
        free = int((uncovered >= 0).sum())
        likely = uncovered.topk(min(LIKELY * len(some), free)).indices
        uncovered, taken = uncovered[likely], likely[:0]
        for _ in some[:free]:
            number = uncovered.argmax()
            taken = torch.cat([taken, likely[number][None]])
            uncovered = torch.minimum(uncovered, (values[likely] - values[taken[-1]]).square().sum(dim=1))
            uncovered[number] = -1.0
        found.append(taken)
    return found
