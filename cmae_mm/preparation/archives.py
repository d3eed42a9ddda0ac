"""Tar and zip, read alike: a list of regular files with safe names."""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

# What reading a damaged member raises. Other errors of the system are not of the
# archive: a full disk, for one.
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a way of packing that zipfile does not know
)


class ArchiveError(Exception):
    """An archive cannot be used; the message says why, and what to try."""


@dataclass(frozen=True)
class Member:
    """One regular file in an archive.

    Args:
        name (str): Relative path in the archive, with '/' and without '..'.
        size (int): Bytes after unpacking.
        archive (str): What to call the archive in messages.
        open (Callable): Opens the member for reading, while the archive is open.
    """

    name: str
    size: int
    archive: str
    open: Callable[[], IO[bytes]]


@contextmanager
def naming(member: Member) -> Iterator[None]:
    """A context for reading a member, in which damage becomes an ArchiveError."""
    try:
        yield
    except DAMAGE as error:
        raise ArchiveError(
            f'{member.name} in {member.archive} is damaged or cut off: {error}. What '
            'came before it is in place. Get the archive again, and run the same '
            'command.'
        ) from error


@contextmanager
def open_archive(path: Path) -> Iterator[list[Member]]:
    """List the files of a tar (also compressed) or zip; open them while it lasts.

    Args:
        path (Path): The archive.

    Yields:
        list[Member]: The regular files in the order of the archive; folders are
        left out.

    Raises:
        ArchiveError: If it is no archive, is cut off, or holds names that lead
            out of the target folder, links or devices.
    """
    if path.suffix == '.zip':
        with _opened_zip(path) as members:
            yield members
    else:
        with open(path, 'rb') as file, open_tar(file, path.name) as members:
            yield members


@contextmanager
def open_tar(file: IO[bytes], label: str) -> Iterator[list[Member]]:
    """:func:`open_archive` for a tar that is open already, as one within another.

    Args:
        file (IO[bytes]): The tar, seekable.
        label (str): What to call it in messages.
    """
    last = 'its beginning'
    members = []
    try:
        tar = tarfile.open(fileobj=file)
        for info in tar:
            last = info.name
            if not info.isdir():
                members.append(_tar_member(tar, info, label))
        # The checksum of a compressed tar stands behind what tarfile reads.
        while tar.fileobj.read(1 << 20):
            pass
    except (*DAMAGE, OSError) as error:
        raise ArchiveError(
            f'{label} cannot be read beyond {last}: {error}. It is cut off or '
            'damaged. Get it again, and compare its size with the official one.'
        ) from error
    with tar:
        yield members


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo, label: str) -> Member:
    if not info.isreg():
        raise ArchiveError(
            f'{label} holds {info.name!r}, a link or a device. The official archive '
            'has only plain files: this is another one, and nothing was taken of it.'
        )
    _check_name(info.name, label)
    return Member(info.name, info.size, label, lambda: tar.extractfile(info))


@contextmanager
def _opened_zip(path: Path) -> Iterator[list[Member]]:
    """:func:`open_archive` for a zip."""
    try:
        file = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ArchiveError(
            f'{path.name} ({path.stat().st_size} bytes) cannot be read: {error}. The '
            'list of contents stands at the end of a zip, so it is probably cut '
            'off. Get it again, and compare its size with the official one.'
        ) from error
    with file:
        yield [
            _zip_member(file, info, path.name)
            for info in file.infolist()
            if not info.is_dir()
        ]


def _zip_member(file: zipfile.ZipFile, info: zipfile.ZipInfo, label: str) -> Member:
    if stat.S_ISLNK(info.external_attr >> 16):
        raise ArchiveError(
            f'{label} holds {info.filename!r}, a link. The official archive has only '
            'plain files: this is another one, and nothing was taken of it.'
        )
    if info.flag_bits & 0x1:
        raise ArchiveError(
            f'{label} holds {info.filename!r} under a password. The official archive '
            'has none: this is another one, and nothing was taken of it.'
        )
    _check_name(info.filename, label)
    return Member(info.filename, info.file_size, label, lambda: file.open(info))


def _check_name(name: str, label: str) -> None:
    """Refuse names that could lead out of the target folder, on any system."""
    path = PurePosixPath(name)
    if path.is_absolute() or '..' in path.parts or '\\' in name or ':' in name:
        raise ArchiveError(
            f'{label} holds the name {name!r}, which leads out of the target folder. '
            'The official archive has no such name: this is another one, and '
            'nothing was taken of it.'
        )
