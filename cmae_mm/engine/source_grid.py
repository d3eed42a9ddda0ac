"""The grid of patches that the positions in a checkpoint belong to."""

import math

from mmpretrain.models.utils import to_2tuple
from torch import nn

from .config_text import read_settings


def check_grid(
    module: nn.Module, file: str, meta: dict | None, positions: tuple[int, ...]
) -> None:
    """Refuse positions that mmpretrain would put at the wrong patches.

    It takes positions of the right number as they are, and reads others as those of a
    square grid, which it resizes.

    Args:
        module (nn.Module): The encoder to load them, with ``patch_resolution``;
            others are not looked at.
        file (str): The checkpoint, for the error.
        meta (dict, optional): Its 'meta'; a grid that is not told there is taken on
            trust.
        positions (tuple[int, ...]): Shape of its ``pos_embed``, (1, L, D).

    Raises:
        RuntimeError: If the checkpoint's grid is known, another one, and either not
            square or of the same number of patches; or unknown, and neither square
            nor of that number.
    """
    grid = source_grid(meta or {})
    ours = getattr(module, 'patch_resolution', None)
    if ours is None:
        return
    if grid is None:
        _check_number(module, file, positions[1])
        return
    # One more than patches: the class token.
    if positions[1] - math.prod(grid) not in (0, 1):
        return
    alike = grid[0] == grid[1] and math.prod(grid) != math.prod(ours)
    if grid == tuple(ours) or alike:
        return
    size = tuple(
        rows * (pixels // here)
        for rows, pixels, here in zip(grid, module.img_size, ours, strict=True)
    )
    raise RuntimeError(
        f'{file} holds positions of {grid[0]}x{grid[1]} patches, the model has '
        f'{ours[0]}x{ours[1]}: they would come to the wrong places. Build the '
        f'backbone with img_size={size}, the grid of the pre-training; in '
        'transfer it interpolates to any input at run time.'
    )


def _check_number(module: nn.Module, file: str, positions: int) -> None:
    """Refuse positions of an unknown grid that cannot be square."""
    extra = getattr(module, 'num_extra_tokens', 0)
    patches, wanted = positions - extra, math.prod(module.patch_resolution)
    if patches == wanted or (patches > 0 and math.isqrt(patches) ** 2 == patches):
        return
    raise RuntimeError(
        f'{file} holds positions of {patches} patches, the model has {wanted}, and the '
        f'file does not tell how they lie; a square of {patches} there is not. Build '
        'the backbone with the img_size of the pre-training.'
    )


def source_grid(meta: dict) -> tuple[int, int] | None:
    """Rows and columns of patches, where a checkpoint tells them.

    The number of positions does not: 64 may be 8x8 or 4x16.

    Args:
        meta (dict): 'meta' of a checkpoint, with MMEngine's 'cfg', the text of the
            config, or with 'bridge' of :mod:`cmae_mm.bridge`.

    Returns:
        tuple[int, int], optional: None if it does not tell.
    """
    try:
        if 'bridge' in meta:
            rows, cols = meta['bridge']['grid']
            return rows, cols
        return grid_of(read_settings(meta['cfg'], 'model')['model']['backbone'])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def grid_of(backbone: dict) -> tuple[int, int]:
    """Rows and columns of patches of an encoder.

    Args:
        backbone (dict): Its config. What it leaves out is as in every encoder here.

    Raises:
        AttributeError: If its settings are not what an encoder takes; or TypeError,
            or ValueError.
    """
    image = to_2tuple(backbone.get('img_size', 224))
    patch = to_2tuple(_patch(backbone))
    return image[0] // patch[0], image[1] // patch[1]


def _patch(backbone: dict) -> int | tuple[int, int]:
    """Side of a patch; the hybrid has the product of its strides."""
    return backbone.get('patch_size', math.prod(backbone.get('strides', (16,))))
