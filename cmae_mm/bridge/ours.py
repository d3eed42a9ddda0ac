"""Checkpoints of cmae_mm, and its backbone alone in safetensors."""

from pathlib import Path

from mmpretrain.models import VisionTransformer
from mmpretrain.models.necks import MAEPretrainDecoder
from torch import nn

from .errors import ConversionError
from .files import read_checkpoint, weights_of, write_weights
from .names import PARTS, Weights, part_of, with_prefix
from .source import Features, Source
from .vit import Hints, ViTSize, measure

LICENCE = (
    'of your own training: as you decide, within what the licences of its images and '
    'of the weights it started from allow.'
)


def read(path: Path, hints: Hints) -> Source:
    """Read a checkpoint of cmae_mm, or the state dict of one of its backbones.

    Args:
        path (Path): ``.pth`` or ``.safetensors``. Names without ``backbone.`` are
            taken for a backbone.
        hints (Hints): What the user says; a file that the bridge wrote says the
            number of heads and the grid itself.

    Returns:
        Source: The parts of a CMAE that are in it.

    Raises:
        FileNotFoundError: If there is no such file.
        ConversionError: If it is unreadable, its backbone no plain ViT, or what is
            said of it beside the weights of another form than the bridge writes.
    """
    checkpoint = read_checkpoint(path)
    weights = weights_of(checkpoint, path)
    said = _said(checkpoint, path)
    if not part_of(weights, 'backbone'):
        weights = with_prefix(weights, 'backbone')
    ours = {k: v for k, v in weights.items() if k.split('.')[0] in PARTS}
    backbone = part_of(ours, 'backbone')
    hints = hints.or_else(
        heads=said.get('heads'), grid=said.get('grid'), eps=said.get('layer_norm_eps')
    )
    size = measure(backbone, hints)
    return Source(
        weights=ours,
        size=size,
        features=features_of(backbone, size),
        licence=said.get('licence', LICENCE),
        left_out=[name for name in weights if name not in ours],
    )


def write(source: Source, path: Path) -> tuple[Features, list[str]]:
    """Write a checkpoint for ``load_from`` or ``init_cfg``, and read it back.

    Args:
        source (Source): What to write, with all its parts.
        path (Path): File to write.

    Returns:
        tuple[Callable, list[str]]: Features of the written file, from a
        :class:`mmpretrain.VisionTransformer` that loaded it strictly; and the names
        of the parts that were not written, none.
    """
    write_weights(source.weights, path, _meta(source))
    written = read_checkpoint(path)['state_dict']
    if decoder := part_of(written, 'pixel_decoder'):
        _load(_decoder_like(decoder), decoder, 'pixel_decoder')
    if target := part_of(written, 'target_backbone'):
        _load(_backbone(source.size, 'ln1.weight' in target), target, 'target_backbone')
    return features_of(part_of(written, 'backbone'), source.size), []


def write_safetensors(source: Source, path: Path) -> tuple[Features, list[str]]:
    """Write the backbone's state dict, and read it back.

    Args:
        source (Source): What to write.
        path (Path): File to write, ``.safetensors``.

    Returns:
        tuple[Callable, list[str]]: See :func:`write`.
    """
    backbone = part_of(source.weights, 'backbone')
    write_weights(backbone, path, _meta(source))
    written = read_checkpoint(path)['state_dict']
    rest = [name for name in source.weights if not name.startswith('backbone.')]
    return features_of(written, source.size), rest


def features_of(backbone: Weights, size: ViTSize) -> Features:
    """A strictly loaded :class:`mmpretrain.VisionTransformer`, as a function."""
    model = _backbone(size, final_norm=not size.pooled)
    _load(model, backbone, 'backbone')
    model.eval()
    return lambda images: model(images)[-1]


def _said(checkpoint: dict, path: Path) -> dict:
    """What :func:`_meta` put into a file, or nothing."""
    said = checkpoint
    for key in ('meta', 'bridge'):
        said = said.get(key)
        if said is None:
            return {}
        if not isinstance(said, dict):
            raise ConversionError(
                f'{path} has a {type(said).__name__} under {key!r}; a dict is '
                "expected. Save its 'state_dict' alone, and convert that."
            )
    return said


def _meta(source: Source) -> dict:
    """What the tensors do not tell."""
    return {
        'heads': source.size.heads,
        'grid': list(source.size.grid),
        'layer_norm_eps': source.size.eps,
        'licence': source.licence,
    }


def _backbone(size: ViTSize, final_norm: bool) -> VisionTransformer:
    """An untrained network of this size."""
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
        out_type='avg_featmap' if size.pooled else 'raw',
    )


def _decoder_like(weights: Weights) -> MAEPretrainDecoder:
    """An untrained decoder with tensors of the same shapes."""
    for name in ('decoder_embed.weight', 'decoder_pos_embed', 'decoder_pred.weight'):
        if name not in weights:
            raise ConversionError(f'pixel_decoder is incomplete: {name} is missing.')
    width, embed_dim = weights['decoder_embed.weight'].shape
    hidden = len(weights.get('decoder_blocks.0.ffn.layers.0.0.weight', ()))
    return MAEPretrainDecoder(
        num_patches=weights['decoder_pos_embed'].shape[1] - 1,
        embed_dim=embed_dim,
        decoder_embed_dim=width,
        decoder_depth=sum(name.endswith('.ln1.weight') for name in weights),
        decoder_num_heads=1,  # leaves no trace in the tensors
        mlp_ratio=(hidden + 0.5) / width,  # is rounded down after multiplication
        predict_feature_dim=len(weights['decoder_pred.weight']),
    )


def _load(model: nn.Module, weights: Weights, part: str) -> None:
    """Load strictly, or say what does not fit."""
    try:
        model.load_state_dict(dict(weights), strict=True)
    except RuntimeError as error:
        raise ConversionError(
            f'{part} does not fit into {type(model).__name__}: {error}'
        ) from error
