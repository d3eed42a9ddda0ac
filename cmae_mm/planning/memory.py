"""The most memory that a process has held."""

import sys
from pathlib import Path

import torch


def peak_memory(device: str) -> int:
    """Most memory that this process has held so far, bytes (of the GPU, if any).

    On a CPU from the kernel where it tells (Linux), because ``getrusage`` also counts
    what the process had before it became Python.

    Args:
        device (str): 'cuda' for the memory that torch has given out there; all others
            stand for the memory of the process.
    """
    if device == 'cuda':
        return torch.cuda.max_memory_allocated()
    status = Path('/proc/self/status')
    if status.is_file():
        lines = status.read_text().splitlines()
        (line,) = [line for line in lines if line.startswith('VmHWM')]
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else peak * 1024
