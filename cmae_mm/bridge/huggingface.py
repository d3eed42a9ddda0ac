"""ViT and ViTMAE of Hugging Face transformers."""

import json
from pathlib import Path

import torch

from .errors import ConversionError
from .extras import need
from .files import read_checkpoint, weights_of
from .hybrid import plain_only
from .images import ImageRules
from .names import (
    HF_VIT,
    HF_VITMAE,
    Weights,
    fuse_qkv,
    inverse,
    leave_out,
    part_of,
    rename,
    split_qkv,
)
from .source import STATISTICS, Features, Source
from .vit import Hints, ViTSize, measure, one_last_norm

LICENCE = (
    'Hugging Face: see the model card. Those of ViTMAE say Apache-2.0, but the weights '
    'were converted from facebookresearch/mae, whose licence is CC BY-NC 4.0 '
    '(non-commercial).'
)
WEIGHT_FILES = ('model.safetensors', 'pytorch_model.bin')
# Beside or after the encoder: pooler, classifier, token of masked images.
NOT_ENCODER = ('pooler.', 'classifier.', 'embeddings.mask_token')


def read(path: Path, hints: Hints) -> Source:
    """Read a ViT or a ViTMAE.

    Args:
        path (Path): Folder of a model, or its ``model.safetensors`` or
            ``pytorch_model.bin``. Heads and eps come from the ``config.json`` beside
            it, if there is one; otherwise eps is transformers' 1e-12.
        hints (Hints): What neither tells.

    Returns:
        Source: 'backbone', and of a ViTMAE with a decoder 'pixel_decoder'.

    Raises:
        FileNotFoundError: If there is no such file.
        ConversionError: If it is unreadable, no ViT, or transformers is missing.
    """
    file = _weight_file(path)
    config = _read_config(file.with_name('config.json'))
    raw = weights_of(read_checkpoint(file), file)
    raw = {name.removeprefix('vit.'): tensor for name, tensor in raw.items()}
    weights, unknown = rename(fuse_qkv(raw), HF_VITMAE)
    left_out = leave_out(unknown, NOT_ENCODER, "Hugging Face's ViT or ViTMAE")
    hints = hints.or_else(
        heads=config.get('num_attention_heads'),
        grid=_grid(config),
        eps=config.get('layer_norm_eps', 1e-12),
    )
    size = measure(part_of(weights, 'backbone'), hints)
    masked = config.get('model_type') == 'vit_mae' or 'decoder.mask_token' in raw
    encoder = {
        name: tensor
        for name, tensor in raw.items()
        if name not in unknown and not name.startswith('decoder.')
    }
    return Source(
        weights=weights,
        size=size,
        features=_mae_features(encoder, size) if masked else _features(encoder, size),
        licence=LICENCE,
        left_out=left_out,
        notes=[STATISTICS],
    )


def write(source: Source, path: Path) -> tuple[Features, list[str]]:
    """Write a folder for ``ViTModel.from_pretrained``, and read it back.

    It has no pooler: load it with ``add_pooling_layer=False``. Where mean and std are
    known, ``ViTImageProcessor`` finds them beside the weights.

    Args:
        source (Source): What to write.
        path (Path): Folder to write.

    Returns:
        tuple[Callable, list[str]]: Features of the written folder, from
        transformers' class, with no tensor missing or too many; and the names of
        what it has no place for.

    Raises:
        ConversionError: If the backbone cannot be expressed there, or transformers
            is missing.
    """
    plain_only(source.size, 'transformers')
    one_last_norm(source.size, 'ViTModel')
    if source.size.pooled:
        raise ConversionError(
            'This backbone was fine-tuned with its last norm after the mean; that of '
            'ViTModel stands at every token, which is another function. Try: --to '
            'timm, or the pre-trained checkpoint.'
        )
    theirs, rest = rename(source.weights, inverse(HF_VIT))
    model = _model('ViT', source.size, split_qkv(theirs), add_pooling_layer=False)
    model.save_pretrained(path, safe_serialization=True)
    if source.rules and not source.rules.bands:
        _save_processor(source.rules, source.size.image, path)
    written, report = need('transformers').ViTModel.from_pretrained(
        path,
        add_pooling_layer=False,
        output_loading_info=True,
        use_safetensors=True,
        local_files_only=True,
    )
    if any(report.values()):
        raise ConversionError(f'ViTModel did not load what was written: {report}')
    written.eval()
    return lambda images: written(images).last_hidden_state, list(rest)


