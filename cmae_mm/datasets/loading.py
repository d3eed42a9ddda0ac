import io

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from cmae_mm.registry import TRANSFORMS

from .decoder import read_file
from .refused import Refused
from .sampling import seed_sample

# Classic and big TIFF, each in both byte orders.
TIFF_STARTS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')


@TRANSFORMS.register_module()
class LoadMultibandImage(BaseTransform):
    """Read an image of any bit depth with any number of channels.

    ``LoadImageFromFile`` makes three channels of 8 bits out of every image. Here
    the channels stay as they are in the file, in the order of the file (so RGB,
    not OpenCV's BGR), and so do the values: 8-bit images stay uint8, all others
    become float32, which holds integers up to 2**24 exactly. Nothing is scaled;
    mean and std of ``cmae_mm.MultibandDataPreprocessor`` are those of the file.

    TIFF is read by tifffile: grey, RGB, and any number of bands, be they
    interleaved, in planes or one per page; of a pyramid the largest level. All
    other formats are read by OpenCV. Orientation tags are not followed.

    Required key: ``img_path``. Added keys: ``img`` (H, W, channels), ``img_shape``
    and ``ori_shape`` (H, W).

    Args:
        channels (int): Number of channels that every image must have.

    Raises:
        Refused: If a file cannot be decoded, or holds NaN or infinity.
        ValueError: If it has another number of channels, or complex numbers.
        ImportError: If there is a TIFF but no tifffile.
    """

    def __init__(self, channels: int) -> None:
        if channels < 1:
            raise ValueError(f'channels={channels}: an image has one or more.')
        self.channels = channels

    def transform(self, results: dict) -> dict:
        """Read the file.

        Args:
            results (dict): With ``img_path``.

        Returns:
            dict: The same with ``img``, (H, W, channels), uint8 or float32.
        """
        seed_sample(results)
        path = results['img_path']
        image = _decode(read_file(path), path)
        height, width, found = image.shape
        if found != self.channels:
            raise ValueError(
                f'{path} has {found} channels ({height}x{width}, {image.dtype}), '
                f'but channels={self.channels} are expected. If all images have '
                f'{found}, set channels={found} in LoadMultibandImage, '
                f'in_channels={found} in the backbone, and as many entries in mean '
                'and std of the data preprocessor.'
            )
        results['img'] = _to_uint8_or_float32(image, path)
        results['img_shape'] = results['ori_shape'] = (height, width)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(channels={self.channels})'


def _decode(content: bytes, path: str) -> np.ndarray:
    """Decode the content of a file to (H, W, channels), channels as in the file."""
    if content.startswith(TIFF_STARTS):
        return _decode_tiff(content, path)
    data = np.frombuffer(content, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise Refused(
            f'{path} ({len(content)} bytes) cannot be decoded: it is damaged, cut '
            'off, or of a format that OpenCV does not know. Try PNG or TIFF.'
        )
    if image.ndim == 2:
        return image[..., None]
    red_first = [2, 1, 0, 3][: image.shape[2]]  # OpenCV has BGR and BGRA
    return image[..., red_first]


def _decode_tiff(content: bytes, path: str) -> np.ndarray:
    """Decode the first image of a TIFF to (H, W, channels)."""
    try:
        import tifffile
    except ImportError as error:
        raise ImportError(
            f'{path} is a TIFF, which tifffile reads. Try: pip install tifffile'
        ) from error
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            image, axes = file.series[0].asarray(), file.series[0].axes
    except Exception as error:  # what a damaged file makes it raise has no limit
        raise Refused(
            f'{path} ({len(content)} bytes) cannot be read as TIFF; it may be cut '
            f'off or of a rare kind. tifffile says: {error}. Files compressed by '
            'LZW, JPEG and the like also need: pip install imagecodecs'
        ) from error
    bands = [place for place, axis in enumerate(axes) if axis not in 'YX']
    if len(bands) > 1 or len(axes) - len(bands) != 2:
        raise ValueError(
            f'{path} has the axes {axes} of {image.shape}; rows, columns and one '
            'axis of channels (YXS, SYX, one band per page) are expected. Save '
            'every image of a stack as a file of its own.'
        )
    return np.moveaxis(image, bands[0], -1) if bands else image[..., None]


def _to_uint8_or_float32(image: np.ndarray, path: str) -> np.ndarray:
    """Keep uint8 and make all other real numbers float32, C order."""
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if image.dtype.kind not in 'buif':
        raise ValueError(
            f'{path} holds {image.dtype}; real numbers are expected. Save '
            'magnitude and phase, or real and imaginary part, as two channels.'
        )
    image = np.ascontiguousarray(image, dtype=np.float32)
    if not np.isfinite(image).all():
        raise Refused(
            f'{path} holds NaN or infinity (pixels without data?), which would '
            'spoil the training. Fill them beforehand, with the mean of their band.'
        )
    return image
