"""Which encoder a checkpoint holds, as far as transfer has to know it."""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmae_mm.bridge import ConversionError
from cmae_mm.bridge.contents import look_into
from cmae_mm.bridge.files import read_checkpoint, weights_of
from cmae_mm.bridge.names import part_of
from cmae_mm.bridge.vit import Hints, measure
from cmae_mm.engine.source_grid import source_grid
from cmae_mm.engine.valid_checkpoint import newest_valid, not_finite

_HYBRID = 'cmae_mm.CMAEConvViT'
# What the packaged configs of the hybrid take for granted.
_SHAPE_OF_HYBRID = ('widths', 'depths', 'strides', 'num_heads', 'mlp_ratio')


@dataclass(frozen=True)
class EncoderInfo:
    """What is known of a pre-trained encoder, without its weights.

    Args:
        checkpoint (Path): Its file, absolute.
        backbone (dict): Type and arguments of the backbone in pre-training: for a
            plain ViT ``arch`` (a dict), ``patch_size``, ``img_size`` and ``norm_cfg``.
        image (tuple[int, int]): Height and width of the views in pre-training, pixels.
        mean (list[float]): Of the pixels in 0..255, one number per channel.
        std (list[float]): As the mean.
        to_rgb (bool): Whether it was trained on RGB rather than BGR.
    """

    checkpoint: Path
    backbone: dict[str, Any]
    image: tuple[int, int]
    mean: list[float]
    std: list[float]
    to_rgb: bool

    @property
    def hybrid(self) -> bool:
        """Whether it is ConvMAE's hybrid rather than a plain ViT."""
        return self.backbone['type'] == _HYBRID

    @property
    def width(self) -> int:
        """Numbers per token."""
        return 768 if self.hybrid else self.backbone['arch']['embed_dims']

    @property
    def depth(self) -> int:
        """Blocks of the transformer."""
        return 11 if self.hybrid else self.backbone['arch']['num_layers']

    @property
    def patch(self) -> int:
        """Side of a patch, pixels."""
        return 16 if self.hybrid else self.backbone['patch_size']

    def image_for(self, side: int) -> int | tuple[int, int]:
        """``img_size`` of a backbone that is to see images of about this side.

        Positions of a square grid are resized when they are loaded; of another grid
        they have to be loaded as they are, and are interpolated at every step.
        """
        return side if self.image[0] == self.image[1] else self.image

    def __str__(self) -> str:
        height, width = self.image
        kind = 'hybrid ConvViT' if self.hybrid else 'ViT'
        return (
            f'{kind} of width {self.width}, depth {self.depth}, patch {self.patch}, '
            f'pre-trained on {height}x{width} px ({self.checkpoint})'
        )


def find_checkpoint(path: str | Path) -> Path:
    """The file that a user means.

    Args:
        path (str | Path): A checkpoint, or the folder of a pre-training.

    Returns:
        Path: The file; of a folder the newest that is whole and finite.

    Raises:
        FileNotFoundError: If there is no such file, or no valid one in the folder.
    """
    path = Path(path)
    if path.is_dir():
        found = newest_valid(path)
        if found is None:
            raise FileNotFoundError(
                f'{path} holds no checkpoint of a training that is whole and finite. '
                'Name a .pth file, or the folder that the pre-training wrote to.'
            )
        return found.resolve()
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no checkpoint {path} (looked in {Path.cwd()}).'
        )
    return path.resolve()


