"""Files inside zip and tar archives, for every step that reads through MMEngine.

An address is ``archive://<offset>+<size>@<archive>/./<name>``, such as
``archive://1536+110592@data/train.tar/./n01440764/tench.JPEG``. It says where the
bytes lie, so that reading them takes no table of contents, in whatever process.
"""

import os
import struct
import weakref
import zlib
from functools import lru_cache

from mmengine.fileio import BaseStorageBackend, register_backend

_SCHEME = 'archive://'
# Neither a path of the system nor one in an archive has it, once it is normalised.
_INSIDE = '/./'
# Below the 1024 open files that a process usually may have.
_OPEN_ARCHIVES = 256
# APPNOTE of PKWARE, 4.3.7: signature, version, flags, method, 16 bytes that also
# stand in the table of contents, lengths of name and extra field.
_ZIP_HEADER = struct.Struct('<4sHHH16sHH')
_STORED, _DEFLATED = 0, 8


def make_address(archive: str, offset: int, size: int, name: str) -> str:
    """Write down where a file lies.

    Args:
        archive (str): Path of the archive, normalised.
        offset (int): Where its first byte stands in the archive; in a zip archive,
            where its local header stands.
        size (int): How many bytes it takes there.
        name (str): Its path inside, normalised. For people only.

    Returns:
        str: The address, for ``mmengine.fileio.get``.
    """
    return f'{_SCHEME}{offset}+{size}@{archive}{_INSIDE}{name}'


def read_bytes(archive: str, offset: int, size: int) -> bytes:
    """Read a file out of an archive.

    The checksums of zip archives are not looked at: decoders see damage, and plain
    files have none, either.

    Args:
        archive (str): Path; what ends in ``.zip`` is read as zip, else as tar.
        offset (int): See :func:`make_address`.
        size (int): See :func:`make_address`.

    Returns:
        bytes: The content of the file.

    Raises:
        ValueError: If it does not lie there.
    """
    file = _open(archive)
    if not archive.lower().endswith('.zip'):
        return file.read(offset, size)
    header = file.read(offset, _ZIP_HEADER.size)
    signature, _, _, method, _, *lengths = _ZIP_HEADER.unpack(header)
    try:
        if signature != b'PK\3\4' or method not in (_STORED, _DEFLATED):
            raise zlib.error('there is no header of a file')
        data = file.read(offset + _ZIP_HEADER.size + sum(lengths), size)
        return data if method == _STORED else zlib.decompress(data, -zlib.MAX_WBITS)
    except zlib.error as error:
        raise ValueError(
            f'{archive} holds no file at byte {offset} ({error}). It is damaged, or '
            'was replaced while it was in use.'
        ) from error


class _Archive:
    """An archive that is open until nobody reads it any more.

    It is read without a position, which forked workers would share.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, offset: int, size: int) -> bytes:
        data = os.pread(self._descriptor, size, offset)
        if len(data) < size:
            raise ValueError(
                f'{self.path} ends before byte {offset + size}. It was replaced by a '
                'shorter file while it was in use, or the disk fails.'
            )
        return data


_open = lru_cache(_OPEN_ARCHIVES)(_Archive)


def close_archives() -> None:
    """Close all archives, so that those replaced since they were opened are seen."""
    _open.cache_clear()


@register_backend('cmae_mm.archive', prefixes='archive')
class ArchiveBackend(BaseStorageBackend):
    """Reads the addresses of :func:`make_address`."""

    def get(self, filepath: str) -> bytes:
        """Read a file out of its archive; raises ValueError if it is not there."""
        position, _, path = filepath.removeprefix(_SCHEME).partition('@')
        offset, size = map(int, position.split('+'))
        return read_bytes(path.partition(_INSIDE)[0], offset, size)

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        """Read a file as text."""
        return self.get(filepath).decode(encoding)
