"""The two decoders: one completes pixels, the other features.

Letters in the shapes: E extra tokens of the encoder (1 class token, or none),
W width of the decoder, the others as in :mod:`cmae_mm.models.cmae`.
"""

import torch
from mmengine.model import BaseModule
from mmpretrain.models.necks.mae_neck import MAEPretrainDecoder
from torch import nn

from cmae_mm.registry import MODELS

from .masking import take_tokens
from .positions import sincos_positions


@MODELS.register_module()
class PixelDecoder(MAEPretrainDecoder):
    """Rebuilds the pixels of all patches from the latents of the visible ones.

    MAE's decoder; what it adds to mmpretrain's is patch grids that are not
    square, and encoders without a class token.

    Source: paper, section 3 (pixel decoder G_p, as in MAE).

    Args:
        grid (tuple[int, int]): Rows and columns of the patch grid.
        num_extra_tokens (int): Tokens of the encoder in front of the patches, 0
            or 1. Defaults to 1.
        **kwargs: ``embed_dim``, ``decoder_embed_dim``, ``decoder_depth``,
            ``decoder_num_heads``, ``patch_size``, ``in_chans`` and more, see
            :class:`mmpretrain.models.necks.MAEPretrainDecoder`.
    """

    def __init__(
        self, grid: tuple[int, int], num_extra_tokens: int = 1, **kwargs
    ) -> None:
        super().__init__(num_patches=grid[0] * grid[1], **kwargs)
        self.grid = tuple(grid)
        self.num_extra_tokens = num_extra_tokens
        width = self.decoder_pos_embed.shape[-1]
        self.decoder_pos_embed = nn.Parameter(
            torch.zeros(1, num_extra_tokens + self.num_patches, width),
            requires_grad=False,
        )

    def init_weights(self) -> None:
        """Fixed positions and a random mask token."""
        # The base class would build positions of a square grid.
        BaseModule.init_weights(self)
        width = self.decoder_pos_embed.shape[-1]
        self.decoder_pos_embed.data.copy_(
            sincos_positions(self.grid, width, self.num_extra_tokens)
        )
        nn.init.normal_(self.mask_token, std=0.02)

    def complete(self, latent: torch.Tensor, ids_restore: torch.Tensor) -> torch.Tensor:
        """Put mask tokens at the masked places, and let the blocks fill them.

        Args:
            latent (Tensor): Latents of the extra and the visible tokens,
                (B, E + V, D).
            ids_restore (Tensor): See :class:`cmae_mm.models.masking.Masking`,
                (B, L).

        Returns:
            Tensor: Normalised tokens of all patches, (B, L, W).
        """
        tokens = self.decoder_embed(latent)
        extra, visible = tokens.split(
            [self.num_extra_tokens, tokens.shape[1] - self.num_extra_tokens], dim=1
        )
        num_masked = ids_restore.shape[1] - visible.shape[1]
        masked = self.mask_token.to(tokens.dtype).expand(len(tokens), num_masked, -1)
        patches = take_tokens(torch.cat([visible, masked], dim=1), ids_restore)
        tokens = torch.cat([extra, patches], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            tokens = block(tokens)
        return self.decoder_norm(tokens)[:, self.num_extra_tokens :]

    def forward(self, latent: torch.Tensor, ids_restore: torch.Tensor) -> torch.Tensor:
        """Decode to pixels.

        Args:
            latent (Tensor): See :meth:`complete`.
            ids_restore (Tensor): See :meth:`complete`.

        Returns:
            Tensor: The numbers of every patch, (B, L, P) with P = patch_size**2 *
            channels.
        """
        return self.decoder_pred(self.complete(latent, ids_restore))


@MODELS.register_module()
class FeatureDecoder(PixelDecoder):
    """Completes the masked features and returns their mean over the image.

    The structure is that of the pixel decoder, but the weights are its own, it is
    light, and it speaks the encoder's width, so that one projector serves the
    online and the target branch.

    Source: paper, section 3 (feature decoder G_f); depth 2 in the released
    recipe.

    Args:
        embed_dim (int): Width of the encoder, and of the output.
        decoder_depth (int): Number of transformer blocks, 0 or more. Defaults to 2.
        **kwargs: See :class:`PixelDecoder`.
    """

    def __init__(self, embed_dim: int, decoder_depth: int = 2, **kwargs) -> None:
        super().__init__(
            embed_dim=embed_dim,
            decoder_depth=decoder_depth,
            predict_feature_dim=embed_dim,
            **kwargs,
        )

    def forward(self, latent: torch.Tensor, ids_restore: torch.Tensor) -> torch.Tensor:
        """Decode and pool.

        The mean is taken before the last linear layer, which gives the same
        numbers as after it, for 1 / L of the work.

        Args:
            latent (Tensor): See :meth:`PixelDecoder.complete`.
            ids_restore (Tensor): See :meth:`PixelDecoder.complete`.

        Returns:
            Tensor: Mean over all L completed patch features, (B, D).
        """
        return self.decoder_pred(self.complete(latent, ids_restore).mean(dim=1))


@MODELS.register_module()
class SharedFeatureDecoder(BaseModule):
    """Ablation: the pixel decoder completes the features, too.

    Only the last linear layer is its own. Source: paper, ablations, where it is
    the worst of the choices; how the authors shared the weights is not known.

    Args:
        embed_dim (int): D, width of the encoder, and of the output.
        decoder_embed_dim (int): W, width of the pixel decoder. Defaults to 512.
        init_cfg (dict or list[dict], optional): Weight initialisation.
    """

    def __init__(
        self,
        embed_dim: int,
        decoder_embed_dim: int = 512,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.decoder_pred = nn.Linear(decoder_embed_dim, embed_dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map the pixel decoder's tokens (B, L, W) to the mean feature (B, D)."""
        return self.decoder_pred(tokens.mean(dim=1))
