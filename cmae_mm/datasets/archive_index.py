"""Where the images lie in a zip or tar archive, packed into a few arrays."""

import contextlib
import hashlib
import json
import logging
import os
import posixpath
import tarfile
import uuid
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from mmengine.logging import print_log

from .archive_backend import close_archives, read_bytes

INDEX_SUFFIX = '.index.npz'
_VERSION = 1
_TAR_BLOCK = 512

ENTRY = np.dtype(
    [
        ('offset', np.int64),  # as make_address takes them
        ('size', np.int64),
        ('name_at', np.int64),  # in the bytes of all names
        ('name_length', np.int32),
        ('label', np.int32),  # -1 if there is none
        ('archive', np.int32),  # which of several
    ]
)


class Index(NamedTuple):
    """The images of an archive, in the order of their names."""

    entries: np.ndarray
    """ENTRY, one per image."""
    names: np.ndarray
    """uint8, all names one after the other, in UTF-8."""
    classes: tuple[str, ...]
    """Names of the folders that the labels count; empty if the labels are those of
    ``.cls`` files."""


class _Member(NamedTuple):
    name: str
    offset: int
    size: int


def read_index(archive: str, extensions: Sequence[str], cache_dir: str | None) -> Index:
    """Read the kept index of an archive, or make and keep it.

    The kept one counts if the archive has the same size and time of change as when
    it was made.

    Args:
        archive (str): Path.
        extensions (Sequence[str]): How the names of images end, in lower case.
        cache_dir (str, optional): Where indices are kept; None is beside the
            archive.

    Returns:
        Index: Its images.

    Raises:
        ValueError: If the archive cannot be read, or holds no images.
    """
    close_archives()
    file = _index_file(archive, cache_dir)
    status = os.stat(archive)
    stamp = json.dumps(
        [_VERSION, status.st_size, status.st_mtime_ns, sorted(extensions)]
    )
    index = _load(file, stamp)
    if index is None:
        print_log(f'Making an index of {archive}', 'current')
        index = make_index(archive, extensions)
        _save(file, stamp, index)
    return index


def make_index(archive: str, extensions: Sequence[str]) -> Index:
    """Find the images in an archive.

    Args:
        archive (str): Path.
        extensions (Sequence[str]): How the names of images end, in lower case.

    Returns:
        Index: Its images. Of several files with one name the last one counts.

    Raises:
        ValueError: If the archive cannot be read, or holds no images.
    """
    members = {member.name: member for member in _list_members(archive)}
    names = sorted(n for n in members if n.lower().endswith(tuple(extensions)))
    if not names:
        kinds = Counter(Path(n).suffix.lower() or 'no ending' for n in members)
        found = ', '.join(f'{count} {kind}' for kind, count in kinds.most_common(5))
        raise ValueError(
            f'There are no images in {archive}: {found or "no files"}. Images end in '
            f'{" ".join(sorted(extensions))}.'
        )
    entries = np.zeros(len(names), ENTRY)
    entries['offset'] = [members[name].offset for name in names]
    entries['size'] = [members[name].size for name in names]
    labels, classes = _find_labels(archive, members, names)
    entries['label'] = labels
    encoded = [name.encode('utf-8', 'surrogateescape') for name in names]
    entries['name_length'] = [len(name) for name in encoded]
    entries['name_at'][1:] = np.cumsum(entries['name_length'][:-1], dtype=np.int64)
    return Index(entries, np.frombuffer(b''.join(encoded), np.uint8), classes)


def _list_members(archive: str) -> Iterator[_Member]:
    """All files of an archive that are not hidden, their names normalised."""
    try:
        if archive.lower().endswith('.zip'):
            members = _list_zip(archive)
        else:
            members = _list_tar(archive)
        for member in members:
            name = posixpath.normpath(member.name).lstrip('/')
            # macOS adds hidden files of its own, ._name beside each name.
            if not any(part.startswith('.') for part in name.split('/')):
                yield member._replace(name=name)
    except (tarfile.ReadError, zipfile.BadZipFile) as error:
        raise ValueError(
            f'{archive} cannot be read ({error}). Expected is a zip archive (.zip), or '
            'an uncompressed tar archive. Uncompress .tar.gz and the like; if it was '
            'cut off, copy it again.'
        ) from error


