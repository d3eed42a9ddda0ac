"""Image operations on uint8 arrays, several times as fast as Pillow's.

Each stands for one operation of the reference pipeline and says how near it comes
to Pillow there: the mean and the largest absolute difference in levels of 0 to 255,
measured on 60 photos of ImageNet. ``tests/test_datasets/test_fast_ops.py`` holds
them to that on a generated picture. Images are (H, W, 3), BGR as everywhere before
the data preprocessor; results are new arrays.
"""

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F

# Pillow cuts off the fraction where OpenCV rounds. A little less than a half, so
# that sums that are whole numbers already stay where they are.
_CUT_OFF = -0.498


def resize(img: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize with the antialiased bicubic filter of Pillow.

    Difference: mean 0.004, largest 1 where both filter rows before columns. Where
    columns first is less work, recent versions of Pillow do that, and overshoots
    at hard edges are clipped in another order: mean up to 0.3, largest 17.

    Args:
        img (ndarray): uint8, (H, W, 3); may be a slice of a larger image.
        size (tuple[int, int]): Height and width of the result in pixels.

    Returns:
        ndarray: uint8, ``(*size, 3)``.
    """
    # A batch first, then the order of the axes: only with these strides does torch
    # see channels last, which its fast kernel needs and its result keeps.
    batch = torch.from_numpy(np.ascontiguousarray(img))[None].permute(0, 3, 1, 2)
    out = F.interpolate(batch, size, mode='bicubic', antialias=True)
    return out.permute(0, 2, 3, 1)[0].numpy()


def adjust_brightness(img: np.ndarray, factor: float) -> np.ndarray:
    """Multiply by ``factor`` (0 or more). Difference: mean 0.001, largest 1."""
    return cv2.addWeighted(img, factor, img, 0, _CUT_OFF)


def adjust_contrast(img: np.ndarray, factor: float) -> np.ndarray:
    """Move away from the mean grey by ``factor``. Difference: mean 0.004, largest 1."""
    mean = int(cv2.mean(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY))[0] + 0.5)
    return cv2.addWeighted(img, factor, img, 0, (1 - factor) * mean + _CUT_OFF)


def adjust_saturation(img: np.ndarray, factor: float) -> np.ndarray:
    """Move away from grey by ``factor``. Difference: mean 0.004, largest 1."""
    return cv2.addWeighted(img, factor, to_grey(img), 1 - factor, _CUT_OFF)


def adjust_hue(img: np.ndarray, shift: float) -> np.ndarray:
    """Turn the hue by ``shift`` of a full circle, in [-0.5, 0.5].

    Pillow and OpenCV both go through 8-bit HSV, and round it differently.
    Difference for shifts of up to 0.1: mean 0.26, 99.9 % of values within 4,
    largest 11.
    """
    hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV_FULL)
    hsv[..., 0] += np.uint8(int(shift * 255) % 256)  # uint8 wraps, as a circle does
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL)


def to_grey(img: np.ndarray) -> np.ndarray:
    """Luma in all three channels. Difference: mean 0.0005, largest 1."""
    return cv2.cvtColor(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def gaussian_blur(img: np.ndarray, sigma: float) -> np.ndarray:
    """Blur as Pillow does, whose Gaussian is a box filter applied three times.

    Difference: mean 0.34, largest 3, since Pillow rounds after each of its six
    passes; up to 27 in the outermost pixels, since Pillow repeats the edge before
    each pass.

    Args:
        img (ndarray): uint8, (H, W, 3).
        sigma (float): Standard deviation in pixels ("radius" in Pillow), from 0 to
            about 5: of wider filters the taps become too small for 8 bits.

    Returns:
        ndarray: uint8, (H, W, 3).
    """
    taps = blur_taps(sigma)
    # OpenCV computes in integers only if taps are whole 256ths: twice as fast.
    whole = np.rint(256 * taps)
    whole[len(taps) // 2] += 256 - whole.sum()  # no brightening
    whole = whole[whole > 0] / 256
    return cv2.sepFilter2D(img, -1, whole, whole, borderType=cv2.BORDER_REPLICATE)


def blur_taps(sigma: float) -> np.ndarray:
    """The filter that three box filters together make.

    A box that reaches ``r`` pixels to each side, with weights for a fractional
    reach, has about the variance of the Gaussian divided by three. Source: Gwosdek
    et al., "Theoretical Foundations of Gaussian Convolution by Extended Box
    Filtering", SSVM 2011, which Pillow cites.

    Args:
        sigma (float): Standard deviation in pixels, 0 or more.

    Returns:
        ndarray: float64, odd length (1 for sigma 0), symmetric, sum 1.
    """
    variance = sigma**2 / 3
    whole = int((math.sqrt(12 * variance + 1) - 1) / 2)
    width = 2 * whole + 1
    part = width * (whole * (whole + 1) - 3 * variance)
    part /= 6 * (variance - (whole + 1) ** 2)
    box = np.array([part, *[1.0] * width, part]) / (width + 2 * part)
    return np.convolve(np.convolve(box, box), box)


def to_planes(img: np.ndarray) -> torch.Tensor:
    """Turn an image into a contiguous tensor (3, H, W)."""
    planes = np.empty((3, *img.shape[:2]), np.uint8)
    # Whole images only: of slices, split is ten times as slow where it streams.
    cv2.split(np.ascontiguousarray(img), list(planes))
    return torch.from_numpy(planes)
