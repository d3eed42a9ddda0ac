"""Checkpoints that can be read back without running what is in them.

MMEngine 0.10.7 stores ``HistoryBuffer`` objects in its checkpoints. torch from
2.6 on refuses to unpickle them, so that neither ``mim test`` nor ``resume`` can
read the files of the same run. Here a hook turns everything into tensors and
plain types before a file is written; :mod:`cmae_mm.safe_loading` reads it.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner

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
        The same content; NumPy scalars as Python ones, arrays and sets as lists,
        history buffers as dicts of tensors. Plain dicts are changed in place.

    Raises:
        TypeError: If something else is found, for instance an object of a class
            that only its own code could read back.
    """
    if isinstance(value, (torch.Tensor, type(None))):
        return value
    for plain in (bool, int, float, str):
        if isinstance(value, plain):  # np.float64 is a float, and becomes one
            return plain(value)
    if isinstance(value, HistoryBuffer):
        values, counts = value.data
        return {
            'type': _HISTORY,
            'values': torch.from_numpy(np.asarray(values, dtype=np.float64)),
            'counts': torch.from_numpy(np.asarray(counts, dtype=np.int64)),
            'length': value.max_length,
        }
    if isinstance(value, dict):
        if type(value) not in (dict, OrderedDict):
            value = dict(value)
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
