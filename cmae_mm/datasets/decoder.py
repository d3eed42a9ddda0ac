"""From an image file to pixels, or to a reason why not."""

import errno
import math
import os
import stat
from collections.abc import Callable
from typing import TypeVar

import cv2
import numpy as np
from mmengine import fileio

from . import jpeg
from .headers import Header, check_jpeg_end, read_header
from .refused import Refused

MAX_PIXELS = 2**27
# The machine is at its end, not the image.
_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
# Opening a named pipe would wait for somebody to write into it.
_AT_ONCE = getattr(os, 'O_NONBLOCK', 0)

Result = TypeVar('Result')


class ImageDecoder:
    """Decodes images to uint8, BGR; refuses what it cannot decode right.

    Both pipelines and ``cmae scan`` use it, so that they agree. Pixels come from
    OpenCV, and are those of ``LoadImageFromFile`` wherever that is right: upright as
    EXIF says, alpha left out, palettes, CMYK and grey made BGR, the first frame of
    what moves, 16 bits scaled to 8. Not left to OpenCV are: which formats are read
    at all, how large an image may be (asked of the header, before memory is), that
    JPEG and PNG have an end, and values that are no whole numbers of 8 or 16 bits.

    Args:
        max_pixels (int): Height times width; larger images are refused. Defaults to
            2**27, 384 MiB decoded.
        value_range (tuple[float, float], optional): The values that become 0 and
            255 in images of floating point, signed or 32-bit numbers; those beyond
            are clipped. Defaults to None: such images are refused.
        backend_args (dict, optional): Where files are stored, as in
            ``LoadImageFromFile``. Defaults to the local disk.

    Raises:
        ValueError: If an argument makes no sense.
    """

    def __init__(
        self,
        max_pixels: int = MAX_PIXELS,
        value_range: tuple[float, float] | None = None,
        backend_args: dict | None = None,
    ) -> None:
        if max_pixels < 1:
            raise ValueError(f'max_pixels={max_pixels}; it takes 1 or more.')
        if value_range is not None and not (
            len(value_range) == 2
            and all(map(math.isfinite, value_range))
            and value_range[0] < value_range[1]
        ):
            raise ValueError(
                f'value_range={value_range!r}; it takes (low, high), the values that '
                'become black and white, such as (0.0, 1.0).'
            )
        self.max_pixels = max_pixels
        self.value_range = value_range
        self.backend_args = backend_args

    def load(self, path: str) -> np.ndarray:
        """Read and decode a file.

        Args:
            path (str): The file.

        Returns:
            ndarray: uint8, (H, W, 3), BGR, upright.

        Raises:
            Refused: If it is not taken; the message names the file.
        """
        return self._load(path, self.decode)

    def load_crop(
        self, path: str, choose: Callable[[int, int], tuple[int, int, int, int]]
    ) -> np.ndarray:
        """Read a file and decode a part of it, with as few rows as possible.

        Args:
            path (str): The file.
            choose (Callable): Gets height and width of the upright image, returns
                top, left, height and width of the part, in pixels.

        Returns:
            ndarray: uint8, (height, width, 3), BGR; a slice of a larger array.

        Raises:
            Refused: If it is not taken; the message names the file.
        """
        return self._load(path, lambda data: self._crop(data, choose))

    def decode(self, data: bytes) -> np.ndarray:
        """Decode the content of a file.

        Args:
            data (bytes): The whole file, not empty.

        Returns:
            ndarray: uint8, (H, W, 3), BGR, upright.

        Raises:
            Refused: If it is not taken.
        """
        header = self.read_header(data)
        if header.plain:
            img = _decode(data, cv2.IMREAD_COLOR)
        else:
            img = self._decode_values(data, header)
        if sorted(img.shape[:2]) != sorted((header.height, header.width)):
            raise Refused(
                f'its header says {header.width} x {header.height} pixels, its '
                f'content {img.shape[1]} x {img.shape[0]}'
            )
        return img

    def read_header(self, data: bytes) -> Header:
        """Read what a file says of itself, and refuse it if that is enough to.

        Args:
            data (bytes): The whole file, not empty.

        Returns:
            Header: Of an image that is not too large.

        Raises:
            Refused: If it is not taken.
        """
        header = read_header(data)
        self._check_size(header.height, header.width)
        return header

    def _load(self, path: str, decode: Callable[[bytes], Result]) -> Result:
        data = read_file(path, self.backend_args)
        try:
            return decode(data)
        except Refused as error:
            error.path = path
            raise

    def _crop(
        self, data: bytes, choose: Callable[[int, int], tuple[int, int, int, int]]
    ) -> np.ndarray:
        frame = jpeg.read_frame(data)
        if frame is None:
            img = self.decode(data)
            top, left, height, width = choose(*img.shape[:2])
        else:
            self._check_size(frame.height, frame.width)
            check_jpeg_end(data, frame.height_at)
            top, left, height, width = choose(frame.height, frame.width)
            try:
                img = jpeg.decode_rows(data, frame, top + height)
            except ValueError:  # OpenCV knows some rare kinds of JPEG more
                img = self.decode(data)
        return img[top : top + height, left : left + width]

    def _check_size(self, height: int, width: int) -> None:
        if height * width > self.max_pixels:
            raise Refused(
                f'its header says {width} x {height} pixels, more than '
                f'max_pixels={self.max_pixels}. Make it smaller, or the limit larger',
                'too large',
            )

    def _decode_values(self, data: bytes, header: Header) -> np.ndarray:
        """Decode numbers that have no black and white of their own."""
        if self.value_range is None or header.planar:
            raise Refused(
                'it holds floating point, signed or 32-bit numbers'
                + (' in planes' if header.planar else '')
                + ', of which nobody knows what is black and white. Give value_range, '
                'or save it with 8 or 16 bits',
                'no range',
            )
        img = _decode(data, cv2.IMREAD_UNCHANGED)
        if not np.isfinite(img).all():
            raise Refused('it holds NaN or infinity. Fill them beforehand', 'no range')
        low, high = self.value_range
        img = (img.astype(np.float64) - low) * (255 / (high - low))
        img = img.clip(0, 255).round().astype(np.uint8)
        if img.ndim == 2:
            return cv2.cvtColor(img, cv2.COLOR_GRAY2BGR)
        return np.ascontiguousarray(img[..., :3])


