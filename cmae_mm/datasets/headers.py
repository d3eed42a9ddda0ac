"""What an image file says of itself: format, size and depth, without decoding it.

Seven formats are known; the rest is refused by name. A decoder that first asks the
file how much memory it wants can be made to ask for all of it, so the size comes from
here.
"""

import re
import struct
from typing import NamedTuple

from .refused import Refused

ADVICE = 'Known are JPEG, PNG, GIF, WebP, BMP, TIFF and PNM; convert it, or remove it'
# Names of what people do keep in image folders, for the refusal; first bytes.
_OTHERS = (
    (b'\0\0\0\x0cjP  ', 'JPEG 2000'),
    (b'\xff\x4f\xff\x51', 'JPEG 2000'),
    (b'%PDF', 'a PDF'),
    (b'<!DOCTYPE', 'a web page'),
    (b'<html', 'a web page'),
    (b'version https://git-lfs', 'a pointer of Git LFS'),
)
_NO_FRAME = (0xC4, 0xC8, 0xCC)  # tables among the markers of frames
_PNM_GAP = rb'(?:\s|#[^\n]*\n)+'
_PNM_SIZE = re.compile(
    rb'P[1-6]' + _PNM_GAP + rb'(\d{1,9})' + _PNM_GAP + rb'(\d{1,9})\s'
)
_PNM_TOP = re.compile(rb'(?:\s|#[^\n]*\n)*(\d{1,9})\s')
_TIFF_TYPES = {1: 'B', 3: 'H', 4: 'I', 16: 'Q'}


class Header(NamedTuple):
    """What was found in the first bytes, and in the last."""

    format: str
    """'JPEG', 'PNG', 'GIF', 'WebP', 'BMP', 'TIFF' or 'PNM'."""
    height: int
    """In pixels, as stored: before an EXIF tag turns the image upright."""
    width: int
    """In pixels."""
    plain: bool = True
    """Whether values are whole numbers of up to 16 bits without a sign."""
    planar: bool = False
    """Whether channels are stored one after the other (TIFF)."""


def read_header(data: bytes) -> Header:
    """Recognise a file by its content; its name plays no part.

    Args:
        data (bytes): The whole file, not empty.

    Returns:
        Header: Of the first image in the file; height and width are 1 or more.

    Raises:
        Refused: If the format is not known, or the file ends too early, as far as
            that can be told without decoding it.
    """
    for start, read in _READERS:
        if data.startswith(start):
            try:
                header = read(data)
            except (struct.error, IndexError):
                raise Refused('it ends within its header', 'cut off') from None
            if min(header.height, header.width) < 1:
                raise Refused(
                    f'its {header.format} header says {header.width} x '
                    f'{header.height} pixels'
                )
            return header
    raise Refused(f'{_describe(data)}. {ADVICE}', 'no image')


def check_jpeg_end(data: bytes, start: int) -> None:
    """Refuse a JPEG file without the marker that ends it.

    Decoders fill what is missing with grey, each in its way and most of them silently.

    Args:
        data (bytes): The whole file.
        start (int): Where the frame begins. Before it a thumbnail may have its own
            end.

    Raises:
        Refused: If there is no such marker.
    """
    if data.rfind(b'\xff\xd9', start) < 0:
        raise Refused('its end is missing. Fetch it again', 'cut off')


def _describe(data: bytes) -> str:
    """Say what a file is that is none of the known images."""
    if data[4:8] == b'ftyp':
        return (
            f'it is {data[8:12].decode("ascii", "replace").upper()}, not decoded here'
        )
    for start, name in _OTHERS:
        if data[:64].lstrip().startswith(start):
            return f'it is {name}, not decoded here'
    if not data.strip(b'\0'):
        return f'it is {len(data)} zeros'
    if data[:256].isascii() and b'\0' not in data[:256]:
        return 'it is text'
    return f'no image begins with the bytes {data[:8].hex(" ")}'


def _read_jpeg(data: bytes) -> Header:
    """Source: ITU-T T.81, annex B."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise Refused('there is no marker where its JPEG header must have one')
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from('>HH', data, at + 5)
            check_jpeg_end(data, at)
            return Header('JPEG', height, width)
        elif marker in (0xD9, 0xDA):
            raise Refused('its JPEG header says no size')
        else:
            (length,) = struct.unpack_from('>H', data, at + 2)
            at += 2 + length


def _read_png(data: bytes) -> Header:
    """Also walks to the end: OpenCV takes a chunk's word for how long it is."""
    if data[12:16] != b'IHDR':
        raise Refused('its PNG header is damaged')
    width, height = struct.unpack_from('>II', data, 16)
    at = 8
    while data[at + 4 : at + 8] != b'IEND':
        if at + 12 > len(data):
            raise Refused('its end is missing. Fetch it again', 'cut off')
        at += 12 + int.from_bytes(data[at : at + 4], 'big')
    return Header('PNG', height, width)


