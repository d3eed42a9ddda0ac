import torch
from mmcv.cnn.bricks.transformer import PatchEmbed
from mmengine.model import ModuleList
from torch import nn

from cmae_mm.registry import MODELS

from .conv_vit import ConvViT
from .masking import BlockMasking, Masking, take_tokens
from .positions import sincos_positions


@MODELS.register_module()
class CMAEConvViT(ConvViT):
    """ConvMAE's hybrid encoder, for both branches of CMAE.

    What it adds to :class:`ConvViT`, which takes its weights for transfer:

    - masks on the patches of the last stage, in cells as in :class:`CMAEViT`; in
      the finer stages the same places are masked. Masked places are zero in front
      of every depthwise convolution, and no other operation reaches from one
      patch into another before the masked ones are dropped, so nothing of a
      masked patch reaches a visible one;
    - fixed sine-cosine positions;
    - the multi-scale sum: the maps of all stages, projected to the tokens of the
      last, are added in front of the final LayerNorm.

    There is no class token (``num_extra_tokens`` is 0). The target branch calls it
    without a mask; what CMAE's authors did there is not known.

    Source: see :class:`ConvViT`; mask ratios: see :class:`BlockMasking`.

    Args:
        block_size (int): See :class:`BlockMasking`. Defaults to 1.
        mask_ratio (float): See :class:`BlockMasking`. Defaults to 0.75.
        **kwargs: See :class:`ConvViT`; ``out_type`` is 'raw'.

    Raises:
        ValueError: If the images cannot be cut into such patches and cells, or no
            cell would stay visible.
    """

    def __init__(
        self, *, block_size: int = 1, mask_ratio: float = 0.75, **kwargs
    ) -> None:
        super().__init__(out_type='raw', **kwargs)
        if any(side % self.patch_size for side in self.img_size):
            raise ValueError(
                f'img_size={self.img_size} is not a multiple of the patch size of '
                f'{self.patch_size}, the product of the strides. Take another crop '
                'for pre-training; the transfer configs then accept any height and '
                'width.'
            )
        self.masking = BlockMasking(self.patch_resolution, block_size, mask_ratio)
        self.pos_embed.requires_grad = False
        self.scale_projs = ModuleList(
            PatchEmbed(
                in_channels=stage.patch_embed.embed_dims,
                embed_dims=self.embed_dims,
                kernel_size=side,
                stride=side,
            )
            for stage, side in zip(self.stages, self.patch_sides, strict=True)
        )

    def init_weights(self) -> None:
        """Set the positions, and treat the last patch embedding as a Linear."""
        super().init_weights()
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained':
            return
        self.pos_embed.data.copy_(
            sincos_positions(self.patch_resolution, self.embed_dims, num_extra_tokens=0)
        )
        nn.init.xavier_uniform_(self.patch_embed.projection.weight.data.flatten(1))

    def forward(
        self, x: torch.Tensor, masking: Masking | bool | None = True
    ) -> tuple[torch.Tensor, Masking] | tuple[torch.Tensor]:
        """Encode the visible patches, or the whole image.

        Args:
            x (Tensor): Normalised images, (B, in_channels, height, width), float.
            masking (Masking | bool, optional): True draws what stays visible; a
                :class:`cmae_mm.models.masking.Masking` is used as it is; False or
                None encodes the whole image. Defaults to True.

        Returns:
            tuple: With masking: latents of the visible patches (B, V, D), and the
            masking. Without: one (B, L, D).

        Raises:
            ValueError: If masked images are not of ``img_size``.
        """
        if masking is None or masking is False:
            maps, tokens, _ = self.embed(x)
            return (self._transform(tokens, self._project(maps)),)
        if tuple(x.shape[-2:]) != self.img_size:
            raise ValueError(
                f'Images of {x.shape[-2]}x{x.shape[-1]} came into a backbone built '
                f'for img_size={self.img_size}. Let the crop of the pipeline and '
                'img_size of the model agree.'
            )
        if masking is True:
            masking = self.masking(len(x))
        masked = masking.mask.bool().view(-1, 1, *self.patch_resolution)
        maps, tokens, _ = self.embed(x, masked)
        latent = self._transform(
            take_tokens(tokens, masking.ids_visible),
            take_tokens(self._project(maps), masking.ids_visible),
        )
        return latent, masking

    def _project(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Sum of the maps of the stages of convolutions, as tokens (B, L, D)."""
        return sum(
            proj(stage_map)[0]
            for proj, stage_map in zip(self.scale_projs, maps, strict=True)
        )

    def _transform(self, tokens: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        """The transformer, the multi-scale sum and the final LayerNorm."""
        for layer in self.layers:
            tokens = layer(tokens)
        tokens = tokens + scales
        return self.ln1(tokens) if self.final_norm else tokens
