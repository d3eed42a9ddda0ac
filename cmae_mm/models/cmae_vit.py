import torch
from mmpretrain.models.selfsup.mae import MAEViT

from cmae_mm.registry import MODELS


@MODELS.register_module()
class CMAEViT(MAEViT):
    """Vision transformer that sees only the unmasked patches of an image.

    What it adds to :class:`mmpretrain.models.selfsup.mae.MAEViT` is masking in
    square blocks of patches: the patch grid is cut into cells of
    ``block_size`` x ``block_size`` patches, and a cell is either visible or
    masked as a whole. ``block_size=1`` is MAE's masking, draw for draw.

    The state dict is that of a :class:`mmpretrain.VisionTransformer` of the
    same ``arch``, ``img_size`` and ``patch_size``.

    Source: mask ratio 0.75 of single patches in the paper (section 4, after
    MAE); 0.65 in 2x2 blocks in the authors' released recipe.

    Args:
        block_size (int): Side of a cell in patches. Both sides of the patch grid
            must be multiples of it. Defaults to 1.
        mask_ratio (float): Share of the cells that is masked, in [0, 1). At
            least one cell must stay visible. Defaults to 0.75.
        **kwargs: See :class:`mmpretrain.models.selfsup.mae.MAEViT`.

    Raises:
        ValueError: If the patch grid cannot be cut into such cells, or if no
            cell would stay visible.
    """

    def __init__(
        self, *, block_size: int = 1, mask_ratio: float = 0.75, **kwargs
    ) -> None:
        super().__init__(mask_ratio=mask_ratio, **kwargs)
        rows, cols = self.patch_resolution
        if rows != cols:
            raise ValueError(
                f'Pre-training needs a square patch grid, got {rows}x{cols} from '
                f'img_size={self.img_size}. Take a square img_size; the transfer '
                'configs then accept any height and width.'
            )
        if block_size < 1 or rows % block_size:
            raise ValueError(
                f'block_size={block_size} does not divide the patch grid of '
                f'{rows}x{cols}. Try block_size=1, or an image size that is a '
                'multiple of patch_size * block_size.'
            )
        self.block_size = block_size
        # (cells, block_size**2): the tokens of every cell, row by row.
        grid = torch.arange(rows * cols).view(
            rows // block_size, block_size, cols // block_size, block_size
        )
        cell_tokens = grid.transpose(1, 2).reshape(-1, block_size**2)
        # Not in the state dict, so that a plain VisionTransformer can load it.
        self.register_buffer('cell_tokens', cell_tokens, persistent=False)
        if not 0 <= mask_ratio < 1 or self.num_visible(mask_ratio) < 1:
            raise ValueError(
                f'mask_ratio={mask_ratio} leaves none of the {len(cell_tokens)} '
                'cells visible. It must lie in [0, 1) and leave one cell or more.'
            )

    def num_visible(self, mask_ratio: float) -> int:
        """Number of visible patches of an image, rounded as in MAE."""
        num_cells, cell_size = self.cell_tokens.shape
        return int(num_cells * (1 - mask_ratio)) * cell_size

    def random_masking(
        self, x: torch.Tensor, mask_ratio: float = 0.75
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Keep the cells with the smallest of ``torch.rand(batch, cells)``.

        Args:
            x (Tensor): Patch tokens, (B, L, D).
            mask_ratio (float): Share of the cells that is masked.

        Returns:
            tuple[Tensor, Tensor, Tensor]:

            - visible tokens (B, V, D), ordered by the draw;
            - mask (B, L), float, 0 for visible and 1 for masked patches;
            - ids_restore (B, L), int64, where the token of each place stands
              in the sequence of the visible, then the masked tokens.
        """
        batch = len(x)
        num_visible = self.num_visible(mask_ratio)

        noise = torch.rand(batch, len(self.cell_tokens), device=x.device)
        # (B, cells, block**2) -> (B, L): visible tokens first, then the masked
        ids_shuffle = self.cell_tokens[noise.argsort(dim=1)].flatten(1)
        ids_restore = ids_shuffle.argsort(dim=1)
        ids_visible = ids_shuffle[:, :num_visible]

        rows = torch.arange(batch, device=x.device).unsqueeze(1)
        visible = x[rows, ids_visible]
        mask = torch.ones(batch, x.shape[1], device=x.device)
        mask[rows, ids_visible] = 0
        return visible, mask, ids_restore

    def forward(
        self, x: torch.Tensor, mask: bool | None = True
    ) -> tuple[torch.Tensor, ...]:
        """Encode the visible patches, or the whole image.

        Args:
            x (Tensor): Normalised images, (B, 3, H, W), float.
            mask (bool, optional): True masks patches at random; False or None
                encodes the whole image. Defaults to True.

        Returns:
            tuple[Tensor, ...]: With a mask: latents of the class token and the
            visible patches (B, 1 + V, D), mask (B, L) and ids_restore (B, L).
            Without: the outputs of
            :class:`mmpretrain.VisionTransformer`, (B, 1 + L, D) each.

        Raises:
            ValueError: If masked images are not of ``img_size``.
        """
        if not mask:
            return super().forward(x, mask=None)
        if tuple(x.shape[-2:]) != tuple(self.img_size):
            raise ValueError(
                f'Images of {x.shape[-2]}x{x.shape[-1]} came into a backbone built '
                f'for img_size={tuple(self.img_size)}. Let the crop of the '
                'pipeline and img_size of the model agree.'
            )
        return super().forward(x, mask=True)
