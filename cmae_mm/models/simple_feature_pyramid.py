import math

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList
from mmpretrain.models.utils import LayerNorm2d
from torch import nn

from cmae_mm.registry import MODELS


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """All levels of a pyramid from the last map of a plain ViT alone.

    Each level is the map, enlarged by transposed convolutions or reduced by
    max-pooling, then a 1x1 and a 3x3 convolution; every convolution is followed by
    LayerNorm over the channels.

    Source: `Exploring Plain Vision Transformer Backbones for Object Detection
    <https://arxiv.org/abs/2203.16527>`_, section 3 and figure 2.

    Args:
        in_channels (int): Width of the map.
        out_channels (int): Width of each level. Defaults to 256.
        scales (tuple[float, ...]): Side of each level relative to the map, powers
            of two. Defaults to (4, 2, 1, 0.5): strides 4, 8, 16 and 32 for patches
            of 16 px.
        num_outs (int): Number of levels; those beyond the scales take every second
            place of the one before. Defaults to 5.

    Raises:
        ValueError: If a scale is no power of two, or there are more scales than
            levels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        scales: tuple[float, ...] = (4, 2, 1, 0.5),
        num_outs: int = 5,
    ) -> None:
        super().__init__()
        if num_outs < len(scales):
            raise ValueError(f'num_outs={num_outs} is less than the scales {scales}.')
        self.num_outs = num_outs
        self.levels = ModuleList(
            make_level(in_channels, out_channels, scale) for scale in scales
        )

    def forward(self, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Build the pyramid.

        Args:
            inputs (tuple[Tensor, ...]): Maps of the backbone, of which the last is
                used, (B, in_channels, H, W).

        Returns:
            tuple[Tensor, ...]: ``num_outs`` maps, (B, out_channels, scale * H,
            scale * W) each, rounded down, the largest first if the scales are so.
        """
        maps = [level(inputs[-1]) for level in self.levels]
        while len(maps) < self.num_outs:
            maps.append(F.max_pool2d(maps[-1], kernel_size=1, stride=2))
        return tuple(maps)


def make_level(in_channels: int, out_channels: int, scale: float) -> nn.Sequential:
    """Layers of one level, see :class:`SimpleFeaturePyramid`."""
    doublings = math.log2(scale)
    if not doublings.is_integer():
        raise ValueError(f'scale {scale} is no power of two, such as 4, 2, 1 or 0.5.')
    layers, width = [], in_channels
    for _ in range(int(doublings)):
        if layers:
            layers += [LayerNorm2d(width, eps=1e-6), nn.GELU()]
        layers.append(nn.ConvTranspose2d(width, width // 2, 2, stride=2))
        width //= 2
    if doublings < 0:
        layers.append(nn.MaxPool2d(round(1 / scale)))
    return nn.Sequential(
        *layers,
        nn.Conv2d(width, out_channels, 1, bias=False),
        LayerNorm2d(out_channels, eps=1e-6),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        LayerNorm2d(out_channels, eps=1e-6),
    )