def _list_zip(archive: str) -> Iterator[_Member]:
    """The files of a zip archive."""
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            if info.is_dir():
                continue
            if info.flag_bits & 1:
                raise zipfile.BadZipFile(f'{info.filename} is encrypted')
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise zipfile.BadZipFile(
                    f'{info.filename} is neither stored nor deflated'
                )
            yield _Member(info.filename, info.header_offset, info.compress_size)


def _list_tar(archive: str) -> Iterator[_Member]:
    """The files of a tar archive, and of those in it."""
    with open(archive, 'rb') as file:
        yield from _list_open_tar(file)


def _list_open_tar(file: BinaryIO) -> Iterator[_Member]:
    """As :func:`_list_tar`; offsets count from the start of the file."""
    with tarfile.open(fileobj=file, mode='r:') as tar:
        while member := tar.next():
            tar.members = []  # or it keeps them all
            if not member.isreg():
                continue
            if member.issparse():
                raise tarfile.ReadError(f'{member.name} has holes (option -S of tar)')
            if not member.name.lower().endswith('.tar'):
                yield _Member(member.name, member.offset_data, member.size)
                continue
            folder = member.name[: -len('.tar')]
            for inner in _list_open_tar(tar.extractfile(member)):
                name, offset = f'{folder}/{inner.name}', inner.offset
                yield _Member(name, member.offset_data + offset, inner.size)
        # Where a header is damaged, tarfile stops as if it were the end.
        file.seek(tar.offset)
        if file.read(_TAR_BLOCK) != bytes(_TAR_BLOCK):
            raise tarfile.ReadError(f'no end and no header at byte {tar.offset}')


def _find_labels(
    archive: str, members: dict[str, _Member], names: list[str]
) -> tuple[list[int], tuple[str, ...]]:
    """Labels from the .cls files of WebDataset, or else from the folders."""
    numbers = {
        _key(name): _read_number(archive, member)
        for name, member in members.items()
        if name.endswith('.cls')
    }
    if numbers:
        return [numbers.get(_key(name), -1) for name in names], ()
    folders = [posixpath.basename(posixpath.dirname(name)) for name in names]
    classes = tuple(sorted({*folders} - {''}))
    label_of = {name: label for label, name in enumerate(classes)}
    return [label_of.get(folder, -1) for folder in folders], classes


def _key(name: str) -> str:
    """What the files of one sample have in common: the path up to the first dot."""
    folder, base = posixpath.split(name)
    return posixpath.join(folder, base.split('.')[0])


def _read_number(archive: str, member: _Member) -> int:
    """The label in a .cls file, -1 if it is none."""
    text = read_bytes(archive, member.offset, member.size).strip()
    return int(text) if text.isdigit() else -1


def _index_file(archive: str, cache_dir: str | None) -> Path:
    """Where the index of an archive is kept."""
    if cache_dir is None:
        return Path(f'{archive}{INDEX_SUFFIX}')
    # Archives of other folders may have the same name.
    where = hashlib.sha256(os.fsencode(os.path.abspath(archive))).hexdigest()[:8]
    return Path(cache_dir, f'{Path(archive).name}.{where}{INDEX_SUFFIX}')


def _load(file: Path, stamp: str) -> Index | None:
    """The kept index, if there is one with this stamp."""
    try:
        with file.open('rb') as stream, np.load(stream, allow_pickle=False) as kept:
            if str(kept['stamp']) != stamp:
                return None
            return Index(
                kept['entries'], kept['names'], tuple(kept['classes'].tolist())
            )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _save(file: Path, stamp: str, index: Index) -> None:
    """Keep an index, all of it or nothing; say so if that is not possible."""
    part = file.with_name(f'{file.name}.{uuid.uuid4().hex}')
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open('wb') as stream:
            np.savez(
                stream,
                stamp=stamp,
                entries=index.entries,
                names=index.names,
                classes=np.array(index.classes, dtype=str),
            )
        part.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        print_log(
            f'The index of the archive could not be kept ({error}); every start will '
            'make it anew. Give cache_dir, a folder that can be written to.',
            'current',
            logging.WARNING,
        )
