import torch
from torch import nn


class BlockMasking(nn.Module):
    """Draws which patches of an image an encoder may see.

    The patch grid is cut into cells of ``block_size`` x ``block_size`` patches,
    and a cell is either visible or masked as a whole. ``block_size=1`` is MAE's
    masking, draw for draw.

    Source: mask ratio 0.75 of single patches in the paper (section 4, after
    MAE); 0.65 in 2x2 blocks in the authors' released recipe.

    Args:
        grid (tuple[int, int]): Rows and columns of patches; need not be equal.
        block_size (int): Side of a cell in patches. Both sides of the grid must
            be multiples of it. Defaults to 1.
        mask_ratio (float): Share of the cells that is masked, in [0, 1). At
            least one cell must stay visible. Defaults to 0.75.

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
        # (cells, block_size**2): the tokens of every cell, row by row.
        tokens = torch.arange(rows * cols).view(
            rows // block_size, block_size, cols // block_size, block_size
        )
        cell_tokens = tokens.transpose(1, 2).reshape(-1, block_size**2)
        # Not in the state dict, so that a plain backbone can load the encoder's.
        self.register_buffer('cell_tokens', cell_tokens, persistent=False)
        # Rounded as in MAE.
        visible_cells = int(len(cell_tokens) * (1 - mask_ratio))
        if not 0 <= mask_ratio < 1 or visible_cells < 1:
            raise ValueError(
                f'mask_ratio={mask_ratio} leaves none of the {len(cell_tokens)} '
                'cells visible. It must lie in [0, 1) and leave one cell or more.'
            )
        self.num_visible = visible_cells * block_size**2

    def forward(self, batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Keep the cells with the smallest of ``torch.rand(batch, cells)``.

        Args:
            batch (int): Number of images, B.

        Returns:
            tuple[Tensor, Tensor, Tensor]:

            - ids_visible (B, V), int64, the visible tokens in the order of the
              draw;
            - mask (B, L), float, 0 for visible and 1 for masked patches;
            - ids_restore (B, L), int64, where the token of each place stands
              in the sequence of the visible, then the masked tokens.
        """
        noise = torch.rand(batch, len(self.cell_tokens), device=self.cell_tokens.device)
        # (B, cells, block**2) -> (B, L): visible tokens first, then the masked
        ids_shuffle = self.cell_tokens[noise.argsort(dim=1)].flatten(1)
        ids_restore = ids_shuffle.argsort(dim=1)
        ids_visible = ids_shuffle[:, : self.num_visible]
        mask = (ids_restore >= self.num_visible).float()
        return ids_visible, mask, ids_restore


def take_tokens(tokens: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The tokens at the given places of each image.

    Args:
        tokens (Tensor): (B, L, D).
        ids (Tensor): (B, V), int64, in [0, L).

    Returns:
        Tensor: (B, V, D).
    """
    images = torch.arange(len(tokens), device=tokens.device).unsqueeze(1)
    return tokens[images, ids]
