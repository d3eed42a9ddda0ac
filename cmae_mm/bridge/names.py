"""What the same tensors are called elsewhere, as data.

A table maps a foreign name to ours, that of :class:`cmae_mm.CMAE`, both without
``.weight`` and ``.bias``; ``*`` stands for the number of a block.
"""

import re
from collections.abc import Iterable

import torch

from .errors import ConversionError

Weights = dict[str, torch.Tensor]
_KIND = r'(\.weight|\.bias)?'  # the end of a name, not in the tables
_QKV = ('query', 'key', 'value')

# What a checkpoint of cmae_mm.CMAE consists of.
PARTS = (
    'backbone',
    'pixel_decoder',
    'feature_decoder',
    'projector',
    'contrastive_head',
    'target_backbone',
    'target_projector',
)

# The authors' parts; inside them the names are ours already.
RELEASED_PARTS = {
    'backbone': 'backbone',
    'pixel_decoder': 'pixel_decoder',
    'feature_decoder': 'feature_decoder',
    'projector': 'projector',
    'head.predictor': 'contrastive_head.predictor',
    'target_backbone': 'target_backbone',
    'target_projector': 'target_projector',
}


def _blocks(theirs: str, ours: str, block: dict[str, str]) -> dict[str, str]:
    """The table of all blocks, from that of the layers in one."""
    return {f'{theirs}.*.{a}': f'{ours}.*.{b}' for a, b in block.items()}


_TIMM_BLOCK = {
    'norm1': 'ln1',
    'attn.qkv': 'attn.qkv',
    'attn.proj': 'attn.proj',
    'norm2': 'ln2',
    'mlp.fc1': 'ffn.layers.0.0',
    'mlp.fc2': 'ffn.layers.1',
}
TIMM = {
    'cls_token': 'backbone.cls_token',
    'pos_embed': 'backbone.pos_embed',
    'patch_embed.proj': 'backbone.patch_embed.projection',
    **_blocks('blocks', 'backbone.layers', _TIMM_BLOCK),
    'norm': 'backbone.ln1',
    'fc_norm': 'backbone.ln2',  # after the mean over the patches, in its place
}
# facebookresearch/mae builds on timm's ViT; its decoder is named like the encoder.
MAE = {
    **TIMM,
    'mask_token': 'pixel_decoder.mask_token',
    'decoder_embed': 'pixel_decoder.decoder_embed',
    'decoder_pos_embed': 'pixel_decoder.decoder_pos_embed',
    **_blocks('decoder_blocks', 'pixel_decoder.decoder_blocks', _TIMM_BLOCK),
    'decoder_norm': 'pixel_decoder.ln1',
    'decoder_pred': 'pixel_decoder.decoder_pred',
}

_HF_BLOCK = {
    'layernorm_before': 'ln1',
    'attention.attention.qkv': 'attn.qkv',  # see fuse_qkv and split_qkv
    'attention.output.dense': 'attn.proj',
    'layernorm_after': 'ln2',
    'intermediate.dense': 'ffn.layers.0.0',
    'output.dense': 'ffn.layers.1',
}
HF_VIT = {
    'embeddings.cls_token': 'backbone.cls_token',
    'embeddings.position_embeddings': 'backbone.pos_embed',
    'embeddings.patch_embeddings.projection': 'backbone.patch_embed.projection',
    **_blocks('encoder.layer', 'backbone.layers', _HF_BLOCK),
    'layernorm': 'backbone.ln1',
}
HF_VITMAE = {
    **HF_VIT,
    'decoder.mask_token': 'pixel_decoder.mask_token',
    'decoder.decoder_embed': 'pixel_decoder.decoder_embed',
    'decoder.decoder_pos_embed': 'pixel_decoder.decoder_pos_embed',
    **_blocks('decoder.decoder_layers', 'pixel_decoder.decoder_blocks', _HF_BLOCK),
    'decoder.decoder_norm': 'pixel_decoder.ln1',
    'decoder.decoder_pred': 'pixel_decoder.decoder_pred',
}


def rename(weights: Weights, table: dict[str, str]) -> tuple[Weights, Weights]:
    """Rename tensors by a table.

    Args:
        weights (dict[str, Tensor]): Tensors by their names.
        table (dict[str, str]): See the head of this module.

    Returns:
        tuple[dict, dict]: The renamed tensors, and those the table does not know
        under their old names.
    """
    rules = [
        (re.compile(re.escape(old).replace(r'\*', r'(\d+)') + _KIND), new)
        for old, new in table.items()
    ]
    renamed, unknown = {}, {}
    for name, tensor in weights.items():
        for rule, new in rules:
            if match := rule.fullmatch(name):
                *number, kind = match.groups()
                renamed[new.replace('*', ''.join(number)) + (kind or '')] = tensor
                break
        else:
            unknown[name] = tensor
    return renamed, unknown


