from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from .hybrid import HybridSize
from .images import ImageRules
from .names import Weights
from .vit import ViTSize

# A note for weights that may come from anywhere.
STATISTICS = (
    'images are normalised as the source was trained: some ViTs want mean and std '
    '127.5 in all channels instead of the ImageNet statistics of our configs'
)

# (B, C, H, W) normalised images -> (B, 1 + L, D) tokens, or (B, D) if pooled.
Features = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Source:
    """What was read.

    Args:
        weights (dict[str, Tensor]): In the names of :class:`cmae_mm.CMAE`.
        size (ViTSize | HybridSize): Size of the backbone.
        features (Callable): Encodes images with the tensors as they were in the
            file, not by way of ``weights``.
        licence (str): What is known of the licence of the weights.
        left_out (list[str]): Tensors of the file that CMAE has no place for.
        notes (list[str]): What the user should know.
        rules (ImageRules, optional): What the network wants to be shown, if known.
    """

    weights: Weights
    size: ViTSize | HybridSize
    features: Features
    licence: str
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rules: ImageRules | None = None


@torch.no_grad()
def largest_difference(
    one: Features, other: Features, size: ViTSize | HybridSize
) -> float:
    """Compare two networks on random images.

    Args:
        one (Callable): Encodes images.
        other (Callable): Encodes images.
        size (ViTSize | HybridSize): Their size.

    Returns:
        float: The largest absolute difference of a feature, over two images of
        normally distributed pixels.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, size.channels, *size.image, generator=generator)
    return (one(images) - other(images)).abs().max().item()
