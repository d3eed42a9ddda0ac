"""Proof on the user's own config and machine that a resumed run is the same run."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cmae_mm.safe_loading import load_checkpoint_file

# Of the logs, what depends on the clock and the machine.
_ELSEWHERE = ('time', 'data_time', 'memory')
_PARTS = ('state_dict', 'optimizer', 'param_schedulers', 'random_states', 'logs')


@dataclass(frozen=True)
class Comparison:
    """One part of the two checkpoints.

    Args:
        part (str): ``state_dict``, ``optimizer``, ...
        unbroken (str): SHA-256 of it after 2N steps.
        resumed (str): SHA-256 after N steps, a new process and N steps.
    """

    part: str
    unbroken: str
    resumed: str

    @property
    def same(self) -> bool:
        """Whether not a single bit differs."""
        return self.unbroken == self.resumed


def verify_resume(
    config: str,
    folder: Path,
    steps: int = 3,
    cfg_options: dict | None = None,
    processes: int = 1,
) -> list[Comparison]:
    """Train 2N steps at once, and N steps, a new process, N steps; compare.

    Args:
        config (str): File of a training config.
        folder (Path): For the runs' files.
        steps (int): N, 1 or more. Defaults to 3.
        cfg_options (dict, optional): As for ``--cfg-options``; plain values.
        processes (int): How many train together, by torchrun. Defaults to 1.

    Returns:
        list[Comparison]: One for each part of a checkpoint.

    Raises:
        RuntimeError: If one of the runs fails, with the end of its output.
        ValueError: If the folder holds such runs already.
    """
    for name in ('unbroken', 'resumed'):
        if (folder / name).exists():
            raise ValueError(
                f'{folder / name} exists. Remove it, or name a new folder.'
            )
    options = json.dumps(cfg_options or {})
    runs = (('unbroken', 2 * steps, False), ('resumed', steps, False))
    for name, stop_after, resume in (*runs, ('resumed', 2 * steps, True)):
        command = [sys.executable, '-W', 'ignore', '-m']
        if processes > 1:
            command += ['torch.distributed.run', '--standalone']
            command += [f'--nproc_per_node={processes}', '-m']
        command += ['cmae_mm.guards.partial_run', config, str(folder / name)]
        command += ['--stop-after', str(stop_after)]
        command += ['--cfg-options', options, *(['--resume'] if resume else [])]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(
                f'The {name} run of {config} failed, so nothing could be compared. '
                f'It said: {_reason(done.stdout + done.stderr)}'
            )
    unbroken, resumed = (
        fingerprints(folder / name / f'iter_{2 * steps}.pth')
        for name in ('unbroken', 'resumed')
    )
    return [Comparison(part, unbroken[part], resumed[part]) for part in _PARTS]


def _reason(output: str) -> str:
    """The first line that names an error; else the last lines."""
    lines = output.strip().splitlines()
    errors = [line for line in lines if re.search(r'^(\[rank\d+\]: )?\w+Error: ', line)]
    return errors[0] if errors else '\n'.join(lines[-5:])


def fingerprints(file: Path) -> dict[str, str]:
    """SHA-256 of each part of a training checkpoint.

    Args:
        file (Path): Written by our checkpoint hook.

    Returns:
        dict[str, str]: By part: weights (both branches), optimiser, schedules, random
        generators of all ranks, and logged numbers.
    """
    checkpoint = load_checkpoint_file(str(file), map_location='cpu')
    scalars = checkpoint['message_hub']['log_scalars']
    checkpoint['logs'] = {
        name: value
        for name, value in scalars.items()
        if name.split('/')[-1] not in _ELSEWHERE
    }
    found = {}
    for part in _PARTS:
        digest = hashlib.sha256()
        for place, leaf in _leaves(checkpoint.get(part), part):
            digest.update(f'{place}:'.encode())
            digest.update(leaf)
        found[part] = digest.hexdigest()
    return found


def _leaves(value: Any, place: str) -> Iterator[tuple[str, bytes]]:
    """All tensors and plain values inside, each with its place, as bytes."""
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from _leaves(value[key], f'{place}.{key}')
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _leaves(item, f'{place}[{index}]')
    elif isinstance(value, torch.Tensor):
        plain = value.detach().contiguous().view(-1)
        kind = f'{value.dtype}{tuple(value.shape)}'.encode()
        yield place, kind + plain.view(torch.uint8).numpy().tobytes()
    else:
        yield place, repr(value).encode()
