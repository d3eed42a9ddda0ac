"""Checkpoints are data: reading one must not run code from it.

Not part of :mod:`cmae_mm.engine`, because ``import cmae_mm`` puts this loader in place
and has to stay light.
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_local_rank
from mmengine.runner import CheckpointLoader

from cmae_mm.pickled_names import unsafe_names

_NAMES_SHOWN = 12  # of the code that a file asks for


def load_checkpoint_file(filename: str, map_location: Any = None) -> dict:
    """Read a checkpoint without executing anything in it.

    Args:
        filename (str): A local file.
        map_location: See :func:`torch.load`.

    Returns:
        dict: The checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        RuntimeError: If the file holds more than tensors and plain types, with the
            names of what it asks for; if a checksum in it does not match, or if it
            is no checkpoint at all.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no checkpoint {filename} (looked in {Path.cwd()}). Train '
            'first, or name an existing file.'
        )
    try:
        _check_sums(path)
        return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # what a damaged file makes torch raise has no limit
        raise RuntimeError(_explain(filename, path, error)) from error


def _check_sums(path: Path) -> None:
    """Compare every record with its checksum, which torch writes but never reads."""
    if zipfile.is_zipfile(path):  # not so before torch 1.6, and when cut off
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise ValueError(f'the checksum of {damaged} in it does not match')


def _explain(filename: str, path: Path, error: Exception) -> str:
    """Why a file was not loaded, and what to do."""
    if isinstance(error, pickle.UnpicklingError) and (names := unsafe_names(path)):
        more = ', ...' if len(names) > _NAMES_SHOWN else ''
        return (
            f'{filename} was not loaded: it holds more than tensors and plain types, '
            'and reading the rest would run code from the file. It asks for '
            f'{", ".join(names[:_NAMES_SHOWN])}{more}. Where you trust its origin, '
            'turn it into a plain file: cmae convert OLD NEW --from mmengine --trust. '
            'If an OpenMMLab config of yours writes such files, add to it: '
            "custom_hooks = [dict(type='cmae_mm.PlainCheckpointHook')]."
        )
    if isinstance(error, pickle.UnpicklingError):  # torch advises to run it as code
        reason = 'what it holds is not what torch.save writes'
    else:
        reason = str(error).split('. ')[0].split('\n')[0] or type(error).__name__
    return (
        f'{filename} ({path.stat().st_size} bytes) cannot be read as a checkpoint; it '
        f'is damaged, cut off or of another kind: {reason}.'
    )


def load_checkpoint_url(url: str, map_location: Any = None) -> dict:
    """Download a checkpoint, once, and read it as :func:`load_checkpoint_file` does.

    Args:
        url (str): http:// or https://. The file is kept in torch's cache.
        map_location: See :func:`torch.load`.

    Returns:
        dict: The checkpoint.
    """
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    path = folder / Path(urlparse(url).path).name
    if get_local_rank() == 0 and not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path))
    barrier()
    return load_checkpoint_file(str(path), map_location)


def refuse_cloud_storage(filename: str, map_location: Any = None) -> dict:
    """MMEngine would unpickle what lies there.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError(
        f'{filename} is not read, because MMEngine would run code from it. Copy the '
        'file to a disk, and name it there.'
    )


def register_safe_loader() -> None:
    """Let MMEngine read checkpoints through the functions above.

    Names of its own model zoos (``torchvision://``, ``openmmlab://``, ``mmcls://``)
    stay with MMEngine, which trusts these files.
    """
    loaders = {
        '': load_checkpoint_file,
        'http://': load_checkpoint_url,
        'https://': load_checkpoint_url,
        'pavi://': refuse_cloud_storage,
        r'(\S+\:)?s3://': refuse_cloud_storage,
        r'(\S+\:)?petrel://': refuse_cloud_storage,
    }
    for prefix, loader in loaders.items():
        CheckpointLoader.register_scheme(prefixes=prefix, loader=loader, force=True)
