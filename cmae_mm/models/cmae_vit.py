import torch
import torch.nn.functional as F
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.selfsup.mae import MAEViT
from torch import nn

from cmae_mm.registry import MODELS

from .masking import BlockMasking, Masking, take_patches, take_tokens
from .positions import sincos_positions


@MODELS.register_module()
class CMAEViT(MAEViT):
    """Vision transformer that sees only the unmasked patches of an image.

    What it adds to :class:`mmpretrain.models.selfsup.mae.MAEViT`: masking in square
    blocks of patches (see :class:`cmae_mm.models.masking.BlockMasking`), patch
    grids that are not square, any number of channels, and less work: only the
    visible patches are embedded.

    The state dict is that of a :class:`mmpretrain.VisionTransformer` of the
    same ``arch``, ``img_size`` and ``patch_size``.

    Source: mask ratio 0.75 of single patches in the paper (section 4, after
    MAE); 0.65 in 2x2 blocks in the authors' released recipe.

    Args:
        img_size (int | tuple[int, int]): Height and width of the views in pixels.
            Defaults to 224.
        patch_size (int): Side of a patch in pixels. Defaults to 16.
        in_channels (int): Channels of the images. Defaults to 3.
        block_size (int): Side of a cell in patches. Both sides of the patch grid
            must be multiples of it. Defaults to 1.
        mask_ratio (float): Share of the cells that is masked, in [0, 1). At
            least one cell must stay visible. Defaults to 0.75.
        patch_cfg (dict, optional): See the base class.
        **kwargs: See :class:`mmpretrain.models.selfsup.mae.MAEViT`; there is no
            ``drop_rate``, which would reach the whole images of the target only.

    Raises:
        ValueError: If the images cannot be cut into such patches and cells, or if no
            cell would stay visible.
        TypeError: If a ``drop_rate`` is given.
    """

    num_extra_tokens = 1

    def __init__(
        self,
        *,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        block_size: int = 1,
        mask_ratio: float = 0.75,
        patch_cfg: dict | None = None,
        **kwargs,
    ) -> None:
        if 'drop_rate' in kwargs:
            raise TypeError('CMAEViT has no drop_rate; pre-training drops nothing.')
        super().__init__(
            img_size=img_size,
            patch_size=patch_size,
            mask_ratio=mask_ratio,
            patch_cfg={'in_channels': in_channels, **(patch_cfg or {})},
            **kwargs,
        )
        if any(side % patch_size for side in self.img_size):
            raise ValueError(
                f'img_size={img_size} is not a multiple of patch_size={patch_size}. '
                'Take another crop for pre-training.'
            )
        self.patch_size = patch_size
        self.in_channels = in_channels
        self.masking = BlockMasking(self.patch_resolution, block_size, mask_ratio)

    def init_weights(self) -> None:
        """Fixed positions, and Xavier for the patches; or the given checkpoint."""
        # MAEViT's own initialisation knows square grids only, and overwrites
        # parts of a checkpoint given by init_cfg.
        VisionTransformer.init_weights(self)
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained':
            return
        self.pos_embed.data.copy_(
            sincos_positions(self.patch_resolution, self.embed_dims)
        )
        nn.init.xavier_uniform_(self.patch_embed.projection.weight.data.flatten(1))
        nn.init.normal_(self.cls_token, std=0.02)

    def forward(
        self, x: torch.Tensor, masking: Masking | bool | None = True
    ) -> tuple[torch.Tensor, Masking] | tuple[torch.Tensor, ...]:
        """Encode the visible patches, or the whole image.

        Args:
            x (Tensor): Normalised images, (B, channels, H, W), float.
            masking (Masking | bool, optional): True draws what stays visible; a
                :class:`cmae_mm.models.masking.Masking` is used as it is; False or
                None encodes the whole image. Defaults to True.

        Returns:
            tuple: With masking: latents of the class token and the visible patches
            (B, 1 + V, D), and the masking. Without: the outputs of
            :class:`mmpretrain.VisionTransformer`, (B, 1 + L, D) each.

        Raises:
            ValueError: If masked images are not of ``img_size``.
        """
        if masking is None or masking is False:
            return super().forward(x, mask=None)
        if tuple(x.shape[-2:]) != tuple(self.img_size):
            raise ValueError(
                f'Images of {x.shape[-2]}x{x.shape[-1]} came into a backbone built '
                f'for img_size={tuple(self.img_size)}. Let the crop of the '
                'pipeline and img_size of the model agree.'
            )
        if masking is True:
            masking = self.masking(len(x))
        positions = self.pos_embed.expand(len(x), -1, -1)
        visible = self.embed_patches(x, masking.ids_visible)  # (B, V, D)
        visible = visible + take_tokens(positions[:, 1:], masking.ids_visible)
        tokens = torch.cat([self.cls_token + positions[:, :1], visible], dim=1)
        for layer in self.layers:
            tokens = layer(tokens)
        if self.final_norm:
            tokens = self.norm1(tokens)
        return tokens, masking

    def embed_patches(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """The patch embedding, as a matrix product on the given patches alone.

        Args:
            x (Tensor): (B, channels, H, W).
            ids (Tensor): Places of patches, int64 (B, N).

        Returns:
            Tensor: (B, N, D), without positions.
        """
        conv = self.patch_embed.projection
        weight = conv.weight.permute(0, 2, 3, 1).flatten(1)  # (D, p * p * C)
        return F.linear(take_patches(x, ids, self.patch_size), weight, conv.bias)
