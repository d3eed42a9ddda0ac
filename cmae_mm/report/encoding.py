"""Pictures that travel inside the page, as light as they can be."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image, features


def data_url(image: np.ndarray, quality: int = 82) -> str:
    """Put a picture into a URL, as PNG or WebP, whichever is smaller.

    Args:
        image (ndarray): RGB, uint8 (H, W, 3).
        quality (int): Of WebP, in [0, 100]. Defaults to 82.

    Returns:
        str: ``data:image/...;base64,...``.
    """
    picture = Image.fromarray(np.ascontiguousarray(image))
    files = {'png': _encode(picture, format='PNG', optimize=True)}
    if features.check('webp'):
        files['webp'] = _encode(picture, format='WEBP', quality=quality, method=4)
    else:
        files['jpeg'] = _encode(picture, format='JPEG', quality=quality)
    kind, content = min(files.items(), key=lambda item: len(item[1]))
    return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'


def _encode(picture: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, **options)
    return buffer.getvalue()


def shrink(image: np.ndarray, width: int, height: int | None = None) -> np.ndarray:
    """Make a picture fit into a box; small ones stay as they are.

    Args:
        image (ndarray): RGB, uint8 (H, W, 3).
        width (int): In pixels, above 0.
        height (int, optional): In pixels. Defaults to ``width``.

    Returns:
        ndarray: RGB, uint8, of the same proportions.
    """
    rows, columns = image.shape[:2]
    share = min(width / columns, (height or width) / rows)
    if share >= 1:
        return image
    size = (max(1, round(columns * share)), max(1, round(rows * share)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def read_picture(file: Path, width: int, height: int | None = None) -> np.ndarray:
    """Read a picture and make it fit, see :func:`shrink`.

    Raises:
        OSError: If it is missing or damaged.
    """
    with Image.open(file) as picture:
        return shrink(np.asarray(picture.convert('RGB')), width, height)


def thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    """The middle square of a picture, (side, side, 3)."""
    rows, columns = image.shape[:2]
    edge = min(rows, columns)
    top, left = (rows - edge) // 2, (columns - edge) // 2
    square = Image.fromarray(image[top : top + edge, left : left + edge])
    return np.asarray(square.resize((side, side), Image.Resampling.BOX))
