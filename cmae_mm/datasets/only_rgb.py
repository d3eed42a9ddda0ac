import logging

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

from cmae_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class OnlyRGB(BaseTransform):
    """Colour operations, left out for images they are not made for.

    Jitter of hue and saturation, conversion to grey, and all that goes through
    Pillow, want three channels of 8 bits. Other images (grey, multi-band, 16 bits)
    pass unchanged, and the first of them is told of in the log.

    Required and modified key: ``img``, (H, W) or (H, W, channels).

    Args:
        transforms (list[dict]): What to do with an RGB image of uint8.
    """

    def __init__(self, transforms: list[dict]) -> None:
        self.transforms = Compose(transforms)
        self.names = ', '.join(step['type'] for step in transforms)
        self.told = False

    def transform(self, results: dict) -> dict | None:
        """Apply the transforms, or none of them.

        Args:
            results (dict): With ``img``.

        Returns:
            dict | None: What the last of the transforms returns.
        """
        img = results['img']
        if img.dtype == np.uint8 and img.ndim == 3 and img.shape[2] == 3:
            return self.transforms(results)
        if not self.told:
            self.told = True
            self._tell(img)
        return results

    def _tell(self, img: np.ndarray) -> None:
        """Say what is left out, in one of the workers only."""
        worker = get_worker_info()
        if worker is None or worker.id == 0:
            channels = img.shape[2] if img.ndim == 3 else 1
            print_log(
                f'Colour operations left out ({self.names}): they need 8-bit RGB, '
                f'and the images have {channels} channel(s) of {img.dtype}.',
                logger='current',
                level=logging.WARNING,
            )

    def __repr__(self) -> str:
        return f'{type(self).__name__}(transforms={self.transforms})'
