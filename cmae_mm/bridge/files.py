"""Weights from and to files, without running anything in them."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from cmae_mm.engine.durable_files import flush
from cmae_mm.safe_loading import load_checkpoint_file

from .errors import ConversionError
from .extras import need
from .names import Weights


class _StandIn:
    """Takes the place of an object in a file, and forgets what it was made of."""

    def __init__(self, *args) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


# Beside the weights, facebookresearch/mae stores its command line in its
# checkpoints, and MMEngine the history of the losses. Neither is wanted. Their
# classes are not looked up: torch's reader gets an empty class of the same name,
# so nothing that such a name stands for can run. Whatever is not in this list is
# refused.
_NOT_WANTED = (
    ('argparse', 'Namespace'),
    ('mmengine.logging.history_buffer', 'HistoryBuffer'),
    ('builtins', 'getattr'),  # how a HistoryBuffer names its methods
    ('numpy', 'dtype'),
    ('numpy', 'ndarray'),
    ('numpy.core.multiarray', '_reconstruct'),
    ('numpy.core.multiarray', 'scalar'),
    ('numpy._core.multiarray', '_reconstruct'),
    ('numpy._core.multiarray', 'scalar'),
)


def _stand_ins() -> Any:
    """Context in which torch reads over what is not wanted (torch >= 2.5)."""
    if not hasattr(torch.serialization, 'safe_globals'):
        return nullcontext()  # such files are refused there
    return torch.serialization.safe_globals(
        [
            type(name, (_StandIn,), {'__module__': module, '__qualname__': name})
            for module, name in _NOT_WANTED
        ]
    )


def read_checkpoint(path: Path) -> dict:
    """Read a checkpoint of torch, or a file of safetensors.

    Args:
        path (Path): The file; ``.safetensors`` is known by its name.

    Returns:
        dict: What is in it. Of safetensors: 'state_dict' and 'meta'.

    Raises:
        FileNotFoundError: If there is no such file.
        ConversionError: If it is damaged, or holds more than tensors and plain
            types. Nothing in it has been run then.
    """
    if path.suffix == '.safetensors' and path.is_file():
        return _read_safetensors(path)
    try:
        with _stand_ins():
            checkpoint = load_checkpoint_file(str(path), map_location='cpu')
    except RuntimeError as error:
        raise ConversionError(str(error)) from error
    if not isinstance(checkpoint, dict):
        raise ConversionError(
            f'{path} holds a {type(checkpoint).__name__}; needed: a checkpoint, that '
            'is a dict of tensors.'
        )
    return checkpoint


def _read_safetensors(path: Path) -> dict:
    """Tensors and the metadata of a file of safetensors."""
    library = need('safetensors')
    try:
        with library.safe_open(path, framework='pt') as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}
            meta = file.metadata() or {}
    except library.SafetensorError as error:
        raise ConversionError(
            f'{path} ({path.stat().st_size} bytes) cannot be read as safetensors: '
            f'{error}'
        ) from error
    return {'state_dict': weights, 'meta': _from_text(meta)}


def _from_text(meta: dict[str, str]) -> dict:
    """What :func:`write_weights` put into the metadata, which take only text."""
    try:
        return {'bridge': json.loads(meta['bridge'])}
    except (KeyError, ValueError):
        return {}


def weights_of(checkpoint: dict, path: Path) -> Weights:
    """The tensors of a checkpoint, wherever its makers put them.

    Args:
        checkpoint (dict): From :func:`read_checkpoint`.
        path (Path): Its file, for the error.

    Returns:
        dict[str, Tensor]: The state dict; half precision as float32.

    Raises:
        ConversionError: If there are none.
    """
    held = checkpoint
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint.get(key), dict):
            held = checkpoint[key]
            break
    weights = {
        str(name): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in held.items()
        if isinstance(tensor, torch.Tensor)
    }
    if not weights:
        raise ConversionError(
            f'{path} holds no weights. Looked for tensors in it, in its "state_dict" '
            f'and in its "model"; it has: {", ".join(map(str, checkpoint))}.'
        )
    return weights


def write_weights(weights: Weights, path: Path, meta: dict | None = None) -> None:
    """Write a state dict.

    Args:
        weights (dict[str, Tensor]): Tensors by their names.
        path (Path): Ends in ``.safetensors``, or in anything else for torch.
        meta (dict, optional): Plain values to lie beside them. With it a torch file
            is a checkpoint with 'state_dict' and 'meta', without it the bare dict.
    """
    # Own memory for each: torch would store all of what a view is a part of, and
    # safetensors takes no views.
    weights = {
        name: tensor.detach().clone(memory_format=torch.contiguous_format)
        for name, tensor in weights.items()
    }
    if path.suffix == '.safetensors':
        text = {'bridge': json.dumps(meta)} if meta else {}
        need('safetensors.torch').save_file(weights, path, {'format': 'pt', **text})
    elif meta is None:
        torch.save(weights, path)
    else:
        torch.save({'meta': {'bridge': meta}, 'state_dict': weights}, path)


# What a folder of Hugging Face holds for one model: those of an older model beside
# new weights would be taken for theirs.
_OF_A_MODEL = re.compile(
    r'preprocessor_config\.json'
    r'|model(-\d+-of-\d+)?\.safetensors(\.index\.json)?'
    r'|pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?'
)


@contextmanager
def finished_only(target: Path) -> Iterator[Path]:
    """A place to write to, which becomes the target when all went well.

    Args:
        target (Path): File or folder to be. A file that is there is replaced; of a
            folder that is there, the files of the same names are, and what is left of
            another model of Hugging Face is removed.

    Yields:
        Path: Of the same name, in a folder of its own that is removed at the end.
        Its files get the permissions that new files have.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target: replacing works within one file system.
    folder = Path(tempfile.mkdtemp(prefix='.bridge-', dir=target.parent))
    try:
        place = folder / target.name
        yield place
        usual = folder / f'{target.name}.new'
        usual.touch()  # safetensors makes its files for their owner alone
        for file in place.iterdir() if place.is_dir() else [place]:
            shutil.copymode(usual, file)
            flush(file)
        if target.is_dir():
            new = [file.name for file in place.iterdir()]
            for name in new:
                os.replace(place / name, target / name)
            # Afterwards: what goes wrong before has removed nothing.
            _remove_other_model(target, set(new))
        else:
            os.replace(place, target)
        flush(target.parent)  # or the new name might not survive a power cut
    finally:
        shutil.rmtree(folder)


def _remove_other_model(folder: Path, new: set[str]) -> None:
    """Remove files of a model that are not among the new ones."""
    for file in list(folder.iterdir()):
        if _OF_A_MODEL.fullmatch(file.name) and file.name not in new:
            file.unlink()
