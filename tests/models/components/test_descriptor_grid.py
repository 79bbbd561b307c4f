"""Grids of descriptors: each cell's surroundings in their places."""

import math

import torch

from mlproject.models.components import descriptor_grid


def test_surroundings_are_those_at_the_offsets_and_repeat_at_the_border():
    cells = torch.rand((1, 5, 6, 2), generator=torch.Generator().manual_seed(0))
    wide = descriptor_grid.with_surroundings(cells, ((-1, 0), (2, 1)), weight=0.5)
    assert wide.shape == (1, 5, 6, 6)
    assert torch.equal(wide[0, 2, 3], torch.cat([cells[0, 2, 3], cells[0, 1, 3] / 2, cells[0, 4, 4] / 2]))
    assert torch.equal(wide[0, 0, 5, 2:], torch.cat([cells[0, 0, 5] / 2, cells[0, 2, 5] / 2]))


def test_grids_are_the_same_when_they_were_saved():
    grids = (
        descriptor_grid.Grid(4, 2.0, (), 29, 1.5, (0.6, 1.0)),
        descriptor_grid.Grid(8, 6.0, (1, 2), 24, 0.0, (2.0,), texture=True),
    )
    assert descriptor_grid.grids_of(descriptor_grid.arrays_of(grids)) == grids
    assert descriptor_grid.grids_of({"left_out_scores": grids}) == ()


def test_a_ring_has_eight_neighbours_at_its_radius():
    for radius in (2, 4):
        offsets = descriptor_grid.ring(radius)
        assert len(set(offsets)) == 8
        assert all(abs(math.hypot(*offset) - radius) < 1 for offset in offsets)
