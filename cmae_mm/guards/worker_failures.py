"""Why workers fail, by what torch says of it; and three ways out of each."""

import contextlib
import multiprocessing
import os
import re
import shutil
import time

from torch.utils.data import DataLoader

_NO_WORKERS = 'train_dataloader.num_workers=0 train_dataloader.persistent_workers=False'
_DIED = re.compile(r'DataLoader worker \(pid.*(killed by signal|exited unexpectedly)')
# What torch says in a worker, or of one that was killed by a bus error.
_NO_SHARED_MEMORY = re.compile(r'shared memory|file </torch_')


def explain_worker_failure(error: Exception, dataloader: DataLoader) -> str | None:
    """Say why workers fail, and what to do.

    Args:
        error (Exception): What came out of the training.
        dataloader (DataLoader): Its data loader.

    Returns:
        str | None: None if it was not the workers.
    """
    text = str(error)
    if _NO_SHARED_MEMORY.search(text) and 'Too many open files' not in text:
        return _shared_memory_is_full(dataloader)
    if 'DataLoader timed out' in text:
        return _hangs(dataloader)
    if _DIED.search(text) or _pipe_broke(error, dataloader):
        return _was_killed(dataloader)
    return None


def _shared_memory_is_full(dataloader: DataLoader) -> str:
    return (
        'There is no space left in /dev/shm, where workers put their batches'
        f'{_shared_memory()}. Three ways out: make it larger (docker run '
        '--shm-size=16g; Kubernetes: an emptyDir with medium: Memory; else mount -o '
        f'remount,size=16G /dev/shm); {_hold_less(dataloader)}; or do without workers, '
        f'which is slow, by {_NO_WORKERS}.'
    )


def _hangs(dataloader: DataLoader) -> str:
    return (
        f'A worker gave no batch for {dataloader.timeout:g} s{_files_in_use()}. Most '
        'often a file system does not answer. Three ways out: see whether these files, '
        'or others of the data set, can be read (`cmae scan` reads them all); give it '
        f'longer, by train_dataloader.timeout={4 * dataloader.timeout:g}; or do '
        f'without workers, by {_NO_WORKERS}: Ctrl-C, twice, then shows the line that '
        'hangs.'
    )


def _was_killed(dataloader: DataLoader) -> str:
    return (
        'A worker that loads images was killed. Most often the memory of the machine '
        'or of the job was full (`dmesg`, or `sacct -o MaxRSS` on Slurm, tells). Three '
        'ways out: fewer workers, by a smaller train_dataloader.num_workers (now '
        f'{dataloader.num_workers}); {_hold_less(dataloader)}; or more memory for the '
        'job (Slurm: --mem; docker: --memory, and --shm-size, as /dev/shm'
        f'{_shared_memory()} counts, too).'
    )


def _pipe_broke(error: Exception, dataloader: DataLoader) -> bool:
    """Whether a batch could not be fetched because its worker is gone.

    Not errors of the same name that a living worker had in reading a file.
    """
    if (
        not isinstance(error, (ConnectionError, EOFError))
        or not dataloader.num_workers
        or 'in DataLoader worker process' in str(error)
    ):
        return False
    # A moment later torch raises an error of its own, wherever Python is then (it comes
    # out of a signal handler). Not in the middle of the explanation.
    with contextlib.suppress(RuntimeError):
        time.sleep(1)
    return True


def _hold_less(dataloader: DataLoader) -> str:
    held = dataloader.num_workers * (dataloader.prefetch_factor or 0)
    return (
        f'hold fewer batches ready (now {held}), by train_dataloader.prefetch_factor=1'
    )


def _shared_memory() -> str:
    """The size of /dev/shm, for a message; empty where there is none."""
    try:
        total = shutil.disk_usage('/dev/shm').total
    except OSError:
        return ''
    return f' ({total / 2**20:.0f} MiB in all)'


def _files_in_use() -> str:
    """The files that workers have open, for a message; empty where /proc is not.

    What this process has open, too, its log for instance, is not what a worker waits
    for.
    """
    mine = set(_open_files('self'))
    children = multiprocessing.active_children()
    files = {file for child in children for file in _open_files(child.pid)} - mine
    return f'; open in the workers: {", ".join(sorted(files)[:8])}' if files else ''


def _open_files(process: int | str) -> list[str]:
    """Files that a process has open; none where they cannot be seen.

    Told by their names alone: to look at a file that hangs would hang, too.
    """
    files = []
    with contextlib.suppress(OSError):
        for link in os.scandir(f'/proc/{process}/fd'):
            with contextlib.suppress(OSError):
                files.append(os.readlink(link.path))
    # Not pipes, sockets, devices, and shared memory, whose file is deleted.
    return [
        file
        for file in files
        if file.startswith('/')
        and not file.startswith(('/dev/', '/proc/'))
        and not file.endswith(' (deleted)')
    ]
