from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from cmae_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PixelShift(BaseTransform):
    """Cut a view out of the master crop, a few pixels from its top-left corner.

    The two views of CMAE are cut from one master crop: the online view with
    ``shift_range=(0, 1)``, which is the corner itself, the target view with an
    offset drawn uniformly and independently for each axis. Source: paper,
    section 3 (pixel shift), default range [0, 31); the released recipe draws 0
    to 31 with both ends.

    Required keys: ``img``. Modified keys: ``img``, ``img_shape``. Added key:
    ``pixel_shift`` (tuple[int, int]), the offsets (down, right) in pixels.

    Args:
        size (int | tuple[int, int]): Height and width of the view in pixels.
        shift_range (tuple[int, int]): Half-open range [low, high) of the offset
            in pixels, 0 <= low < high. The master crop must measure at least
            ``size + high - 1``. Defaults to (0, 31).

    Raises:
        ValueError: If the range is empty or negative, the size is not positive,
            or an image is too small for the largest offset.
    """

    def __init__(
        self, size: int | Sequence[int], shift_range: Sequence[int] = (0, 31)
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(
                f'PixelShift got size={size!r}; it takes one number of pixels, or '
                '(height, width), of 1 or more.'
            )
        if len(shift_range) != 2 or not 0 <= shift_range[0] < shift_range[1]:
            raise ValueError(
                f'PixelShift got shift_range={shift_range!r}; it takes (low, high) '
                'with 0 <= low < high, where high itself is never drawn. Use '
                '(0, 1) for no shift at all.'
            )
        self.shift_range = tuple(shift_range)
        # Of the last call: what several views are packed into does not say it.
        self.last_offset: tuple[int, int] | None = None

    @cache_randomness
    def draw_offset(self) -> tuple[int, int]:
        """Draw the offset (down, right) in pixels."""
        down, right = np.random.randint(*self.shift_range, size=2)
        return int(down), int(right)

    def transform(self, results: dict) -> dict:
        """Cut the view.

        Args:
            results (dict): With ``img``, an array (H, W) or (H, W, channels).

        Returns:
            dict: The same, ``img`` being ``(*size)`` or
            ``(*size, channels)``.
        """
        img = results['img']
        height, width = self.size
        needed = [side + self.shift_range[1] - 1 for side in self.size]
        if img.shape[0] < needed[0] or img.shape[1] < needed[1]:
            raise ValueError(
                f'PixelShift got an image of {img.shape[0]}x{img.shape[1]}, but a '
                f'view of {height}x{width} shifted by up to '
                f'{self.shift_range[1] - 1} pixels needs {needed[0]}x{needed[1]}. '
                'Make the crop before it larger, or the shift range smaller.'
            )
        down, right = self.draw_offset()
        results['img'] = img[down : down + height, right : right + width]
        results['img_shape'] = self.size
        results['pixel_shift'] = self.last_offset = (down, right)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(size={self.size}, shift_range={self.shift_range})'
        )
