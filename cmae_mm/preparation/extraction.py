"""Write what is missing of an archive, so that it can be broken off at any time."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from shutil import copyfileobj

from rich.filesize import decimal

from .archives import ArchiveError, Member, naming, open_archive
from .progress import Progress


def keep_name(name: str) -> str:
    """Give a member the place that it has in the archive."""
    return name


def unpack(path: Path, out: Path, place: Callable[[str], str] = keep_name) -> int:
    """Write the members of an archive that are not there yet.

    A member is there if its file has the right size. A file appears under its name
    only when it is complete.

    Args:
        path (Path): A tar or zip.
        out (Path): The folder that gets the files.
        place (Callable[[str], str]): Gives the path below ``out`` to a name in the
            archive.

    Returns:
        int: The number of files written.

    Raises:
        ArchiveError: If the archive is damaged, or the disk is too small.
    """
    with open_archive(path) as members:
        todo = missing(members, out, place)
        size = sum(member.size for member in todo)
        require_space(out, size, path.name)
        with Progress(path.name, size) as progress:
            for member in todo:
                write(member, out / place(member.name))
                progress.advance(member.size)
    return len(todo)


def missing(
    members: list[Member], out: Path, place: Callable[[str], str] = keep_name
) -> list[Member]:
    """The members whose file is not there or has another size."""
    return [
        member
        for member in members
        if _size_of(out / place(member.name)) != member.size
    ]


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def write(member: Member, target: Path) -> None:
    """Write one member, first under a hidden name.

    Args:
        member (Member): What to write.
        target (Path): Its file; one that exists is replaced.

    Raises:
        ArchiveError: If the member is damaged or cut off.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f'.{target.name}.part')
    try:
        with naming(member), member.open() as source, open(part, 'wb') as sink:
            copyfileobj(source, sink, 1 << 20)
            if sink.tell() != member.size:
                raise EOFError(f'{sink.tell()} of {member.size} bytes')
    except ArchiveError:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, target)


def require_space(out: Path, size: int, label: str) -> None:
    """Refuse to start what the disk cannot hold.

    Args:
        out (Path): Where files will be written; need not exist.
        size (int): How many bytes.
        label (str): What they come from.

    Raises:
        ArchiveError: If fewer bytes are free.
    """
    folder = out.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if size > free:
        raise ArchiveError(
            f'{label} needs {decimal(size)} in {out}, and {decimal(free)} are free. '
            'Make room, or name another place with --out and link it from data/.'
        )
