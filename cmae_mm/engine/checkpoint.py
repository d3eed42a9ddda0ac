"""Checkpoints that can be read back without running what is in them.

MMEngine 0.10.7 stores ``HistoryBuffer`` objects in its checkpoints. torch from
2.6 on refuses to unpickle them, so that neither ``mim test`` nor ``resume`` can
read the files of the same run. Here a hook turns everything into tensors and
plain types before a file is written, and a loader reads local files with
``weights_only=True``, whatever the torch version.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, Runner

from cmae_mm.registry import HOOKS

_HISTORY = 'history'  # marks a HistoryBuffer among plain values


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Keeps everything but tensors and plain types out of checkpoints.

    Runs last, so that it sees what other hooks have put in.
    """

    priority = 'LOWEST'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Make the checkpoint plain, in place."""
        for key, value in checkpoint.items():
            checkpoint[key] = to_plain(value, where=key)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Give the message hub its history buffers back."""
        scalars = checkpoint.get('message_hub', {}).get('log_scalars', {})
        for name, value in scalars.items():
            if isinstance(value, dict) and value.get('type') == _HISTORY:
                scalars[name] = HistoryBuffer(
                    value['values'].numpy(), value['counts'].numpy(), value['length']
                )


def to_plain(value: Any, where: str = 'checkpoint') -> Any:
    """Turn a value into tensors and plain types.

    Args:
        value: Tensors, numbers, strings, None, arrays, history buffers, and
            dicts, lists, tuples and sets of them.
        where (str): Its place in the checkpoint, for the error.

    Returns:
        The same content; NumPy scalars as Python ones, arrays as lists, history
        buffers as dicts of tensors. Dicts keep their class if torch knows it.

    Raises:
        TypeError: If something else is found, for instance an object of a class
            that only its own code could read back.
    """
    if isinstance(value, (torch.Tensor, str, int, float, bool, type(None))):
        if isinstance(value, np.generic):  # np.float64 is a float
            return value.item()
        return value
    if isinstance(value, HistoryBuffer):
        values, counts = value.data
        return {
            'type': _HISTORY,
            'values': torch.from_numpy(np.asarray(values, dtype=np.float64)),
            'counts': torch.from_numpy(np.asarray(counts, dtype=np.int64)),
            'length': value.max_length,
        }
    if isinstance(value, dict):
        for key in list(value):
            value[key] = to_plain(value[key], f'{where}.{key}')
        return value
    if isinstance(value, (list, tuple, set)):
        items = [to_plain(item, f'{where}[{i}]') for i, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(
        f'{where} of the checkpoint is a {type(value).__module__}.'
        f'{type(value).__qualname__}, which could not be read back safely. '
        'Store tensors, numbers, strings, lists and dicts instead.'
    )


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
