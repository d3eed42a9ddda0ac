"""What a file of weights holds, told without running anything in it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cmae_mm.engine.valid_checkpoint import not_finite, obstacle
from cmae_mm.pickled_names import unsafe_names

from .errors import ConversionError
from .extras import need
from .files import read_checkpoint
from .names import Weights

# Beginnings of names that must all be there -> whose weights they are; the first wins.
_KINDS = {
    ('target_backbone.', 'head.predictor.'): "CMAE in its authors' format",
    ('backbone.', 'target_backbone.'): 'CMAE of cmae_mm',
    ('backbone.', 'pixel_decoder.'): 'MAE of cmae_mm',
    ('patch_embed.proj.', 'decoder_embed.'): 'MAE of facebookresearch/mae',
    ('patch_embed.proj.', 'blocks.'): 'ViT of timm, or MAE without its decoder',
    ('patch_embed.projection.', 'layers.'): 'ViT of mmpretrain, a backbone alone',
    ('embeddings.',): 'ViT of Hugging Face',
    ('vit.embeddings.',): 'ViT of Hugging Face',
    ('backbone.',): 'model of OpenMMLab',
}


@dataclass
class Part:
    """The tensors whose names begin alike.

    Args:
        tensors (int): How many.
        numbers (int): Elements of all of them.
        dtypes (set[str]): Such as 'float32'.
    """

    tensors: int = 0
    numbers: int = 0
    dtypes: set[str] = field(default_factory=set)


@dataclass
class Contents:
    """What a file holds.

    Args:
        kind (str): What it is.
        size (int): Of the file, in bytes.
        facts (dict[str, Any]): What it says of itself: epoch, versions, ...
        parts (dict[str, Part]): By the first component of the names of the weights.
        not_finite (list[str]): Names of weights with NaN or infinity.
        unsafe (list[str]): Names of code that it asks for, which was not run.
        damage (str | None): Why it could not be read.
        obstacle (str | None): Why a training cannot be resumed from it.
    """

    kind: str
    size: int
    facts: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    not_finite: list[str] = field(default_factory=list)
    unsafe: list[str] = field(default_factory=list)
    damage: str | None = None
    obstacle: str | None = None

    @property
    def sound(self) -> bool:
        """Whether the file is whole, finite and free of code."""
        return not (self.damage or self.not_finite or self.unsafe)


def look_into(path: str | Path) -> Contents:
    """Tell what a file holds. Every byte of it is read, nothing in it is run.

    Args:
        path (str | Path): A checkpoint of torch or a file of safetensors, whole or
            damaged, of any origin.

    Returns:
        Contents: What was found.

    Raises:
        FileNotFoundError: If there is no such file.
        ConversionError: If the library for its format is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no file {path} (looked in {Path.cwd()}).')
    safetensors = path.suffix == '.safetensors'
    if safetensors:
        need('safetensors')
    size, unsafe = path.stat().st_size, [] if safetensors else unsafe_names(path)
    try:
        checkpoint = read_checkpoint(path)
    except ConversionError as error:
        kind = 'pickle with code' if unsafe else 'damaged, or no checkpoint'
        return Contents(
            kind, size, unsafe=unsafe, damage=str(error), obstacle='it was not read'
        )
    weights = _weights(checkpoint)
    sick = not_finite(weights)
    return Contents(
        kind=_kind(checkpoint, weights) + (', safetensors' if safetensors else ''),
        size=size,
        facts=_facts(checkpoint),
        parts=_parts(weights),
        not_finite=sick,
        unsafe=unsafe,
        obstacle=_obstacle(checkpoint, sick, unsafe),
    )


def _weights(checkpoint: dict) -> Weights:
    """The tensors, wherever the makers of the file put them."""
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
            break
    return {
        str(name): tensor
        for name, tensor in checkpoint.items()
        if isinstance(tensor, torch.Tensor)
    }


def _kind(checkpoint: dict, weights: Weights) -> str:
    """What was saved, and of which network."""
    whole = 'training checkpoint' if 'optimizer' in checkpoint else 'weights only'
    for starts, network in _KINDS.items():
        if all(any(name.startswith(start) for name in weights) for start in starts):
            return f'{whole}, {network}'
    return f'{whole}, of an unknown network' if weights else 'no weights'


def _facts(checkpoint: dict) -> dict[str, Any]:
    """What a file says of itself."""
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    versions = meta.get('versions')
    facts = {
        'epoch': meta.get('epoch', checkpoint.get('epoch')),
        'iteration': meta.get('iter'),
        'written': meta.get('time'),
        'run': meta.get('experiment_name'),
        'seed': meta.get('seed'),
        'mmengine': meta.get('mmengine_version'),
        **(versions if isinstance(versions, dict) else {}),
        'holds': ', '.join(map(str, checkpoint)) if meta else None,
    }
    return {str(name): fact for name, fact in facts.items() if fact is not None}


def _parts(weights: Weights) -> dict[str, Part]:
    """Count the weights by part."""
    parts: dict[str, Part] = {}
    for name, tensor in weights.items():
        part = parts.setdefault(name.split('.')[0], Part())
        part.tensors += 1
        part.numbers += tensor.numel()
        part.dtypes.add(str(tensor.dtype).removeprefix('torch.'))
    return parts


def _obstacle(checkpoint: dict, sick: list[str], unsafe: list[str]) -> str | None:
    """Why a training cannot be resumed."""
    if problem := obstacle(checkpoint):
        return problem
    if sick:
        return 'its weights are not finite'
    if unsafe:
        return (
            'it asks for code; `cmae convert --from mmengine --trust` '
            'makes a plain file of it'
        )
    return None
