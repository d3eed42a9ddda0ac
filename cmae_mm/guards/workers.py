"""The processes that load images: given a time, and kept apart from signals."""

import contextlib
import multiprocessing
import os

from torch.utils.data import DataLoader

# Seconds. Below the 10 minutes after which NCCL gives up, so that the process whose
# worker hangs is the first one to speak.
TIMEOUT = 300


def with_timeout(dataloader: dict | DataLoader) -> dict | DataLoader:
    """Let a data loader give up on workers that hang.

    Args:
        dataloader (dict | DataLoader): A config; a data loader is left as it is.

    Returns:
        dict | DataLoader: With ``timeout`` (s), unless the config sets one, or has no
        workers: torch wants none then.
    """
    if not isinstance(dataloader, dict) or not dataloader.get('num_workers'):
        return dataloader
    return {'timeout': TIMEOUT, **dataloader}


def set_workers_apart() -> None:
    """Give each child process a process group of its own.

    Schedulers, launchers and Ctrl-C signal the whole group of a training. Its workers
    would die of that, and the step could not be finished. They end with the training
    all the same. Where it is not possible (Windows, workers that were spawned), nothing
    happens.
    """
    for worker in multiprocessing.active_children():
        with contextlib.suppress(OSError, AttributeError):
            os.setpgid(worker.pid, 0)
