from mmcv.transforms import BaseTransform

from cmae_mm.registry import TRANSFORMS

from .decoder import MAX_PIXELS, ImageDecoder
from .sampling import seed_sample


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read a file into three channels of 8 bits, or refuse it with the reason.

    Stands for ``LoadImageFromFile`` and gives the same pixels; it differs where that
    one gives wrong ones, None or an assertion. Never returns None, upon which MMEngine
    would put a random other image in the place of this one.

    At the head of a pipeline it is where the random numbers of a sample start anew (see
    :class:`cmae_mm.SeededSampler`).

    Required key: ``img_path``. Added keys: ``img`` (uint8, (H, W, 3), BGR),
    ``img_shape`` and ``ori_shape`` (H, W).

    Args:
        max_pixels (int): See :class:`cmae_mm.datasets.decoder.ImageDecoder`, also for
            the next two. Defaults to 2**27.
        value_range (tuple[float, float], optional): Defaults to None.
        backend_args (dict, optional): Defaults to the local disk.

    Raises:
        Refused: If a file is not taken.
    """

    def __init__(
        self,
        max_pixels: int = MAX_PIXELS,
        value_range: tuple[float, float] | None = None,
        backend_args: dict | None = None,
    ) -> None:
        self.decoder = ImageDecoder(max_pixels, value_range, backend_args)

    def transform(self, results: dict) -> dict:
        """Read the file.

        Args:
            results (dict): With ``img_path``.

        Returns:
            dict: The same with ``img``.
        """
        seed_sample(results)
        img = self.decoder.load(results['img_path'])
        results['img'] = img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

    def __repr__(self) -> str:
        policy = ', '.join(f'{k}={v!r}' for k, v in vars(self.decoder).items())
        return f'{type(self).__name__}({policy})'
