"""Checkpoints of cmae_mm, and its backbone alone in safetensors."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from mmpretrain.models import VisionTransformer

from cmae_mm.engine.config_text import read_settings
from cmae_mm.engine.source_grid import grid_of

from .encoder import build_backbone, encode, load_strictly
from .errors import ConversionError
from .files import read_checkpoint, weights_of, write_weights
from .hybrid import HybridSize, is_hybrid, measure_hybrid
from .images import ImageRules, rules_of_file, rules_of_run
from .names import PARTS, Weights, part_of, with_prefix
from .parts import check_parts
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
    opened = open_backbone(path, hints)
    return Source(
        weights=opened.weights,
        size=opened.size,
        features=features_of(part_of(opened.weights, 'backbone'), opened.size),
        licence=opened.licence,
        left_out=opened.left_out,
        rules=None if opened.rules.assumed else opened.rules,
    )


@dataclass
class Opened:
    """What a file of ours holds, before anything is built from it.

    Args:
        weights (dict[str, Tensor]): See :class:`cmae_mm.bridge.source.Source`, also
            for the next three.
        size (ViTSize | HybridSize): Size of the backbone.
        licence (str): What is known of the licence of the weights.
        left_out (list[str]): Tensors that CMAE has no place for.
        rules (ImageRules): What the network wants to be shown.
    """

    weights: Weights
    size: ViTSize | HybridSize
    licence: str
    left_out: list[str]
    rules: ImageRules


def open_backbone(path: Path, hints: Hints) -> Opened:
    """Read the tensors, and what the file and its run say of them.

    Args:
        path (Path): See :func:`read`.
        hints (Hints): See there. What neither the user nor the file says is looked
            for in the config of the run, in the file or in the folder of the run.

    Returns:
        Opened: With a backbone of a known size.

    Raises:
        FileNotFoundError: See :func:`read`.
        ConversionError: See there.
    """
    checkpoint = read_checkpoint(path)
    weights = weights_of(checkpoint, path)
    said = _said(checkpoint, path)
    settings = _settings(checkpoint.get('meta'), path)
    if not part_of(weights, 'backbone'):
        weights = with_prefix(weights, 'backbone')
    ours = {k: v for k, v in weights.items() if k.split('.')[0] in PARTS}
    backbone = part_of(ours, 'backbone')
    hints = hints.or_else(
        heads=said.get('heads'), grid=said.get('grid'), eps=said.get('layer_norm_eps')
    ).or_else(**_told_by(settings, backbone))
    size = (measure_hybrid if is_hybrid(backbone) else measure)(backbone, hints)
    return Opened(
        weights=ours,
        size=size,
        licence=said.get('licence', LICENCE),
        left_out=[name for name in weights if name not in ours],
        rules=rules_of_file(said.get('images'), size) or rules_of_run(settings, size),
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
    check_parts(written, source.size)
    if target := part_of(written, 'target_backbone'):
        network = build_backbone(source.size, 'ln1.weight' in target, pooled=False)
        load_strictly(network, target, 'target_backbone')
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


def features_of(backbone: Weights, size: ViTSize | HybridSize) -> Features:
    """A strictly loaded network of OpenMMLab, as a function."""
    model = build_backbone(size, size.final_norm, size.pooled)
    load_strictly(model, backbone, 'backbone')
    model.eval()
    return lambda images: encode(model, images)


def _settings(meta: Any, path: Path) -> dict[str, Any]:
    """Model and test of the run that wrote a file; empty if nobody knows."""
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not isinstance(text, str) or not text.strip():
        starts = sorted(path.parent.glob('*/vis_data/config.py'))  # one per start
        text = (
            starts[-1].read_text(encoding='utf-8', errors='replace') if starts else ''
        )
    return read_settings(text, 'model', 'data_preprocessor', 'test_dataloader')


def _told_by(settings: dict[str, Any], weights: Weights) -> dict[str, Any]:
    """Heads, grid and eps of the backbone in the config of a run.

    Nothing, if the weights are those of another backbone.
    """
    try:
        cfg = settings['model']['backbone']
        width, places = weights['pos_embed'].shape[2], weights['pos_embed'].shape[1]
        if 'ConvViT' in cfg['type']:
            made_for = cfg.get('widths', (768,))[-1]
            told = {'heads': cfg.get('num_heads', 12)}
        else:
            arch = cfg.get('arch', 'base')
            if isinstance(arch, str):
                arch = VisionTransformer.arch_zoo[arch.lower()]
            made_for = arch['embed_dims']
            told = {'heads': arch['num_heads']}
            told['eps'] = cfg.get('norm_cfg', {}).get('eps')
        grid = grid_of(cfg)
        if places - prod(grid) in (0, 1):  # one more: the class token
            told['grid'] = grid
        return told if made_for == width else {}
    except (AttributeError, IndexError, KeyError, TypeError):
        return {}


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
        **({'images': source.rules.said()} if source.rules else {}),
    }
