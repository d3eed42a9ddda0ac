"""What numbers belong to, and where they are kept."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]


def machine(device: str) -> dict:
    """The command, the commit, versions, and the device of a measurement.

    Args:
        device (str): 'cpu' or 'cuda'.
    """
    git = ['git', '-C', str(ROOT), 'rev-parse', '--short', 'HEAD']
    on_gpu = device == 'cuda'
    return dict(
        command=' '.join(['python', 'tools/benchmark.py', *shown(sys.argv[1:])]),
        commit=_first_line(git),
        torch=torch.__version__,
        device=torch.cuda.get_device_name() if on_gpu else processor(),
        threads=torch.get_num_threads(),
    )


def shown(words: list[str]) -> list[str]:
    """The words of a command line, without the places of this machine."""
    kept = []
    for before, word in zip(['', *words], words, strict=False):
        if '--json' in (before, word):
            continue
        if before == '--reference':
            word = 'CHECKOUT'
        elif os.path.isdir(word):
            word = 'PHOTOS'
        kept.append(word)
    return kept


def _first_line(command: list[str]) -> str:
    """What a command prints; nothing where it is missing or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ''


def processor() -> str:
    """Name of the CPU, as far as the system tells."""
    info = Path('/proc/cpuinfo')
    names = [
        line.split(':')[1].strip()
        for line in (info.read_text().splitlines() if info.exists() else [])
        if line.startswith('model name')
    ]
    return names[0] if names else platform.processor()


def keep(result: dict, file: Path | None) -> None:
    """Print numbers, and write them to a file if there is one."""
    text = json.dumps(result, indent=2)
    print(text)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + '\n')
