"""Files that are whole or not there, whenever the machine stops."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = '.partial'  # ending of what is being written
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOCKED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)


@contextmanager
def written_whole(
    target: Path, check: Callable[[Path], object] | None = None
) -> Iterator[Path]:
    """A place to write to, which gets the name of the target when all is on the disk.

    Args:
        target (Path): File to be; one that is there is replaced at the end, in one
            step, and stays what it was if anything goes wrong.
        check (Callable, optional): Called with the written file before that. What it
            raises keeps the file from getting its name.

    Yields:
        Path: In the same folder.
    """
    partial = target.with_name(target.name + PARTIAL)
    try:
        yield partial
        flush(partial)
        if check is not None:
            check(partial)
        os.replace(partial, target)
        flush(target.parent)  # or the new name might not survive a power cut
    finally:
        with suppress(OSError):
            partial.unlink()


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Args:
        path (Path): File or folder.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot
            raise
    finally:
        os.close(descriptor)


def what_to_try(error: OSError, folder: Path) -> str:
    """One sentence for somebody whose file could not be written.

    Args:
        error (OSError): From writing.
        folder (Path): Where it was to be.
    """
    if error.errno in _FULL:
        return (
            f'Make space for it (df -h {folder} and your quota show how much there '
            'is), or keep fewer checkpoints by max_keep_ckpts.'
        )
    if error.errno in _LOCKED:
        return (
            f'Make {folder} a folder that this user may write to (ls -ld, mount), or '
            'name another one.'
        )
    return f'Look after the disk of {folder} (df -h, dmesg).'