def read_encoder(path: str | Path) -> EncoderInfo:
    """Recover the architecture of a pre-trained encoder. Nothing in the file is run.

    Args:
        path (str | Path): See :func:`find_checkpoint`.

    Returns:
        EncoderInfo: The encoder, without its weights.

    Raises:
        FileNotFoundError: See :func:`find_checkpoint`.
        ValueError: If the file is damaged, not finite, or holds no encoder that the
            transfer configs can take.
    """
    file = find_checkpoint(path)
    if file.suffix == '.safetensors':
        raise ValueError(
            f'{file}: the libraries start from checkpoints of torch. Convert it: '
            'cmae convert FILE OURS.pth --from cmae-mm --to cmae-mm'
        )
    try:
        checkpoint = read_checkpoint(file)
        weights = part_of(weights_of(checkpoint, file), 'backbone')
    except ConversionError as error:
        raise ValueError(str(error)) from error
    if not weights:
        raise ValueError(
            f'{file} holds no backbone of cmae_mm; it is: {look_into(file).kind}. '
            'Weights of others: cmae convert makes them ours.'
        )
    if sick := not_finite(weights):
        raise ValueError(
            f'{file}: {len(sick)} tensors of the backbone are not finite, for example '
            f'{sick[0]}. Take an earlier checkpoint.'
        )
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    backbone, preprocessor = _configs_in(meta)
    if 'stages.0.patch_embed.projection.weight' in weights:
        shape = _shape_of_hybrid(backbone, file)
    else:
        shape = _shape_of_vit(weights, backbone, meta, file)
    return EncoderInfo(
        checkpoint=file,
        mean=list(preprocessor.get('mean', (123.675, 116.28, 103.53))),
        std=list(preprocessor.get('std', (58.395, 57.12, 57.375))),
        to_rgb=preprocessor.get('to_rgb', True),
        **shape,
    )


def _shape_of_vit(weights: dict, said: dict, meta: dict, file: Path) -> dict[str, Any]:
    """``backbone`` and ``image``, from the tensors; the config tells the rest."""
    bridge = meta.get('bridge')
    bridge = bridge if isinstance(bridge, dict) else {}
    hints = Hints(
        heads=bridge.get('heads', _heads(said.get('arch'))),
        grid=source_grid(meta),
        eps=bridge.get('layer_norm_eps', (said.get('norm_cfg') or {}).get('eps')),
    )
    try:
        size = measure(weights, hints)
    except ConversionError as error:
        raise ValueError(
            f'{file}: {error} (cmae convert --from cmae-mm --to cmae-mm takes --heads '
            'and --grid, and writes them into its copy)'
        ) from error
    if size.channels != 3:
        raise ValueError(
            f'{file} was trained on images of {size.channels} channels; this command '
            'takes RGB. docs/your-images.md shows the configs for other channels.'
        )
    arch = dict(
        embed_dims=size.width,
        num_layers=size.depth,
        num_heads=size.heads,
        feedforward_channels=size.hidden,
    )
    return dict(
        image=size.image,
        backbone=dict(
            type='cmae_mm.CMAEViT',
            arch=arch,
            img_size=size.image,
            patch_size=size.patch,
            norm_cfg=dict(type='LN', eps=size.eps),
        ),
    )


def _shape_of_hybrid(said: dict, file: Path) -> dict[str, Any]:
    """As :func:`_shape_of_vit`; only the packaged size of the hybrid is known."""
    changed = [name for name in _SHAPE_OF_HYBRID if name in said]
    if not said or changed or said.get('in_channels', 3) != 3:
        raise ValueError(
            f'{file} holds a hybrid encoder of another size than ConvViT-B, or does '
            'not say of which. Write a config beside configs/ade20k/convvit-base_*.py.'
        )
    image = said.get('img_size', 224)
    image = (image, image) if isinstance(image, int) else tuple(image)
    return dict(image=image, backbone=dict(type=_HYBRID, img_size=image))


def _heads(arch: Any) -> int | None:
    """Heads of an ``arch`` as configs write it; None if it does not tell."""
    if isinstance(arch, str):
        from mmpretrain.models import VisionTransformer

        arch = VisionTransformer.arch_zoo.get(arch.lower())
    return arch.get('num_heads') if isinstance(arch, dict) else None


def _configs_in(meta: dict) -> tuple[dict[str, Any], dict[str, Any]]:
    """Backbone and data preprocessor of the config in a checkpoint, else empty.

    The text of the config is parsed; MMEngine would execute it.
    """
    try:
        (model,) = (
            _value(line.value)
            for line in ast.parse(meta['cfg']).body
            if isinstance(line, ast.Assign) and line.targets[0].id == 'model'
        )
        return model['backbone'], model.get('data_preprocessor') or {}
    except (AttributeError, KeyError, SyntaxError, TypeError, ValueError):
        return {}, {}


def _value(node: ast.expr) -> Any:
    """What an expression of literals and ``dict(...)`` stands for."""
    if isinstance(node, ast.Call) and getattr(node.func, 'id', None) == 'dict':
        return {word.arg: _value(word.value) for word in node.keywords}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item) for item in node.elts]
    return ast.literal_eval(node)
