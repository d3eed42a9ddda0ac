"""From an image, however it comes, to the input of a network."""

import os
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageOps

from cmae_mm.bridge.images import ImageRules, shaping
from cmae_mm.datasets import LoadMultibandImage
from cmae_mm.datasets.decoder import ImageDecoder

AnyImage = str | os.PathLike | Image.Image | np.ndarray | torch.Tensor
_PLAIN_MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'CMYK', 'YCbCr')


class Transform:
    """Reads, shapes and normalises images as the test of the run did.

    Args:
        rules (ImageRules): What the network wants to be shown.
        size (tuple[int, int]): Height and width of what comes out, pixels.
    """

    def __init__(self, rules: ImageRules, size: tuple[int, int]) -> None:
        self.rules = rules
        self.size = size
        self.steps = shaping(rules.steps)
        self.mean = torch.tensor(rules.mean).view(-1, 1, 1)
        self.std = torch.tensor(rules.std).view(-1, 1, 1)

    def __call__(self, image: AnyImage | Sequence[AnyImage]) -> torch.Tensor:
        """Prepare one image, or a list of them.

        Args:
            image: A path; a PIL image; an array (H, W, 3) or (H, W); a tensor
                (3, H, W). **RGB**, uint8 or floating point in [0, 1]. For a network of
                bands (:class:`cmae_mm.LoadMultibandImage`): a path, (H, W, C) or
                (C, H, W), channels and values as in the files. Paths are turned
                upright as EXIF says, so are PIL images.

        Returns:
            Tensor: float32 (C, H, W) of the network's size; of a list (N, C, H, W).

        Raises:
            Refused: If a file cannot be read; a ValueError.
            ValueError: If an image is of another form.
            TypeError: If it is none of these.
        """
        if isinstance(image, (list, tuple)):
            return torch.stack([self(one) for one in image])
        pixels = self._read(image)
        results = {'img': np.ascontiguousarray(pixels)}
        for step in self.steps:
            results = step(results)
        pixels = results['img'].reshape(*self.size, -1)  # OpenCV drops a lone channel
        if self.rules.order == 'bgr':
            pixels = pixels[..., ::-1]
        # A copy: torch takes neither turned nor read-only arrays.
        tensor = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)
        return ((tensor - self.mean) / self.std).contiguous()

    def _read(self, image: AnyImage) -> np.ndarray:
        """Pixels (H, W, C): uint8 RGB, or bands as they are."""
        if isinstance(image, (str, os.PathLike)):
            return self._from_file(os.fspath(image))
        if isinstance(image, Image.Image):
            image = self._from_pillow(image)
        elif isinstance(image, torch.Tensor):
            if image.ndim != 3:
                raise ValueError(
                    f'A tensor of {tuple(image.shape)} came; expected is one image, '
                    '(channels, height, width). Give several as a list.'
                )
            image = image.detach().cpu().permute(1, 2, 0).numpy()
        elif not isinstance(image, np.ndarray):
            raise TypeError(
                f'An image came as {type(image).__name__}; expected is a path, a PIL '
                'image, an array, a tensor, or a list of these.'
            )
        return self._from_array(image)

    def _from_file(self, path: str) -> np.ndarray:
        if self.rules.bands:
            loader = LoadMultibandImage(channels=len(self.rules.mean))
            return loader.transform({'img_path': path})['img']
        return ImageDecoder().load(path)[..., ::-1]

    def _from_pillow(self, image: Image.Image) -> np.ndarray:
        image = ImageOps.exif_transpose(image)
        if self.rules.bands:
            return np.asarray(image)
        if image.mode not in _PLAIN_MODES:
            raise ValueError(
                f'A PIL image of mode {image.mode} came, which Pillow turns to RGB '
                'wrongly. Give its path instead.'
            )
        return np.asarray(image.convert('RGB'))

    def _from_array(self, image: np.ndarray) -> np.ndarray:
        channels = len(self.rules.mean)
        if image.ndim == 2:
            image = image[..., None]
            if not self.rules.bands:
                image = image.repeat(channels, axis=2)
        if image.ndim != 3 or image.shape[2] != channels or 0 in image.shape:
            raise ValueError(
                f'An image of {image.shape} came (height, width, channels); expected '
                f'are {channels} channels'
                + ('.' if self.rules.bands else ', RGB, or one array (H, W) of grey.')
            )
        if self.rules.bands:
            return image.astype(np.float32)
        if image.dtype == np.uint8:
            return image
        if image.dtype.kind != 'f':
            raise ValueError(
                f'An image of {image.dtype} came; expected is uint8 (0 to 255) or '
                'floating point in [0, 1].'
            )
        if not (image.min() >= 0 and image.max() <= 1):  # also where it is not a number
            raise ValueError(
                f'An image of {image.dtype} from {image.min():g} to {image.max():g} '
                'came; floating point is expected in [0, 1], other values as uint8 '
                '(0 to 255). It is normalised here, not beforehand.'
            )
        return (image * 255).round().astype(np.uint8)

    def __repr__(self) -> str:
        height, width = self.size
        return f'{type(self).__name__}({height}x{width}, {self.rules.said()})'
