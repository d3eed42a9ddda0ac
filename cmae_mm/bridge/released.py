"""Checkpoints of the authors' released code (github.com/ZhichengHuang/CMAE)."""

from pathlib import Path

import torch

from . import reference
from .channels import as_released_input, bgr_to_rgb
from .errors import ConversionError
from .files import read_checkpoint, weights_of
from .names import RELEASED_PARTS, Weights, leave_out, part_of, with_prefix
from .source import Source
from .vit import Hints, measure, one_last_norm

LICENCE = (
    'CMAE, released code: the repository has no licence file (its setup.py says '
    'Apache-2.0, its weights say nothing). Ask the authors before you pass them on.'
)


def read(path: Path, hints: Hints, channels: str = 'bgr') -> Source:
    """Read a pre-training, fine-tuning or extracted-backbone file of the authors.

    Args:
        path (Path): Their ``.pth``.
        hints (Hints): What its tensors do not tell.
        channels (str): 'bgr' if the network was shown BGR with the statistics of
            RGB, as by their pipeline; 'rgb' leaves the layers as they are. Defaults
            to 'bgr'.

    Returns:
        Source: All parts that are in it, for RGB images.

    Raises:
        FileNotFoundError: If there is no such file.
        ConversionError: If it is unreadable, or its backbone no plain ViT.
    """
    raw = weights_of(read_checkpoint(path), path)
    if not part_of(raw, 'backbone'):  # written by their extract_backbone_weights.py
        raw = with_prefix(raw, 'backbone')
    weights, unknown = _in_our_names(raw)
    left_out = leave_out(
        unknown, ('head.', 'data_preprocessor.'), "a checkpoint of the authors' code"
    )
    size = measure(part_of(weights, 'backbone'), hints)
    one_last_norm(size, "The authors' ViT")
    notes = []
    if channels == 'bgr':
        if size.channels != 3:
            raise ConversionError(
                f'The images have {size.channels} channels; blue and red can be '
                'swapped among three. Try: --channels rgb, which leaves the layers '
                'as they are.'
            )
        weights = bgr_to_rgb(weights)
        notes.append(
            'taken for BGR with the statistics of RGB, as the released pipeline makes '
            'them (inferred; --channels rgb if not), and turned to RGB'
        )
        if 'pixel_decoder.decoder_pred.weight' in weights:
            notes.append(
                'the pixel decoder now paints red first, but in the colours of its own '
                'normalisation, not exactly ours (see cmae_mm/bridge/channels.py)'
            )
    backbone = part_of(raw, 'backbone')

    def features(images: torch.Tensor) -> torch.Tensor:
        if channels == 'bgr':
            images = as_released_input(images)
        return reference.features(backbone, reference.RELEASED_ROLES, size, images)

    return Source(weights, size, features, LICENCE, left_out, notes)


def _in_our_names(raw: Weights) -> tuple[Weights, Weights]:
    """Their parts under our names, and the tensors of no part."""
    weights, unknown = {}, {}
    for name, tensor in raw.items():
        for theirs, ours in RELEASED_PARTS.items():
            if name.startswith(f'{theirs}.'):
                ours_name = ours + name[len(theirs) :]
                # The norm after the mean over the patches, in fine-tuned models.
                ours_name = ours_name.replace('backbone.fc_norm.', 'backbone.ln2.')
                weights[ours_name] = tensor
                break
        else:
            unknown[name] = tensor
    return weights, unknown
