"""The two decoders: one completes pixels, the other features.

Letters in the shapes: E extra tokens of the encoder (1 class token, or none),
W width of the decoder, the others as in :mod:`cmae_mm.models.cmae`.
"""

import math

import torch
from mmengine.model import BaseModule
from mmpretrain.models.necks.mae_neck import MAEPretrainDecoder
from mmpretrain.models.utils import resize_pos_embed
from torch import nn

from cmae_mm.registry import MODELS

from .masking import Masking, take_tokens
from .positions import sincos_positions


@MODELS.register_module()
class PixelDecoder(MAEPretrainDecoder):
    """Rebuilds the pixels of the masked patches from the latents of the visible.

    MAE's decoder; what it adds to mmpretrain's is patch grids that are not
    square, encoders without a class token, and less work: what nobody asks for,
    the pixels of the visible patches, is not computed.

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
        self._register_load_state_dict_pre_hook(self._resize_positions)

    def _resize_positions(
        self, state_dict: dict[str, torch.Tensor], prefix: str, *args
    ) -> None:
        """Fit the table of a square grid to another grid, as the encoder does.

        MAE's own table has the axes the other way round; resizing keeps that order
        for blocks that were trained with it.
        """
        table = state_dict.get(f'{prefix}decoder_pos_embed')
        if table is None or table.shape == self.decoder_pos_embed.shape:
            return
        side = math.isqrt(table.shape[1] - self.num_extra_tokens)
        if side**2 == table.shape[1] - self.num_extra_tokens:
            state_dict[f'{prefix}decoder_pos_embed'] = resize_pos_embed(
                table, (side, side), self.grid, num_extra_tokens=self.num_extra_tokens
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

    def complete(self, latent: torch.Tensor, masking: Masking) -> torch.Tensor:
        """Put mask tokens at the masked places, and let the blocks fill them.

        Args:
            latent (Tensor): Latents of the extra and the visible tokens,
                (B, E + V, D).
            masking (Masking): Where the visible tokens belong.

        Returns:
            Tensor: Tokens of all patches, (B, L, W), not yet normalised.
        """
        tokens = self.decoder_embed(latent)
        extra, visible = tokens.tensor_split([self.num_extra_tokens], dim=1)
        # Everything is masked, then the visible tokens are put into their places.
        mask_tokens = self.mask_token.to(tokens.dtype)
        patches = mask_tokens.expand(len(tokens), self.num_patches, -1)
        places = masking.ids_visible.unsqueeze(-1).expand_as(visible)
        patches = patches.scatter(1, places, visible)
        tokens = torch.cat([extra, patches], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            tokens = block(tokens)
        return tokens[:, self.num_extra_tokens :]

    def forward(self, latent: torch.Tensor, masking: Masking) -> torch.Tensor:
        """Rebuild the pixels of the masked patches.

        Args:
            latent (Tensor): See :meth:`complete`.
            masking (Masking): See :meth:`complete`.

        Returns:
            Tensor: The numbers of every masked patch, (B, L - V, P) with P =
            patch_size**2 * channels, in the order of ``masking.ids_masked``.
        """
        return self.rebuild(self.complete(latent, masking), masking)

    def rebuild(self, tokens: torch.Tensor, masking: Masking) -> torch.Tensor:
        """Map the completed tokens (B, L, W) of masked patches to their pixels."""
        masked = take_tokens(tokens, masking.ids_masked)
        return self.decoder_pred(self.decoder_norm(masked))


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

    def forward(self, latent: torch.Tensor, masking: Masking) -> torch.Tensor:
        """Decode and pool.

        The mean is taken before the last linear layer, which gives the same
        numbers as after it, for 1 / L of the work.

        Args:
            latent (Tensor): See :meth:`PixelDecoder.complete`.
            masking (Masking): See :meth:`PixelDecoder.complete`.

        Returns:
            Tensor: Mean over all L completed patch features, (B, D).
        """
        tokens = self.decoder_norm(self.complete(latent, masking))  # (B, L, W)
        return self.decoder_pred(tokens.mean(dim=1))


@MODELS.register_module()
class SharedFeatureDecoder(BaseModule):
    """Ablation: the pixel decoder completes the features, too.

    Only the last linear layer is its own. Source: paper, ablations, where it is
    the worst of the choices; how the authors shared the weights is not known.

    Args:
        embed_dim (int): D, width of the encoder, and of the output.
        decoder_embed_dim (int): W, width of the pixel decoder. Defaults to 512.
        init_cfg (dict or list[dict], optional): Weight initialisation.
        **geometry: What only decoders with blocks of their own need; not used.
    """

    def __init__(
        self,
        embed_dim: int,
        decoder_embed_dim: int = 512,
        init_cfg: dict | list[dict] | None = None,
        **geometry,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.decoder_pred = nn.Linear(decoder_embed_dim, embed_dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map the pixel decoder's normalised tokens (B, L, W) to a feature (B, D)."""
        return self.decoder_pred(tokens.mean(dim=1))
