import torch
from mmpretrain.models.heads import MAEPretrainHead

from cmae_mm.registry import MODELS

from .masking import Masking, take_patches


@MODELS.register_module()
class ReconstructionHead(MAEPretrainHead):
    """MAE's loss: mean squared error on the normalised pixels of masked patches.

    What it adds to mmpretrain's head is images that are not square, and less work:
    visible patches are left out from the start, not multiplied by zero at the end.
    Source: paper, section 3, L_r; per-patch normalisation after MAE.

    Args:
        patch_size (int): Side of a patch in pixels.
        in_channels (int): Channels of the images. Defaults to 3.
        norm_pix (bool): Whether each patch is normalised by its own mean and
            deviation. Defaults to True.
        **kwargs: See :class:`mmpretrain.models.heads.MAEPretrainHead`.
    """

    def __init__(
        self,
        patch_size: int = 16,
        in_channels: int = 3,
        norm_pix: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(
            patch_size=patch_size, in_channels=in_channels, norm_pix=norm_pix, **kwargs
        )

    def loss(
        self, pixels: torch.Tensor, images: torch.Tensor, masking: Masking
    ) -> torch.Tensor:
        """Compare the rebuilt patches with the true ones.

        Args:
            pixels (Tensor): Of the masked patches, (B, L - V, P), in the order of
                ``masking.ids_masked``.
            images (Tensor): (B, C, H, W), normalised.
            masking (Masking): What was masked.

        Returns:
            Tensor: The mean over the masked patches of the whole batch, a scalar.
        """
        target = self.construct_target(images, masking)
        return self.loss_module(pixels, target)

    @torch.no_grad()
    def construct_target(self, images: torch.Tensor, masking: Masking) -> torch.Tensor:
        """The true masked patches, normalised if ``norm_pix``, (B, L - V, P)."""
        patches = take_patches(images, masking.ids_masked, self.patch_size)
        if not self.norm_pix:
            return patches
        mean, deviation = self.statistics(patches)
        return (patches - mean) / deviation

    @staticmethod
    def statistics(patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation of each patch (..., P), (..., 1) each."""
        variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
        return mean, (variance + 1e-6).sqrt()

    def patchify(self, imgs: torch.Tensor) -> torch.Tensor:
        """Cut images into patches, row by row.

        Args:
            imgs (Tensor): (B, C, H, W); H and W are multiples of ``patch_size``.

        Returns:
            Tensor: (B, L, patch_size**2 * C), the channel being last.
        """
        p = self.patch_size
        batch, channels, height, width = imgs.shape
        cut = imgs.view(batch, channels, height // p, p, width // p, p)
        return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, p * p * channels)

    def unpatchify(
        self, x: torch.Tensor, grid: tuple[int, int] | None = None
    ) -> torch.Tensor:
        """Put patches together again.

        Args:
            x (Tensor): (B, L, patch_size**2 * C).
            grid (tuple[int, int], optional): Rows and columns of patches. Defaults
                to a square.

        Returns:
            Tensor: (B, C, H, W).
        """
        p = self.patch_size
        rows, cols = grid or (int(x.shape[1] ** 0.5),) * 2
        cut = x.view(len(x), rows, cols, p, p, self.in_channels)
        return cut.permute(0, 5, 1, 3, 2, 4).reshape(len(x), -1, rows * p, cols * p)
