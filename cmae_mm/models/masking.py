"""Which patches the online encoder sees."""

from typing import NamedTuple

import torch
from torch import nn


class Masking(NamedTuple):
    """One draw for a batch; L patches of an image, V of them visible.

    Attributes:
        ids_visible (Tensor): Places of the visible patches, ordered by the draw,
            int64 (B, V).
        ids_masked (Tensor): Places of the masked patches, int64 (B, L - V).
    """

    ids_visible: torch.Tensor
    ids_masked: torch.Tensor

    @property
    def mask(self) -> torch.Tensor:
        """0 for visible and 1 for masked patches, float (B, L)."""
        batch, visible = self.ids_visible.shape
        places = visible + self.ids_masked.shape[1]
        mask = torch.ones(batch, places, device=self.ids_visible.device)
        return mask.scatter_(1, self.ids_visible, 0.0)


class BlockMasking(nn.Module):
    """Random masking in square blocks of patches.

    The patch grid is cut into cells of ``block_size`` x ``block_size`` patches; a
    cell is visible or masked as a whole. The cells with the smallest of
    ``torch.rand(batch, cells)`` stay visible, which for ``block_size=1`` is MAE's
    masking, draw for draw.

    Args:
        grid (tuple[int, int]): Rows and columns of the patch grid.
        block_size (int): Side of a cell in patches; divides both. Defaults to 1.
        mask_ratio (float): Share of the cells that is masked, in [0, 1). At least
            one cell must stay visible. Defaults to 0.75.

    Raises:
        ValueError: If the grid cannot be cut into such cells, or if no cell
            would stay visible.
    """

    def __init__(
        self, grid: tuple[int, int], block_size: int = 1, mask_ratio: float = 0.75
    ) -> None:
        super().__init__()
        rows, cols = grid
        if block_size < 1 or rows % block_size or cols % block_size:
            raise ValueError(
                f'block_size={block_size} does not divide the patch grid of '
                f'{rows}x{cols}. Try block_size=1, or an image size that is a '
                'multiple of patch_size * block_size.'
            )
        places = torch.arange(rows * cols).view(
            rows // block_size, block_size, cols // block_size, block_size
        )
        # (cells, block_size**2): the tokens of every cell, row by row. Not in the
        # state dict, so that a plain VisionTransformer can load it.
        cell_tokens = places.transpose(1, 2).reshape(-1, block_size**2)
        self.register_buffer('cell_tokens', cell_tokens, persistent=False)

        num_cells = len(cell_tokens)
        visible_cells = int(num_cells * (1 - mask_ratio))  # rounded as in MAE
        if not 0 <= mask_ratio < 1 or visible_cells < 1:
            raise ValueError(
                f'mask_ratio={mask_ratio} leaves none of the {num_cells} cells '
                'visible. It must lie in [0, 1) and leave one cell or more.'
            )
        self.num_visible = visible_cells * block_size**2

    def forward(self, batch: int) -> Masking:
        """Draw which patches of each of ``batch`` images stay visible."""
        noise = torch.rand(batch, len(self.cell_tokens), device=self.cell_tokens.device)
        # (B, cells, block**2) -> (B, L): visible tokens first, then the masked
        order = self.cell_tokens[noise.argsort(dim=1)].flatten(1)
        return Masking(order[:, : self.num_visible], order[:, self.num_visible :])


def take_tokens(tokens: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Tokens at the given places: (B, L, D) and (B, V) to (B, V, D)."""
    images = torch.arange(len(tokens), device=tokens.device).unsqueeze(1)
    return tokens[images, ids]


def take_patches(
    images: torch.Tensor, ids: torch.Tensor, patch_size: int
) -> torch.Tensor:
    """Cut the patches at the given places out of images, and no others.

    Args:
        images (Tensor): (B, C, H, W); H and W are multiples of ``patch_size``.
        ids (Tensor): Places in the patch grid, row by row, int64 (B, N).
        patch_size (int): Side of a patch in pixels.

    Returns:
        Tensor: (B, N, patch_size**2 * C), row by row, the channel being last.
    """
    batch, channels, height, width = images.shape
    rows, cols = height // patch_size, width // patch_size
    cut = images.view(batch, channels, rows, patch_size, cols, patch_size)
    cut = cut.permute(0, 2, 4, 3, 5, 1)  # (B, rows, cols, p, p, C), a view
    numbers = torch.arange(batch, device=images.device).unsqueeze(1)
    return cut[numbers, ids // cols, ids % cols].flatten(2)
