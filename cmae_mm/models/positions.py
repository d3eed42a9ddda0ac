"""Fixed sin-cos positions for a patch grid of any shape."""

import torch
from mmpretrain.models.utils import build_2d_sincos_position_embedding


def sincos_positions(
    grid: tuple[int, int], width: int, num_extra_tokens: int = 1
) -> torch.Tensor:
    """2-D sin-cos position embedding, row by row.

    mmpretrain's function lists the grid column by column. For a square grid that
    only swaps the roles of the axes (as in the released code, against MAE's); for
    another grid rows and columns must be handed over swapped to keep every
    position at its patch.

    Args:
        grid (tuple[int, int]): Rows and columns of the patch grid.
        width (int): D, a multiple of 4.
        num_extra_tokens (int): 1 puts a zero in front for the class token, 0 does
            not. Defaults to 1.

    Returns:
        Tensor: (1, num_extra_tokens + rows * columns, width), float32.
    """
    rows, cols = grid
    return build_2d_sincos_position_embedding(
        (cols, rows), width, cls_token=bool(num_extra_tokens)
    ).float()
