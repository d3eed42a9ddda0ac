"""Checkpoints are data: reading one must not run code from it.

Not part of :mod:`cmae_mm.engine`, because ``import cmae_mm`` puts this loader in place
and has to stay light.
"""

import pickle
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import CheckpointLoader


def load_checkpoint_file(filename: str, map_location: Any = None) -> dict:
    """Read a checkpoint without executing anything in it.

    Args:
        filename (str): A local file.
        map_location: See :func:`torch.load`.

    Returns:
        dict: The checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        RuntimeError: If the file holds more than tensors and plain types, or is
            no checkpoint at all.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no checkpoint {filename} (looked in {Path.cwd()}). Train '
            'first, or name an existing file.'
        )
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise RuntimeError(
            f'{filename} was not loaded: it holds more than tensors and plain types, '
            'and reading the rest would run code from the file. If an OpenMMLab '
            'config of yours wrote it, add to that config: custom_hooks = '
            "[dict(type='cmae_mm.PlainCheckpointHook')]. What torch refused: "
            f'{str(error).splitlines()[0]}'
        ) from error
    except Exception as error:  # what a damaged file makes torch raise has no limit
        raise RuntimeError(
            f'{filename} ({path.stat().st_size} bytes) cannot be read as a '
            f'checkpoint; it may be cut off or of another kind. torch says: {error}'
        ) from error


def register_safe_loader() -> None:
    """Let MMEngine read local checkpoints through :func:`load_checkpoint_file`."""
    CheckpointLoader.register_scheme(
        prefixes='', loader=load_checkpoint_file, force=True
    )