def _read_gif(data: bytes) -> Header:
    width, height = struct.unpack_from('<HH', data, 6)
    return Header('GIF', height, width)


def _read_bmp(data: bytes) -> Header:
    (size,) = struct.unpack_from('<I', data, 14)
    width, height = struct.unpack_from('<HH' if size == 12 else '<ii', data, 18)
    return Header('BMP', abs(height), abs(width))  # negative: rows from the top


def _read_webp(data: bytes) -> Header:
    """Source: RFC 9649."""
    if data[8:12] != b'WEBP':
        raise Refused(f'it is RIFF, but no WebP. {ADVICE}', 'no image')
    chunk = data[12:16]
    if chunk == b'VP8X':
        low_w, high_w, low_h, high_h = struct.unpack_from('<HBHB', data, 24)
        return Header('WebP', 1 + low_h + (high_h << 16), 1 + low_w + (high_w << 16))
    if chunk == b'VP8L':
        (bits,) = struct.unpack_from('<I', data, 21)
        return Header('WebP', 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF))
    width, height = struct.unpack_from('<HH', data, 26)
    return Header('WebP', height & 0x3FFF, width & 0x3FFF)


def _read_pnm(data: bytes) -> Header:
    size = _PNM_SIZE.match(data)
    if size is None:
        raise Refused(f'{_describe(data)}. {ADVICE}', 'no image')
    width, height = map(int, size.groups())
    if data[1:2] not in b'14':  # those have one bit
        top = _PNM_TOP.match(data, size.end())
        if top is None or int(top[1]) not in (255, 65535):
            # OpenCV would leave such values as they are, so nearly black.
            raise Refused(
                'its brightest value is neither 255 nor 65535. Save it as PNG', 'depth'
            )
    return Header('PNM', height, width)


def _read_tiff(data: bytes) -> Header:
    """The first directory. Source: TIFF 6.0, section 2; Big TIFF."""
    order = '<' if data[:1] == b'I' else '>'
    (version,) = struct.unpack_from(order + 'H', data, 2)
    big = version == 43
    at = struct.unpack_from(order + ('Q' if big else 'I'), data, 8 if big else 4)[0]
    (count,) = struct.unpack_from(order + ('Q' if big else 'H'), data, at)
    at, step = (at + 8, 20) if big else (at + 2, 12)
    tags = {258: 1, 277: 1, 284: 1, 339: 1}  # what holds where a file is silent
    for entry in range(at, at + step * min(count, 1000), step):
        tag, kind = struct.unpack_from(order + 'HH', data, entry)
        if kind in _TIFF_TYPES:
            tags[tag] = _tiff_value(data, entry, order, big, _TIFF_TYPES[kind])
    if not {256, 257} <= set(tags):
        raise Refused('its TIFF header says no size')
    depth, sample = tags[258], tags[339]
    return Header(
        'TIFF',
        height=tags[257],
        width=tags[256],
        plain=sample in (1, 4) and depth in (1, 2, 4, 8, 16),
        planar=tags[284] == 2 and tags[277] > 1,
    )


def _tiff_value(data: bytes, entry: int, order: str, big: bool, kind: str) -> int:
    """The first value of a tag, which stands elsewhere if all do not fit."""
    word = 'Q' if big else 'I'
    (count,) = struct.unpack_from(order + word, data, entry + 4)
    at = entry + 4 + struct.calcsize(word)
    if count * struct.calcsize(kind) > struct.calcsize(word):
        (at,) = struct.unpack_from(order + word, data, at)
    return struct.unpack_from(order + kind, data, at)[0]


_READERS = (
    (b'\xff\xd8\xff', _read_jpeg),
    (b'\x89PNG\r\n\x1a\n', _read_png),
    ((b'GIF87a', b'GIF89a'), _read_gif),
    (b'RIFF', _read_webp),
    (b'BM', _read_bmp),
    ((b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'), _read_tiff),
    (tuple(b'P%d' % number for number in range(1, 7)), _read_pnm),
)