def inverse(table: dict[str, str]) -> dict[str, str]:
    """The table of the way back."""
    return {ours: theirs for theirs, ours in table.items()}


def part_of(weights: Weights, prefix: str) -> Weights:
    """The tensors of a part, named without its prefix.

    Args:
        weights (dict[str, Tensor]): Tensors by their names.
        prefix (str): Without a dot at its end, e.g. 'backbone'.
    """
    start = f'{prefix}.'
    return {k[len(start) :]: v for k, v in weights.items() if k.startswith(start)}


def shape_of(weights: Weights, name: str, axes: int) -> tuple[int, ...]:
    """Shape of a tensor without which nothing can be built.

    Args:
        weights (dict[str, Tensor]): Tensors by their names.
        name (str): Of the tensor.
        axes (int): How many it must have.

    Raises:
        ConversionError: If it is missing, empty, or has another number of axes.
    """
    if name not in weights:
        raise ConversionError(f'{name} is missing.')
    shape = tuple(weights[name].shape)
    if len(shape) != axes or not all(shape):
        raise ConversionError(
            f'{name} is a tensor of the shape {shape}; {axes} axes are expected, none '
            'of length 0. The file is damaged, or of another network.'
        )
    return shape


def some_of(names: list[str]) -> str:
    """The first few of many names, and how many more there are.

    Args:
        names (list[str]): Names, maybe none.
    """
    rest = f' and {len(names) - 3} more' if len(names) > 3 else ''
    return (', '.join(names[:3]) or 'nothing') + rest


def with_prefix(weights: Weights, prefix: str) -> Weights:
    """The same tensors as a part of something larger."""
    return {f'{prefix}.{name}': tensor for name, tensor in weights.items()}


def fuse_qkv(weights: Weights) -> Weights:
    """Put query, key and value of Hugging Face into one matrix, in this order.

    Returns:
        dict[str, Tensor]: ``*.query.weight`` and its two companions, (D, D) each,
        as ``*.qkv.weight``, (3 D, D); biases likewise; the rest as it came.

    Raises:
        ConversionError: If one of the three is missing, or of another shape.
    """
    fused = {}
    for name, tensor in weights.items():
        match = re.fullmatch(r'(.*)\.(query|key|value)\.(weight|bias)', name)
        if not match:
            fused[name] = tensor
            continue
        start, _, kind = match.groups()
        names = [f'{start}.{one}.{kind}' for one in _QKV]
        if missing := [one for one in names if one not in weights]:
            raise ConversionError(f'{name} is there, but {missing[0]} is missing.')
        shapes = [shape_of(weights, one, 2 if kind == 'weight' else 1) for one in names]
        if len(set(shapes)) > 1:
            raise ConversionError(
                f'{", ".join(names)} are of the shapes {", ".join(map(str, shapes))}; '
                'one shape is expected. The file is damaged, or of another network.'
            )
        fused[f'{start}.qkv.{kind}'] = torch.cat([weights[one] for one in names])
    return fused


def split_qkv(weights: Weights) -> Weights:
    """The way back of :func:`fuse_qkv`."""
    split = {}
    for name, tensor in weights.items():
        if match := re.fullmatch(r'(.*)\.qkv\.(weight|bias)', name):
            start, kind = match.groups()
            for one, third in zip(_QKV, tensor.chunk(3), strict=True):
                split[f'{start}.{one}.{kind}'] = third
        else:
            split[name] = tensor
    return split


def leave_out(unknown: Weights, allowed: Iterable[str], what: str) -> list[str]:
    """Sort out tensors that have no place in CMAE.

    Args:
        unknown (dict[str, Tensor]): What the table does not know.
        allowed (Iterable[str]): Beginnings of the names of parts that stand after
            or beside the encoder, so that its features do not depend on them.
        what (str): The expected format, for the error.

    Returns:
        list[str]: Their names.

    Raises:
        ConversionError: If one is not allowed: the network is another one.
    """
    strange = [name for name in unknown if not name.startswith(tuple(allowed))]
    if strange:
        raise ConversionError(
            f'{len(strange)} of the tensors have no place in {what}, for example: '
            f'{", ".join(sorted(strange)[:4])}. The bridge converts plain vision '
            'transformers: one class token, absolute positions, no layer scale. Is '
            'the format after --from the right one?'
        )
    return list(unknown)
