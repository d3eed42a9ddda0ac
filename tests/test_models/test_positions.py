import math

import pytest
import torch

from cmae_mm.models.positions import sincos_positions


def by_hand(row, col, width, temperature=10000.0):
    """The embedding of one patch: sin and cos of the row, then of the column.

    In the square case mmpretrain gives the row the part that MAE gives the
    column; that choice is kept for all grids.
    """
    quarter = width // 4
    parts = []
    for place in (row, col):
        angles = [place / temperature ** (i / quarter) for i in range(quarter)]
        parts += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    return torch.tensor(parts)


@pytest.mark.parametrize('grid', [(4, 4), (2, 6), (5, 3)])
def test_equals_the_formula_at_every_patch(grid):
    table = sincos_positions(grid, 16)[0]
    assert (table[0] == 0).all()
    for row in range(grid[0]):
        for col in range(grid[1]):
            place = table[1 + row * grid[1] + col]
            torch.testing.assert_close(place, by_hand(row, col, 16), atol=1e-6, rtol=0)


def test_without_a_class_token():
    assert sincos_positions((2, 3), 8, num_extra_tokens=0).shape == (1, 6, 8)
