"""State dicts of timm's VisionTransformer."""

from functools import partial
from pathlib import Path

import torch
from torch import nn

from .errors import ConversionError
from .extras import need
from .files import read_checkpoint, weights_of, write_weights
from .hybrid import plain_only
from .names import TIMM, Weights, inverse, leave_out, part_of, rename
from .source import STATISTICS, Features, Source
from .vit import Hints, ViTSize, measure, one_last_norm

LICENCE = (
    'timm: the code is Apache-2.0, but every set of weights has its own licence: see '
    "its model card. Those named '.mae' are CC BY-NC 4.0, non-commercial."
)
NETWORK = "timm's VisionTransformer"


def read(path: Path, hints: Hints) -> Source:
    """Read the state dict of a ViT of timm; the classifier is left out.

    Args:
        path (Path): ``.safetensors``, ``.pth`` or ``.bin``.
        hints (Hints): What its tensors do not tell.

    Returns:
        Source: 'backbone'.

    Raises:
        FileNotFoundError: If there is no such file.
        ConversionError: If it is unreadable, no plain ViT, or timm is missing.
    """
    raw = weights_of(read_checkpoint(path), path)
    weights, unknown = rename(raw, TIMM)
    left_out = leave_out(unknown, ('head.',), NETWORK)
    size = measure(part_of(weights, 'backbone'), hints)
    one_last_norm(size, NETWORK)
    encoder = {name: tensor for name, tensor in raw.items() if name not in unknown}
    return Source(
        weights=weights,
        size=size,
        features=features_of(encoder, size),
        licence=LICENCE,
        left_out=left_out,
        notes=[STATISTICS],
    )


def write(source: Source, path: Path) -> tuple[Features, list[str]]:
    """Write a state dict for ``VisionTransformer(num_classes=0)``, and read it back.

    Args:
        source (Source): What to write.
        path (Path): ``.safetensors``, or anything else for torch.

    Returns:
        tuple[Callable, list[str]]: Features of the written file, from timm's class,
        which loaded it strictly; and the names of what timm has no place for.

    Raises:
        ConversionError: If the backbone cannot be expressed there, or timm is missing.
    """
    plain_only(source.size, 'timm')
    one_last_norm(source.size, NETWORK)
    theirs, rest = rename(source.weights, inverse(TIMM))
    write_weights(theirs, path)
    written = weights_of(read_checkpoint(path), path)
    return features_of(written, source.size), list(rest)


def features_of(weights: Weights, size: ViTSize) -> Features:
    """timm's own VisionTransformer, strictly loaded, as a function."""
    model = need('timm.models.vision_transformer').VisionTransformer(
        img_size=size.image,
        patch_size=size.patch,
        in_chans=size.channels,
        num_classes=0,
        global_pool='avg' if size.pooled else 'token',
        embed_dim=size.width,
        depth=size.depth,
        num_heads=size.heads,
        mlp_ratio=(size.hidden + 0.5) / size.width,  # rounded down when multiplied
        norm_layer=partial(nn.LayerNorm, eps=size.eps),
    )
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ConversionError(
            f"The tensors do not fit into timm's VisionTransformer: {error}"
        ) from error
    model.eval()

    def features(images: torch.Tensor) -> torch.Tensor:
        tokens = model.forward_features(images)
        if size.pooled:
            return model.forward_head(tokens, pre_logits=True)
        return tokens

    return features
