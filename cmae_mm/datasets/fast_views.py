"""The two views in two steps: file -> master crop -> views.

Same random draws as the reference pipeline, nearly the same pixels (see
:mod:`cmae_mm.datasets.fast_ops`), a fraction of the time: with the same seed the
two pipelines cut the same views.
"""

from types import SimpleNamespace

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.datasets.transforms import RandomResizedCrop

from cmae_mm.registry import TRANSFORMS

from . import fast_ops
from .colour import DrawColour, apply_colour
from .decoder import MAX_PIXELS, ImageDecoder
from .pixel_shift import PixelShift
from .sampling import seed_sample


@TRANSFORMS.register_module()
class FastMasterCrop(RandomResizedCrop):
    """Read a file, cut out the master crop, resize it, and flip it or not.

    Stands for :class:`LoadImage`, ``RandomResizedCrop`` with Pillow's bicubic
    filter, and ``RandomFlip``. One step, since a crop that is known before the
    image is decoded saves the rows below it.

    It is also where the random numbers of a sample start anew (see
    :class:`cmae_mm.SeededSampler`), so it comes once in a pipeline: a second one
    would draw the same crop.

    Required key: ``img_path``. Added keys: ``img`` (uint8, ``(*scale, 3)``, BGR),
    ``img_shape``, ``flip``.

    Args:
        scale (int | tuple[int, int]): Height and width of the master in pixels.
        crop_ratio_range (tuple[float, float]): Share of the area that is cut out.
            Defaults to (0.2, 1.0), which is what paper and released recipe take.
        aspect_ratio_range (tuple[float, float]): Defaults to (3 / 4, 4 / 3).
        flip_prob (float): How often to mirror left and right. Defaults to 0.5.
        max_pixels (int): See :class:`cmae_mm.datasets.decoder.ImageDecoder`, also for
            the next two. Defaults to 2**27.
        value_range (tuple[float, float], optional): Defaults to None.
        backend_args (dict, optional): Defaults to the local disk.

    Raises:
        Refused: If a file is not taken.
    """

    def __init__(
        self,
        scale: int | tuple[int, int],
        crop_ratio_range: tuple[float, float] = (0.2, 1.0),
        aspect_ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
        flip_prob: float = 0.5,
        max_pixels: int = MAX_PIXELS,
        value_range: tuple[float, float] | None = None,
        backend_args: dict | None = None,
    ) -> None:
        super().__init__(
            scale,
            crop_ratio_range=crop_ratio_range,
            aspect_ratio_range=aspect_ratio_range,
            interpolation='bicubic',
            backend='pillow',
        )
        self.flip_prob = flip_prob
        self.decoder = ImageDecoder(max_pixels, value_range, backend_args)

    def transform(self, results: dict) -> dict:
        """Turn the file into its master crop."""
        seed_sample(results)
        crop = self.decoder.load_crop(results['img_path'], self._draw_crop)
        img = fast_ops.resize(crop, tuple(self.scale))
        results['flip'] = bool(np.random.rand() < self.flip_prob)
        results['img'] = cv2.flip(img, 1) if results['flip'] else img
        results['img_shape'] = img.shape[:2]
        return results

    def _draw_crop(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Draw top, left, height and width of the crop."""
        return self.rand_crop_params(SimpleNamespace(shape=(height, width)))


@TRANSFORMS.register_module()
class TwoViews(BaseTransform):
    """Cut the two views of CMAE out of a master crop; colour the target view.

    Stands for ``MultiView`` with :class:`PixelShift` and the colour operations of
    the reference pipeline. The online view is the top-left corner, the target
    view lies a few pixels further.

    Required key: ``img`` (uint8, (H, W, 3), BGR). Modified keys: ``img``, now the
    online and the target view as tensors ``(3, *size)``, uint8, BGR; ``img_shape``.
    Added keys: ``pixel_shift`` (tuple[int, int]), offsets (down, right) in
    pixels; with colour ``colour`` (Colour).

    Args:
        size (int | tuple[int, int]): Height and width of a view in pixels.
        shift_range (tuple[int, int]): See :class:`PixelShift`.
        colour (dict | None): Arguments of :class:`cmae_mm.DrawColour`; None
            leaves the colours as they are. Defaults to None.
        colour_on (str): 'worker' colours the target here. 'device' only draws, and
            leaves the work to :class:`cmae_mm.TwoViewPreprocessor`; ``colour``
            must then be among the ``meta_keys`` of ``PackInputs``. Defaults to
            'worker'.

    Raises:
        ValueError: If an argument is out of its range, or an image too small.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        shift_range: tuple[int, int] = (0, 31),
        colour: dict | None = None,
        colour_on: str = 'worker',
    ) -> None:
        if colour_on not in ('worker', 'device'):
            raise ValueError(
                f"TwoViews got colour_on={colour_on!r}; it takes 'worker' or 'device'."
            )
        self.shift = PixelShift(size, shift_range=shift_range)
        self.colour = None if colour is None else DrawColour(**colour)
        self.colour_on = colour_on

    def transform(self, results: dict) -> dict:
        """Replace the master by its views."""
        height, width = self.shift.size
        online = results['img'][:height, :width]
        results = self.shift(results)
        target = results['img']
        if self.colour is not None:
            results['colour'] = self.colour.draw()
            if self.colour_on == 'worker':
                target = apply_colour(target, results['colour'])
        results['img'] = [fast_ops.to_planes(online), fast_ops.to_planes(target)]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(shift={self.shift}, colour={self.colour}, '
            f'colour_on={self.colour_on!r})'
        )
