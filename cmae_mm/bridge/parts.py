"""The parts of a CMAE beside its encoders, built anew to hold their tensors."""

import re

from mmpretrain.models.necks import MAEPretrainDecoder, NonLinearNeck
from torch import nn

from cmae_mm.models import ContrastiveHead, SharedFeatureDecoder

from .encoder import load_strictly
from .errors import ConversionError
from .hybrid import HybridSize
from .names import Weights, part_of, shape_of
from .vit import ViTSize


def check_parts(weights: Weights, size: ViTSize | HybridSize) -> None:
    """Load all decoders, projectors and the predictor strictly.

    Parts that are not there at all are none: training starts them afresh.

    Args:
        weights (dict[str, Tensor]): State dict of :class:`cmae_mm.CMAE`, or a part.
        size (ViTSize | HybridSize): Size of its backbone, which the parts must fit.

    Raises:
        ConversionError: If a tensor of a part is missing, too many, or of a shape that
            does not fit the others.
    """
    builders = {
        'pixel_decoder': _decoder,
        'feature_decoder': _feature_decoder,
        'projector': _projector,
        'target_projector': _target_projector,
        'contrastive_head': _contrastive_head,
    }
    for part, build in builders.items():
        tensors = part_of(weights, part)
        if not tensors:
            continue
        try:
            load_strictly(build(weights, part, size), tensors, part)
        except ConversionError as error:
            raise ConversionError(
                f'{error} The {part} is incomplete, or not of the class of the '
                'packaged configs. The backbone alone can go to safetensors.'
            ) from error
    _check_pair(weights)


def _decoder(
    weights: Weights, part: str, size: ViTSize | HybridSize
) -> MAEPretrainDecoder:
    """An untrained decoder for this backbone, with blocks and outputs of the tensors'.

    Its heads leave no trace in them.
    """
    width, _ = shape_of(weights, f'{part}.decoder_embed.weight', 2)
    outputs, _ = shape_of(weights, f'{part}.decoder_pred.weight', 2)
    blocks = part_of(weights, f'{part}.decoder_blocks')
    hidden = 0
    if blocks:
        name = f'{part}.decoder_blocks.0.ffn.layers.0.0.weight'
        hidden, _ = shape_of(weights, name, 2)
    patches = size.grid[0] * size.grid[1]
    return MAEPretrainDecoder(
        # It adds a position for the class token, which a hybrid does not have.
        num_patches=patches - 1 if isinstance(size, HybridSize) else patches,
        embed_dim=size.width,
        decoder_embed_dim=width,
        decoder_depth=sum(name.endswith('.ln1.weight') for name in blocks),
        decoder_num_heads=1,
        mlp_ratio=(hidden + 0.5) / width,  # is rounded down after multiplication
        predict_feature_dim=outputs,
    )


def _feature_decoder(
    weights: Weights, part: str, size: ViTSize | HybridSize
) -> nn.Module:
    """One with blocks of its own, or (ablation) with those of the pixel decoder."""
    if part_of(weights, part).keys() - {'decoder_pred.weight', 'decoder_pred.bias'}:
        return _decoder(weights, part, size)
    _, width = shape_of(weights, f'{part}.decoder_pred.weight', 2)
    return SharedFeatureDecoder(size.width, width)


def _projector(
    weights: Weights, part: str, size: ViTSize | HybridSize
) -> NonLinearNeck:
    """An untrained projector for vectors of the backbone."""
    return NonLinearNeck(in_channels=size.width, **_layers(weights, part))


def _target_projector(
    weights: Weights, part: str, size: ViTSize | HybridSize
) -> NonLinearNeck:
    """One like the projector, which it follows."""
    like = 'projector' if part_of(weights, 'projector') else part
    return _projector(weights, like, size)


def _contrastive_head(
    weights: Weights, part: str, size: ViTSize | HybridSize
) -> ContrastiveHead:
    """An untrained head whose predictor maps projections to projections."""
    start = f'{part}.predictor'
    predictor = _layers(weights, start)
    outputs = predictor['out_channels']
    return ContrastiveHead(dict(type='NonLinearNeck', in_channels=outputs, **predictor))


def _check_pair(weights: Weights) -> None:
    """Refuse a projector and a predictor that cannot be of one CMAE.

    A bias in one alone has been lost in the other: no recipe known makes such a pair.
    """
    mlps = 'projector', 'contrastive_head.predictor'
    if not all(part_of(weights, mlp) for mlp in mlps):
        return
    projector, predictor = (_layers(weights, mlp) for mlp in mlps)
    for what in ('out_channels', 'with_bias'):
        if projector[what] != predictor[what]:
            raise ConversionError(
                f'{mlps[0]} has {what}={projector[what]}, {mlps[1]} has '
                f'{what}={predictor[what]}; they must be equal. The file is damaged. '
                'The backbone alone can go to safetensors.'
            )


def _layers(weights: Weights, start: str) -> dict:
    """What a ``NonLinearNeck`` must be told to have the layers of the tensors."""
    names = part_of(weights, start).keys()
    number = max(2, sum(bool(re.fullmatch(r'fc\d+\.weight', name)) for name in names))
    last = number - 1
    hidden, _ = shape_of(weights, f'{start}.fc0.weight', 2)
    outputs, _ = shape_of(weights, f'{start}.fc{last}.weight', 2)
    last_norm = any(name.startswith(f'bn{last}.') for name in names)
    batch_norm = last_norm or any('.running_' in name for name in names)
    return dict(
        hid_channels=hidden,
        out_channels=outputs,
        num_layers=number,
        with_bias='fc0.bias' in names,
        with_last_bias=f'fc{last}.bias' in names,
        with_last_bn=last_norm,  # which a LayerNorm cannot be there
        with_last_bn_affine=f'bn{last}.weight' in names,
        with_avg_pool=False,
        norm_cfg=dict(type='BN1d' if batch_norm else 'LN'),
    )
