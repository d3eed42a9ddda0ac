"""Decoding of no more of a JPEG file than a crop of it needs.

It takes simplejpeg (requirements/fast.txt); the pixels are those of OpenCV.
"""

from typing import NamedTuple

import numpy as np

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

_START, _APP1, _SCAN = b'\xff\xd8', 0xE1, 0xDA
# Baseline and extended Huffman coding, whose rows come one after the other.
# Progressive files hold the whole image several times over.
_SEQUENTIAL = (0xC0, 0xC1)
# Rows of blocks: 16 pixels at most where colour has half the resolution.
_BLOCK = 16


class Frame(NamedTuple):
    """What the header of an upright, sequential JPEG file says."""

    height: int
    """In pixels, at least 1."""
    width: int
    """In pixels, at least 1."""
    height_at: int
    """Where in the file the height stands, as two bytes."""


def read_frame(data: bytes) -> Frame | None:
    """Read the header, if this is a file whose last rows can be left out.

    Source: ITU-T T.81, annex B.

    Args:
        data (bytes): The whole file.

    Returns:
        Frame | None: None for other formats, progressive files, files with EXIF
        data (which may say that the image lies on its side), or if simplejpeg is
        not installed.
    """
    if simplejpeg is None or data[:2] != _START:
        return None
    frame, components, at = None, 0, 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        length = int.from_bytes(data[at + 2 : at + 4], 'big')
        if marker in _SEQUENTIAL:
            height = int.from_bytes(data[at + 5 : at + 7], 'big')
            width = int.from_bytes(data[at + 7 : at + 9], 'big')
            frame, components = Frame(height, width, at + 5), data[at + 9]
        elif marker == _APP1 and data[at + 4 : at + 8] == b'Exif':
            return None
        elif marker == _SCAN:
            # Colours in scans of their own would need all rows of each; four
            # components are CMYK, which simplejpeg does not turn into BGR.
            whole = components in (1, 3) and data[at + 4] == components
            return frame if frame and whole and min(frame[:2]) > 0 else None
        at += 2 + length
    return None


def decode_rows(data: bytes, frame: Frame, rows: int) -> np.ndarray:
    """Decode the first rows; the same pixels as of the whole image.

    The decoder stops where the header says that the image ends, so a smaller
    height in a copy of the file is all it takes.

    Args:
        data (bytes): The whole file.
        frame (Frame): What :func:`read_frame` says of it.
        rows (int): How many rows are needed.

    Returns:
        ndarray: uint8, (H, width, 3), BGR, with H at least ``rows``.

    Raises:
        ValueError: If nothing can be made of the data.
    """
    # One block more: to enlarge colour, the decoder looks at its neighbours.
    rows = (rows + _BLOCK - 1) // _BLOCK * _BLOCK + _BLOCK
    if rows < frame.height:
        data = bytearray(data)
        data[frame.height_at : frame.height_at + 2] = rows.to_bytes(2, 'big')
    # Not strict: it warns of the data that are left over, and of small damage
    # that other decoders pass over, too.
    return simplejpeg.decode_jpeg(data, 'BGR', strict=False)


def find_damage(data: bytes) -> str | None:
    """Decode a whole file and listen to the warnings of the decoder.

    Decoders go on after damage inside a file, with wrong colours or grey from there
    on, and most of them say nothing.

    Args:
        data (bytes): The whole file.

    Returns:
        str | None: None if it decodes without a word; the first warning, in the words
        of libjpeg; or '' if nothing can be said, without simplejpeg or for a file that
        it cannot decode.
    """
    if simplejpeg is None:
        return ''
    try:
        simplejpeg.decode_jpeg(data, 'BGR', strict=True)
        return None
    except ValueError as error:
        damage = str(error)
    try:
        simplejpeg.decode_jpeg(data, 'BGR', strict=False)
    except ValueError:  # more than a warning
        return ''
    return damage
