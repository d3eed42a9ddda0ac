from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn

from cmae_mm.registry import MODELS


@MODELS.register_module()
class CoarserLevel(BaseModule):
    """Adds a map of twice the last stride to the maps of a backbone.

    Heads made for four levels can so work on the three stages of a
    :class:`ConvViT`.

    Source: the maximum in ConvMAE's detector, the convolution with SyncBN and GELU
    in its segmentor. Its convolution has no padding, so that 32 x 32 become
    15 x 15; here they become 16 x 16.

    Args:
        channels (int, optional): Width of the last map, C, for a 3x3 convolution
            with norm and GELU. None takes the maximum of 2x2 places, without
            parameters. Defaults to None.
        norm_cfg (dict, optional): Norm behind the convolution.
        init_cfg (dict or list[dict], optional): Weight initialisation.
    """

    def __init__(
        self,
        channels: int | None = None,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if channels is None:
            self.halve = nn.MaxPool2d(2)
            return
        self.halve = ConvModule(
            channels,
            channels,
            3,
            stride=2,
            padding=1,
            norm_cfg=norm_cfg,
            act_cfg=dict(type='GELU'),
        )

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Append the level.

        Args:
            maps (Sequence[Tensor]): (B, C, H, W) each, fine to coarse.

        Returns:
            tuple[Tensor, ...]: The same, and one of half the last height and
            width.
        """
        return (*maps, self.halve(maps[-1]))
