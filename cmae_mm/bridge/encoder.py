"""Backbones built from their size, for whole images."""

import torch
from mmpretrain.models import VisionTransformer
from torch import nn

from cmae_mm.models import CMAEConvViT, ConvViT

from .errors import ConversionError
from .hybrid import HybridSize
from .names import Weights, some_of
from .vit import ViTSize


def build_backbone(
    size: ViTSize | HybridSize, final_norm: bool, pooled: bool
) -> VisionTransformer:
    """An untrained network of a size.

    Args:
        size (ViTSize | HybridSize): Its size.
        final_norm (bool): Whether a LayerNorm follows the last block.
        pooled (bool): Whether it gives the mean over the patches behind a LayerNorm,
            (B, D), instead of tokens.
    """
    out_type = 'avg_featmap' if pooled else 'raw'
    if isinstance(size, HybridSize):
        form = dict(
            widths=size.widths,
            depths=size.depths,
            strides=size.strides,
            num_heads=size.heads,
            mlp_ratio=size.hidden / size.width,
            img_size=size.image,
            in_channels=size.channels,
            final_norm=final_norm,
        )
        if size.scales:  # its output is raw, whatever is said
            return CMAEConvViT(mask_ratio=0.0, **form)
        return ConvViT(out_type=out_type, **form)
    return VisionTransformer(
        arch=dict(
            embed_dims=size.width,
            num_layers=size.depth,
            num_heads=size.heads,
            feedforward_channels=size.hidden,
        ),
        img_size=size.image,
        patch_size=size.patch,
        in_channels=size.channels,
        norm_cfg=dict(type='LN', eps=size.eps),
        final_norm=final_norm,
        out_type=out_type,
    )


def encode(backbone: VisionTransformer, images: torch.Tensor) -> torch.Tensor:
    """Show whole images to a backbone.

    Args:
        backbone (VisionTransformer): From :func:`build_backbone`.
        images (Tensor): Normalised, (B, C, H, W).

    Returns:
        Tensor: Its last output, tokens (B, E + L, D) or means (B, D).
    """
    if isinstance(backbone, CMAEConvViT):
        return backbone(images, masking=None)[-1]
    return backbone(images)[-1]


def load_strictly(model: nn.Module, weights: Weights, part: str) -> None:
    """Load all tensors, or say what does not fit.

    More strictly than torch alone: models of mmpretrain resize positions in passing.

    Args:
        model (nn.Module): Where they go.
        weights (dict[str, Tensor]): State dict of exactly this model.
        part (str): What it is, for the error.

    Raises:
        ConversionError: If a tensor is missing, too many, or of another shape.
    """
    wanted = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    came = {name: tuple(t.shape) for name, t in weights.items()}
    problems = {
        'missing': sorted(wanted.keys() - came.keys()),
        'not expected': sorted(came.keys() - wanted.keys()),
        'of another shape': [
            f'{name} {came[name]} instead of {wanted[name]}'
            for name in sorted(wanted.keys() & came.keys())
            if came[name] != wanted[name]
        ],
    }
    said = [f'{problem}: {some_of(n)}' for problem, n in problems.items() if n]
    if said:
        raise ConversionError(
            f'{part} does not fit into {type(model).__name__}; {"; ".join(said)}.'
        )
    model.load_state_dict(dict(weights), strict=True)


class Encoder(nn.Module):
    """A trained backbone, from images to one vector and one map of features.

    The vector is the mean over the patches, without the class token: what the k-NN
    evaluation of pre-training compares. Of a fine-tuned backbone, which has a
    LayerNorm behind the mean, it is what the classifier is given.

    Args:
        weights (dict[str, Tensor]): State dict of the backbone.
        size (ViTSize | HybridSize): Its size.

    Raises:
        ConversionError: If the weights do not fit.
    """

    def __init__(self, weights: Weights, size: ViTSize | HybridSize) -> None:
        super().__init__()
        self.size = size
        self.backbone = build_backbone(size, size.final_norm, pooled=False)
        self.norm = nn.Identity()
        if size.pooled:
            self.norm = nn.LayerNorm(size.width, size.eps)
            last = {k[4:]: v for k, v in weights.items() if k.startswith('ln2.')}
            weights = {k: v for k, v in weights.items() if not k.startswith('ln2.')}
            load_strictly(self.norm, last, 'the last norm')
        load_strictly(self.backbone, weights, 'backbone')
        self.extra = 0 if isinstance(size, HybridSize) else 1  # the class token
        self.eval()

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode.

        Args:
            images (Tensor): Normalised, (N, channels, H, W), float.

        Returns:
            tuple[Tensor, Tensor]: The vectors (N, D), and the maps (N, D, rows,
            columns).
        """
        tokens = encode(self.backbone, images)[:, self.extra :]
        rows, columns = (side // self.size.patch for side in images.shape[2:])
        maps = tokens.transpose(1, 2).unflatten(2, (rows, columns))
        return self.norm(tokens.mean(dim=1)), maps