def _save_processor(rules: ImageRules, image: tuple[int, int], path: Path) -> None:
    """Write what transformers' processor of images reads."""
    if rules.order != 'rgb':
        return  # it knows no other
    height, width = image
    need('transformers').ViTImageProcessor(
        size={'height': height, 'width': width},
        resample=3,  # bicubic
        image_mean=[value / 255 for value in rules.mean],
        image_std=[value / 255 for value in rules.std],
    ).save_pretrained(path)


def _weight_file(path: Path) -> Path:
    """The file of the weights of a model."""
    if not path.is_dir():
        return path
    for name in WEIGHT_FILES:
        if (path / name).is_file():
            return path / name
    raise ConversionError(
        f'The folder {path} has no {" and no ".join(WEIGHT_FILES)}. A model in several '
        "files is put into one by save_pretrained(folder, max_shard_size='9GB')."
    )


def _read_config(file: Path) -> dict:
    """Settings of a model, or none; only those that the bridge can follow pass."""
    if not file.is_file():
        return {}
    try:
        config = json.loads(file.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ConversionError(f'{file} is no JSON: {error}') from error
    if not isinstance(config, dict):
        raise ConversionError(
            f'{file} holds a {type(config).__name__}; the settings of a model are '
            'expected, {"num_attention_heads": 12, ...}.'
        )
    if config.get('hidden_act', 'gelu') != 'gelu':
        raise ConversionError(
            f'{file} says hidden_act={config["hidden_act"]!r}; the vision transformers '
            "of mmpretrain and timm have 'gelu'."
        )
    return config


def _grid(config: dict) -> tuple[int, int] | None:
    """Rows and columns of patches, where images are not square."""
    sides, patch = config.get('image_size'), config.get('patch_size')
    if not isinstance(sides, list):
        return None
    try:
        rows, columns = (side // patch for side in sides)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ConversionError(
            f'config.json says image_size={sides} and patch_size={patch}; expected are '
            'two whole numbers for the image, and one for its square patches.'
        ) from error
    return rows, columns


def _model(kind: str, size: ViTSize, weights: Weights, **kwargs) -> torch.nn.Module:
    """transformers' own model (kind 'ViT' or 'ViTMAE'), strictly loaded."""
    transformers = need('transformers')
    settings = {'mask_ratio': 0.0} if kind == 'ViTMAE' else {}
    rows, columns = size.image
    config = getattr(transformers, f'{kind}Config')(
        hidden_size=size.width,
        num_hidden_layers=size.depth,
        num_attention_heads=size.heads,
        intermediate_size=size.hidden,
        layer_norm_eps=size.eps,
        image_size=rows if rows == columns else [rows, columns],
        patch_size=size.patch,
        num_channels=size.channels,
        **settings,
    )
    model = getattr(transformers, f'{kind}Model')(config, **kwargs)
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ConversionError(
            f"The tensors do not fit into transformers' {kind}Model: {error}"
        ) from error
    return model.eval()


def _features(weights: Weights, size: ViTSize) -> Features:
    """transformers' ViTModel, as a function."""
    model = _model('ViT', size, weights, add_pooling_layer=False)
    return lambda images: model(images).last_hidden_state


def _mae_features(weights: Weights, size: ViTSize) -> Features:
    """transformers' ViTMAEModel without masking, as a function."""
    model = _model('ViTMAE', size, weights)
    # The tokens come out sorted by this noise: rising noise keeps their order.
    order = torch.arange(size.grid[0] * size.grid[1], dtype=torch.float32)

    def features(images: torch.Tensor) -> torch.Tensor:
        return model(images, noise=order.expand(len(images), -1)).last_hidden_state

    return features
