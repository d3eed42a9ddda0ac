import torch
from mmpretrain.models.necks.mae_neck import MAEPretrainDecoder

from cmae_mm.registry import MODELS


@MODELS.register_module()
class FeatureDecoder(MAEPretrainDecoder):
    """Completes the masked features and returns their mean over the image.

    The structure is that of the pixel decoder (mask tokens at the masked
    places, a few transformer blocks), but the weights are its own, it is light,
    and it speaks the encoder's width, so that one projector serves the online
    and the target branch.

    Source: paper, section 3 (feature decoder G_f); depth 2 in the released
    recipe.

    Args:
        embed_dim (int): Width of the encoder, and of the output.
        decoder_depth (int): Number of transformer blocks. Defaults to 2.
        **kwargs: See :class:`mmpretrain.models.necks.MAEPretrainDecoder`.
    """

    def __init__(self, embed_dim: int, decoder_depth: int = 2, **kwargs) -> None:
        super().__init__(
            embed_dim=embed_dim,
            decoder_depth=decoder_depth,
            predict_feature_dim=embed_dim,
            **kwargs,
        )

    def forward(self, x: torch.Tensor, ids_restore: torch.Tensor) -> torch.Tensor:
        """Decode and pool.

        Args:
            x (Tensor): Latents of the class token and the visible patches,
                (B, 1 + V, D).
            ids_restore (Tensor): See :meth:`CMAEViT.random_masking`, (B, L).

        Returns:
            Tensor: Mean over all L completed patch features, (B, D).
        """
        return super().forward(x, ids_restore).mean(dim=1)
