"""Checkpoints of facebookresearch/mae, pre-trained or fine-tuned."""

from pathlib import Path

from . import reference
from .files import read_checkpoint, weights_of
from .names import MAE, leave_out, part_of, rename
from .source import Source
from .vit import Hints, measure, one_last_norm

LICENCE = (
    'facebookresearch/mae: CC BY-NC 4.0. Its weights, and what is adapted from them, '
    'are for non-commercial use only.'
)


def read(path: Path, hints: Hints) -> Source:
    """Read a file with the key 'model', or a bare state dict.

    Encoder and decoder of a pre-training file come over whole; ``decoder_pred``
    paints a patch row by row, channels last, as mmpretrain's does. The stored tables
    of positions are kept: built anew they would come out with the grid transposed.

    Args:
        path (Path): Their ``.pth``.
        hints (Hints): What its tensors do not tell.

    Returns:
        Source: 'backbone', and 'pixel_decoder' if it is there.

    Raises:
        FileNotFoundError: If there is no such file.
        ConversionError: If it is unreadable, or no MAE.
    """
    raw = weights_of(read_checkpoint(path), path)
    weights, unknown = rename(raw, MAE)
    left_out = leave_out(unknown, ('head.',), 'a checkpoint of facebookresearch/mae')
    size = measure(part_of(weights, 'backbone'), hints)
    one_last_norm(size, 'The ViT of facebookresearch/mae')
    return Source(
        weights=weights,
        size=size,
        features=lambda images: reference.features(
            raw, reference.MAE_ROLES, size, images
        ),
        licence=LICENCE,
        left_out=left_out,
    )
