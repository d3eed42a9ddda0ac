"""ConvViT: two stages of convolutions, then one of a vision transformer.

Letters in the shapes: B images, L patches of the last stage (rows x cols), D its
width, C the width of a stage of convolutions, H x W the size of its map.
"""

import math
from collections.abc import Sequence

import torch
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.transformer import PatchEmbed
from mmengine.model import BaseModule, ModuleList
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import LayerNorm2d, resize_pos_embed
from torch import nn

from cmae_mm.registry import MODELS


class MaskedConvBlock(BaseModule):
    """A block that mixes 5x5 neighbours, but lets none look behind a mask.

    Everything in it works on single places, except for the depthwise
    convolution, and in front of that masked places are set to zero.

    Args:
        channels (int): Width of the map, C.
        mlp_ratio (float): Width inside of the MLP, in units of ``channels``.
        drop_path_rate (float): Stochastic depth, in [0, 1).
    """

    def __init__(self, channels: int, mlp_ratio: float, drop_path_rate: float) -> None:
        super().__init__()
        hidden = int(mlp_ratio * channels)
        self.ln1 = LayerNorm2d(channels)
        self.pointwise1 = nn.Conv2d(channels, channels, 1)
        self.depthwise = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.pointwise2 = nn.Conv2d(channels, channels, 1)
        self.ln2 = LayerNorm2d(channels)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.GELU(), nn.Conv2d(hidden, channels, 1)
        )
        self.drop_path = DropPath(drop_path_rate)

    def forward(
        self, x: torch.Tensor, masked: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Mix.

        Args:
            x (Tensor): (B, C, H, W).
            masked (Tensor, optional): (B, 1, H, W), bool. None masks nothing.

        Returns:
            Tensor: (B, C, H, W).
        """
        mixed = self.pointwise1(self.ln1(x))
        if masked is not None:
            # Like a product with 1 - mask, but it keeps the precision of autocast.
            mixed = mixed.masked_fill(masked, 0)
        x = x + self.drop_path(self.pointwise2(self.depthwise(mixed)))
        return x + self.drop_path(self.mlp(self.ln2(x)))


class ConvStage(BaseModule):
    """A patch embedding without overlap, and blocks of masked convolutions.

    Args:
        in_channels (int): Width of what comes in.
        channels (int): Width of the stage, C.
        stride (int): Side of a patch.
        mlp_ratio (float): See :class:`MaskedConvBlock`.
        drop_path_rates (Sequence[float]): One number per block.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        mlp_ratio: float,
        drop_path_rates: Sequence[float],
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(
            in_channels=in_channels,
            embed_dims=channels,
            kernel_size=stride,
            stride=stride,
            norm_cfg=dict(type='LN'),
        )
        self.act = nn.GELU()
        self.blocks = ModuleList(
            MaskedConvBlock(channels, mlp_ratio, rate) for rate in drop_path_rates
        )

    def forward(
        self, x: torch.Tensor, masked: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Embed and mix.

        Args:
            x (Tensor): (B, C_in, stride * H, stride * W).
            masked (Tensor, optional): (B, 1, H, W), bool. None masks nothing.

        Returns:
            Tensor: (B, C, H, W).
        """
        tokens, size = self.patch_embed(x)  # (B, H * W, C)
        x = self.act(tokens).transpose(1, 2).unflatten(2, size)
        for block in self.blocks:
            x = block(x, masked)
        return x


def repeat(mask: torch.Tensor, times: int) -> torch.Tensor:
    """Each place of (B, 1, rows, cols), ``times`` times along both sides."""
    return mask.repeat_interleave(times, dim=2).repeat_interleave(times, dim=3)


def rising_rates(last: float, depths: Sequence[int]) -> list[list[float]]:
    """From 0 at the first block linearly to ``last``, stage by stage."""
    count = sum(depths)
    rates = iter([last * i / max(count - 1, 1) for i in range(count)])
    return [[next(rates) for _ in range(depth)] for depth in depths]


@MODELS.register_module()
class ConvViT(VisionTransformer):
    """ConvMAE's hybrid of convolutions and attention, as a plain backbone.

    Maps of strides 4 and 8 come from convolutions, the map of stride 16 from a
    transformer. There is no class token. Images may have any height and width:
    positions are interpolated, and patches at the border filled up with zeros.

    For transfer; :class:`CMAEConvViT` is the same network with masks for
    pre-training, and its weights load here.

    Source: `ConvMAE: Masked Convolution Meets Masked Autoencoders
    <https://arxiv.org/abs/2205.03892>`_; the defaults are its base model. Not
    here are the relative position bias of its detector and segmentor, and the
    windowed attention of its detector.

    Args:
        widths (Sequence[int]): Width of each stage. All but the last stage are
            convolutions. Defaults to (256, 384, 768).
        depths (Sequence[int]): Blocks of each stage. Defaults to (2, 2, 11).
        strides (Sequence[int]): Side of the patches, in places of the stage
            before. Defaults to (4, 2, 2).
        num_heads (int): Heads in the transformer. Defaults to 12.
        mlp_ratio (float): Width inside of the MLPs. Defaults to 4.0.
        img_size (int | tuple[int, int]): Height and width for which the positions
            are made. Defaults to 224.
        in_channels (int): Channels of the image. Defaults to 3.
        drop_path_rate (float): Stochastic depth of the last block; it rises
            linearly from 0 at the first. Defaults to 0.0.
        out_type (str): 'featmap' gives the maps of all stages, (B, C, H, W) each;
            'avg_featmap' the mean of the last, then a LayerNorm, (B, D); 'raw'
            the tokens of the last, (B, L, D). Defaults to 'raw'.
        final_norm (bool): Whether a LayerNorm follows the last stage. Defaults to
            True.
        init_cfg (dict or list[dict], optional): Weight initialisation.

    Raises:
        ValueError: If ``widths``, ``depths`` and ``strides`` are not of one length
            of two or more, or the ``out_type`` is unknown.
    """

    OUT_TYPES = {'raw', 'featmap', 'avg_featmap'}

    def __init__(
        self,
        widths: Sequence[int] = (256, 384, 768),
        depths: Sequence[int] = (2, 2, 11),
        strides: Sequence[int] = (4, 2, 2),
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        img_size: int | tuple[int, int] = 224,
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
        out_type: str = 'raw',
        final_norm: bool = True,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if not len(widths) == len(depths) == len(strides) >= 2:
            raise ValueError(
                f'widths={widths}, depths={depths} and strides={strides} must have '
                'one number per stage, for two stages or more.'
            )
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        before_last = math.prod(strides[:-1])
        rates = rising_rates(drop_path_rate, depths)
        super().__init__(
            arch=dict(
                embed_dims=widths[-1],
                num_layers=depths[-1],
                num_heads=num_heads,
                feedforward_channels=int(mlp_ratio * widths[-1]),
            ),
            img_size=(height, width),
            patch_size=strides[-1],
            patch_cfg=dict(
                in_channels=widths[-2],
                input_size=(-(-height // before_last), -(-width // before_last)),
                norm_cfg=dict(type='LN'),
            ),
            layer_cfgs=[dict(drop_path_rate=rate) for rate in rates[-1]],
            with_cls_token=False,
            out_type=out_type,
            final_norm=final_norm,
            init_cfg=init_cfg,
        )
        self.in_channels = in_channels
        self.patch_size = math.prod(strides)
        # Side of a patch of the last stage, in places of each stage before.
        self.patch_sides = [math.prod(strides[i:]) for i in range(1, len(strides))]
        self.stages = ModuleList(
            ConvStage(
                in_channels=widths[i - 1] if i else in_channels,
                channels=widths[i],
                stride=strides[i],
                mlp_ratio=mlp_ratio,
                drop_path_rates=rates[i],
            )
            for i in range(len(widths) - 1)
        )
        self.token_proj = nn.Linear(widths[-1], widths[-1])

    def embed(
        self, x: torch.Tensor, masked: torch.Tensor | None = None
    ) -> tuple[list[torch.Tensor], torch.Tensor, tuple[int, int]]:
        """Everything before the transformer.

        Args:
            x (Tensor): Normalised images, (B, in_channels, height, width), float.
            masked (Tensor, optional): (B, 1, rows, cols), bool: the patches of the
                last stage that no other patch may see. None masks nothing.

        Returns:
            tuple:

            - list[Tensor]: maps of the stages of convolutions, (B, C, H, W) each;
            - Tensor: tokens with their positions, (B, L, D);
            - tuple[int, int]: rows and columns of tokens.
        """
        maps = []
        for stage, side in zip(self.stages, self.patch_sides, strict=True):
            x = stage(x, None if masked is None else repeat(masked, side))
            maps.append(x)
        tokens, grid = self.patch_embed(x)
        tokens = self.token_proj(nn.functional.gelu(tokens))
        positions = resize_pos_embed(
            self.pos_embed, self.patch_resolution, grid, num_extra_tokens=0
        )
        return maps, tokens + positions, grid

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode whole images.

        Args:
            x (Tensor): Normalised images, (B, in_channels, height, width), float.

        Returns:
            tuple[Tensor, ...]: One map per stage, or one output; see ``out_type``.
        """
        maps, tokens, grid = self.embed(x)
        for layer in self.layers:
            tokens = layer(tokens)
        if self.final_norm:
            tokens = self.ln1(tokens)
        last = self._format_output(tokens, grid)
        return (*maps, last) if self.out_type == 'featmap' else (last,)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning rate decay.

        As in ConvMAE's recipes, all before the transformer counts as layer 0.

        Args:
            param_name (str): Name of the parameter.
            prefix (str): Name of the backbone in it, such as 'backbone.'.

        Returns:
            tuple[int, int]: Depth, from 0 to one less than the number of layers,
            and the number of layers: those of the transformer and 2.
        """
        if param_name.startswith((f'{prefix}stages.', f'{prefix}token_proj.')):
            return 0, self.num_layers + 2
        return super().get_layer_depth(param_name, prefix)