def read_file(path: str, backend_args: dict | None = None) -> bytes:
    """Read an image file.

    Args:
        path (str): The file.
        backend_args (dict, optional): Where it is stored, as in
            ``LoadImageFromFile``. Defaults to the local disk.

    Returns:
        bytes: At least one.

    Raises:
        Refused: If there is no such file on the disk, or it is empty; the message
            names it.
    """
    try:
        if backend_args is None and '://' not in path:
            data = _read_local(path)
        else:
            data = fileio.get(path, backend_args=backend_args)
        if not data:
            raise Refused('it is empty', 'empty')
    except Refused as error:
        error.path = path
        raise
    return data


def _read_local(path: str) -> bytes:
    try:
        with open(path, 'rb', buffering=0, opener=_open_at_once) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read()
        raise Refused('it is no file, but a pipe, socket or device', 'no file')
    except IsADirectoryError:
        raise Refused('it is a folder', 'no file') from None
    except FileNotFoundError:
        link = os.path.islink(path)
        why = 'it is a link to something that is not there' if link else 'there is none'
        raise Refused(why, 'missing') from None
    except OSError as error:
        if error.errno in _MACHINE:
            raise
        raise Refused(error.strerror or str(error), 'unreadable') from error


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | _AT_ONCE)


def _decode(data: bytes, flag: int) -> np.ndarray:
    """Decode with OpenCV, whose refusals are None or an error of its own."""
    try:
        img = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(str(error)) from error
        img = None
    if img is None:
        raise Refused(
            f'its {len(data)} bytes are damaged, or of a kind OpenCV cannot decode. '
            'Fetch it again, or convert it'
        )
    return img
