from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from cmae_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class NormalizeBands(BaseTransform):
    """Subtract the mean of each channel and divide by its standard deviation.

    For mmdet and mmseg, whose data preprocessors normalise one or three
    channels: leave mean and std out there, and put this at the end of the pipeline.

    Required key: ``img`` (H, W, channels). Modified key: ``img``, float32.

    Args:
        mean (Sequence[float]): One for each channel, in the units of the files.
        std (Sequence[float]): The same, all above 0.

    Raises:
        ValueError: If the numbers of values differ, a std is not positive, or an
            image has another number of channels.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        if len(mean) != len(std) or min(std, default=0) <= 0:
            raise ValueError(
                f'NormalizeBands got mean={mean} and std={std}; one value for each '
                'channel is expected in both, and std above 0.'
            )
        self.mean = np.array(mean, dtype=np.float32)
        self.std = np.array(std, dtype=np.float32)

    def transform(self, results: dict) -> dict:
        """Normalise the image."""
        image = results['img']
        channels = 1 if image.ndim == 2 else image.shape[2]
        if channels != len(self.mean):
            raise ValueError(
                f'{results.get("img_path", "An image")} has {channels} channels, but '
                f'NormalizeBands has {len(self.mean)} means.'
            )
        results['img'] = (image.astype(np.float32) - self.mean) / self.std
        return results

    def __repr__(self) -> str:
        values = f'mean={self.mean.tolist()}, std={self.std.tolist()}'
        return f'{type(self).__name__}({values})'
