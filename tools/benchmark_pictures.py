"""Pictures for a machine that has none: made ones, as large as those of ImageNet."""

from pathlib import Path

import cv2
import numpy as np

SUFFIXES = {'.jpg', '.jpeg', '.png'}


def find_files(folder: Path, count: int) -> list[Path]:
    """The first pictures of a folder, at any depth.

    Raises:
        FileNotFoundError: If there is none.
    """
    files = sorted(f for f in folder.rglob('*') if f.suffix.lower() in SUFFIXES)
    if not files:
        raise FileNotFoundError(
            f'{folder} holds no {", ".join(sorted(SUFFIXES))}. Give a folder of '
            'pictures, such as one class of ImageNet.'
        )
    return files[:count]


def make_pictures(folder: Path, count: int) -> list[Path]:
    """Write JPEGs of 500x375 pixels and about 110 KB, the mean of ImageNet.

    Soft colours with finer and finer noise on top, so that decoding has as much to
    do as for a photo.

    Args:
        folder (Path): Where to put them; exists.
        count (int): How many.

    Returns:
        list[Path]: The files.
    """
    rng = np.random.default_rng(0)
    files = []
    for number in range(count):
        picture = np.full((375, 500, 3), 128, np.float32)
        for rows, strength in ((4, 50), (24, 25), (94, 18), (375, 14)):
            noise = rng.standard_normal((rows, rows * 4 // 3, 3)).astype(np.float32)
            picture += strength * cv2.resize(
                noise, (500, 375), interpolation=cv2.INTER_CUBIC
            )
        files.append(folder / f'{number:05}.jpg')
        pixels = picture.clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(files[-1]), pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return files
