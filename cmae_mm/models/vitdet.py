"""The backbone of ViTDet: a plain ViT, most blocks of which look through windows.

Letters in the shapes: B images, N windows of all images, H x W patches, D width of
the encoder, d width of a head.
"""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import MultiheadAttention, resize_pos_embed
from torch import nn
from torch.utils.checkpoint import checkpoint

from cmae_mm.registry import MODELS


@MODELS.register_module()
class ViTDet(VisionTransformer):
    """Plain vision transformer for large images, as in ViTDet.

    What it adds to :class:`mmpretrain.VisionTransformer`: attention within windows
    but for a few global blocks, relative positions that start at zero, and no class
    token. The keys of the state dict stay those of the plain class, so that a
    checkpoint of CMAE or MAE loads as it is: its class token is dropped, its
    positions, relative positions and patch embedding are resized to this model.
    With one window over the whole image the features are at the start those of a
    plain ViT without class token.

    mmpretrain's ``ViTSAM`` was not taken: it has no drop path on the attention, it
    builds the scores of all pairs of patches (4096 x 4096 at 1024 px), and its
    positions have another layout. With the same weights it computes the same on maps
    that reach beyond a window in height or width, or fill it exactly. Others it fills
    up to a window with zeros, which take part as keys; here only the map does.

    Source: `Exploring Plain Vision Transformer Backbones for Object Detection
    <https://arxiv.org/abs/2203.16527>`_, section 3.

    Args:
        window_size (int): Side of a window in patches; 0 makes every block global.
            Defaults to 14.
        global_blocks (int): Number of blocks that see the whole image, spread evenly
            and ending with the last one: 2, 5, 8, 11 of ViT-B. It must divide the
            number of blocks. Defaults to 4.
        rel_pos (bool): Whether attention knows relative positions, too. Defaults to
            True.
        with_cp (bool): Whether to compute blocks again in the backward pass instead
            of keeping what is in them: less memory, more time. Defaults to False.
        **kwargs: See :class:`mmpretrain.VisionTransformer`; ``with_cls_token`` and
            ``out_type`` are set.

    Raises:
        ValueError: If ``global_blocks`` does not divide the number of blocks, or
            ``window_size`` is below 0.
    """

    def __init__(
        self,
        *,
        window_size: int = 14,
        global_blocks: int = 4,
        rel_pos: bool = True,
        with_cp: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(with_cls_token=False, out_type='featmap', **kwargs)
        if window_size < 0:
            raise ValueError(f'window_size={window_size} is below 0; 0 is no window.')
        if global_blocks < 1 or self.num_layers % global_blocks:
            raise ValueError(
                f'global_blocks={global_blocks} does not divide the '
                f'{self.num_layers} blocks. ViTDet has 4 in each size.'
            )
        self.with_cp = with_cp
        every = self.num_layers // global_blocks
        for number, layer in enumerate(self.layers, start=1):
            side = window_size if number % every else 0
            grid = (side, side) if side else self.patch_resolution
            layer.attn = WindowAttention(layer.attn, side, grid if rel_pos else None)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode images of any size.

        Args:
            x (Tensor): Normalised images, (B, 3, height, width), float.

        Returns:
            tuple[Tensor, ...]: One map (B, D, H, W) per output block.
        """
        x, grid = self.patch_embed(x)  # (B, H * W, D)
        x = x + resize_pos_embed(
            self.pos_embed,
            self.patch_resolution,
            grid,
            mode=self.interpolate_mode,
            num_extra_tokens=0,
        )
        x = self.pre_norm(self.drop_after_pos(x)).unflatten(1, grid)  # (B, H, W, D)
        maps = []
        for index, layer in enumerate(self.layers):
            if self.with_cp and self.training:
                x = checkpoint(layer, x, use_reentrant=False)
            else:
                x = layer(x)
            if index == self.num_layers - 1 and self.final_norm:
                x = self.ln1(x)
            if index in self.out_indices:
                maps.append(x.permute(0, 3, 1, 2))
        return tuple(maps)

    def _prepare_pos_embed(self, state_dict: dict, prefix: str, *args, **kwargs):
        """Make a plain checkpoint fit: called by the base class before loading."""
        if state_dict.pop(f'{prefix}cls_token', None) is not None:
            positions = f'{prefix}pos_embed'
            state_dict[positions] = state_dict[positions][:, 1:]
        kernel = f'{prefix}patch_embed.projection.weight'
        if kernel in state_dict:
            state_dict[kernel] = resize_kernel(
                state_dict[kernel], self.patch_embed.projection.kernel_size
            )
        super()._prepare_pos_embed(state_dict, prefix, *args, **kwargs)


class WindowAttention(BaseModule):
    """Attention within windows, or over the whole map, with relative positions.

    It takes over the layers of an attention of mmpretrain, and with them the names in
    the state dict, dropout, drop path and layer scale.

    A map that the windows do not fit is padded with zeros at the right and at the
    bottom. As in ViTDet, padded places take part as keys (with the bias of ``qkv`` as
    content), and their results are cut off. A window that is as large as the map or
    larger is the map itself, without padding.

    Relative positions of windows stand for distances in patches: a smaller window or
    map takes the middle of the tables. Those of a global block are interpolated.

    Args:
        attention (MultiheadAttention): The attention to take the layers of.
        window_size (int): Side of a window in patches; 0 attends to the whole map.
        grid (tuple[int, int], optional): Height and width in patches of a window, or
            of the map, that the relative positions are made for. None leaves
            relative positions out.
    """

    def __init__(
        self,
        attention: MultiheadAttention,
        window_size: int,
        grid: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        self.head_dims = attention.head_dims
        self.attn_drop = attention.attn_drop
        self.qkv = attention.qkv
        self.proj = attention.proj
        self.proj_drop = attention.proj_drop
        self.gamma1 = attention.gamma1
        self.out_drop = attention.out_drop
        self.window_size = window_size
        self.rel_pos = grid is not None
        if self.rel_pos:
            height, width = grid
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * height - 1, self.head_dims))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * width - 1, self.head_dims))
            self._register_load_state_dict_pre_hook(self._resize_tables)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend within each window.

        Args:
            x (Tensor): Maps with the channels last, (B, H, W, D).

        Returns:
            Tensor: Of the same shape.
        """
        batch, height, width, dims = x.shape
        side = self.window_size
        if side == 0 or side >= max(height, width):
            x = self._attend(x)
        else:
            x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
            rows, cols = x.shape[1] // side, x.shape[2] // side
            x = x.view(batch, rows, side, cols, side, dims).transpose(2, 3)
            x = self._attend(x.reshape(-1, side, side, dims))  # (N, side, side, D)
            x = x.view(batch, rows, cols, side, side, dims).transpose(2, 3)
            x = x.reshape(batch, rows * side, cols * side, dims)
            x = x[:, :height, :width]
        # After the windows have been put together, so that drop path drops images.
        return self.out_drop(self.gamma1(self.proj_drop(self.proj(x))))

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        """Attention among all places of each map, (N, H, W, D) to the same."""
        count, height, width, dims = x.shape
        qkv = self.qkv(x).view(count, height * width, 3, self.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # (N, heads, H * W, d)
        scale = None  # 1 / root of d
        if self.rel_pos:
            query, key = self._with_positions(query, key, (height, width))
            scale = 1.0
        x = F.scaled_dot_product_attention(
            query,
            key,
            value,
            dropout_p=self.attn_drop if self.training else 0.0,
            scale=scale,
        )
        return x.transpose(1, 2).reshape(count, height, width, dims)

    def _with_positions(
        self, query: torch.Tensor, key: torch.Tensor, grid: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write relative positions into longer queries and keys.

        The score of ViTDet is ``query . key / root(d) + query . vector(rows apart) +
        query . vector(columns apart)``. The last two depend on the key by its row and
        by its column only: they are a product of what the query gives to each row and
        column, and of the key's row and column in one-hot form. So no matrix of all
        pairs is needed, which an additive bias would be.

        Args:
            query (Tensor): (N, heads, H * W, d).
            key (Tensor): (N, heads, H * W, d).
            grid (tuple[int, int]): H and W.

        Returns:
            tuple[Tensor, Tensor]: Queries and keys whose products are the scores,
            (N, heads, H * W, d + H + W), the last made a multiple of 8.
        """
        height, width = grid
        rows = self._fit(self.rel_pos_h, 2 * height - 1)
        cols = self._fit(self.rel_pos_w, 2 * width - 1)
        to_row = relative_vectors(rows, height).to(query)  # (H, H, d)
        to_col = relative_vectors(cols, width).to(query)  # (W, W, d)
        places = query.unflatten(2, grid)
        by_row = torch.einsum('nahwd,hkd->nahwk', places, to_row).flatten(2, 3)
        by_col = torch.einsum('nahwd,wkd->nahwk', places, to_col).flatten(2, 3)
        one_hot = dict(dtype=key.dtype, device=key.device)
        row_of = torch.eye(height, **one_hot).repeat_interleave(width, dim=0)
        col_of = torch.eye(width, **one_hot).repeat(height, 1)  # (H * W, W)
        place_of = torch.cat([row_of, col_of], dim=1).expand(*key.shape[:2], -1, -1)
        query = torch.cat([query * self.head_dims**-0.5, by_row, by_col], dim=-1)
        key = torch.cat([key, place_of], dim=-1)
        # Fused kernels want multiples of 8 in half precision; zeros add nothing.
        spare = (0, -key.shape[-1] % 8)
        return F.pad(query, spare), F.pad(key, spare)

    def _resize_tables(self, state_dict: dict, prefix: str, *args) -> None:
        """Make relative positions of another grid fit, before they are loaded."""
        for name in ('rel_pos_h', 'rel_pos_w'):
            key = prefix + name
            if key in state_dict:
                length = len(getattr(self, name))
                state_dict[key] = self._fit(state_dict[key], length)

    def _fit(self, table: torch.Tensor, length: int) -> torch.Tensor:
        """A table for as many distances, (L, d) to (length, d), both lengths odd."""
        spare = (len(table) - length) // 2
        if self.window_size and spare > 0:
            return table[spare:-spare]
        return resize_table(table, length)


def relative_vectors(table: torch.Tensor, size: int) -> torch.Tensor:
    """The vector of each pair of places on a line.

    Args:
        table (Tensor): Vectors of the distances, most negative first,
            (2 * size - 1, d).
        size (int): Number of places.

    Returns:
        Tensor: Query place, key place, vector: (size, size, d). The distance is
        query minus key.
    """
    place = torch.arange(size, device=table.device)
    return table[place[:, None] - place[None, :] + size - 1]


def resize_table(table: torch.Tensor, length: int) -> torch.Tensor:
    """Interpolate relative positions linearly, (L, d) to (length, d)."""
    if len(table) == length:
        return table
    lines = table.float().t()[None]  # (1, d, L)
    return F.interpolate(lines, size=length, mode='linear')[0].t().to(table)


def resize_kernel(kernel: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Patch embedding for patches of another size.

    The new kernel gives for a patch what the old one gives for the same patch, resized
    to the old size (linearly), so that plain surfaces keep their tokens exactly.
    ViTDet turns the 14-px patches of ViT-H into 16-px ones; how, is not published.

    Args:
        kernel (Tensor): Weights of the convolution, (D, C, h, w), float.
        size (tuple[int, int]): Wanted height and width in pixels.

    Returns:
        Tensor: ``(D, C, *size)``.
    """
    if tuple(kernel.shape[2:]) == tuple(size):
        return kernel
    # (new, old): column j holds how much each new pixel adds to the old pixel j.
    rows, cols = (
        F.interpolate(torch.eye(new)[None], size=old, mode='linear')[0].to(kernel)
        for new, old in zip(size, kernel.shape[2:], strict=True)
    )
    return torch.einsum('dcij,hi,wj->dchw', kernel, rows, cols)
