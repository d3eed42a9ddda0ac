"""What a network wants to be shown: size, statistics and order of the channels."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, CenterCrop, Resize
from mmpretrain.datasets import ResizeEdge

IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_SHAPING = {'CenterCrop': CenterCrop, 'Resize': Resize, 'ResizeEdge': ResizeEdge}
# What settings of any content may raise where others are expected.
_NONSENSE = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    TypeError,
    ValueError,
    cv2.error,
)
_CONVERSIONS = ('to_rgb', 'bgr_to_rgb', 'rgb_to_bgr')  # of the preprocessors


@dataclass(frozen=True)
class ImageRules:
    """How an image becomes the input of a network.

    Args:
        mean (tuple[float, ...]): Of each channel, in the units of the file: 0 to 255
            for images of 8 bits. In the order of ``order``.
        std (tuple[float, ...]): Standard deviations, above 0.
        order (str): 'rgb', or 'bgr' for a network that was trained so.
        bands (bool): Whether values and channels stay as they are in the file
            (:class:`cmae_mm.LoadMultibandImage`) instead of becoming 8-bit RGB.
        steps (tuple[dict, ...]): Steps of a pipeline of mmpretrain that bring an image
            to its size: Resize, ResizeEdge and CenterCrop.
        notes (tuple[str, ...]): What had to be assumed.
        assumed (bool): Whether mean and std were.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    order: str = 'rgb'
    bands: bool = False
    steps: tuple[dict, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)
    assumed: bool = field(default=False, compare=False)

    def said(self) -> dict[str, Any]:
        """The same in plain types, to lie beside the weights."""
        return {
            'mean': list(self.mean),
            'std': list(self.std),
            'order': self.order,
            'bands': self.bands,
            'steps': [dict(step) for step in self.steps],
        }


def shaping(steps: Iterable[dict]) -> list[BaseTransform]:
    """Build the steps; nothing but the three known ones, whatever a file asks for.

    Args:
        steps (Iterable[dict]): Each with a ``type`` and its arguments.

    Returns:
        list[BaseTransform]: They change ``img`` (H, W, C) of a dict.

    Raises:
        ValueError: If a step is another one, or does not take its arguments.
    """
    built = []
    for step in steps:
        kind = str(step.get('type')).split('.')[-1]
        if kind not in _SHAPING:
            raise ValueError(f'{kind} is none of {", ".join(_SHAPING)}.')
        # Lists: JSON has no tuples, which CenterCrop insists on.
        arguments = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in step.items()
            if key != 'type'
        }
        try:
            built.append(_SHAPING[kind](**arguments))
        except (AssertionError, TypeError) as error:
            raise ValueError(f'{kind}: {error}') from error
    return built


def default_steps(size: tuple[int, int], bands: bool) -> tuple[dict, ...]:
    """The usual way to a size: the middle of an image scaled a little larger.

    Args:
        size (tuple[int, int]): Height and width, pixels.
        bands (bool): See :class:`ImageRules`; Pillow resizes 8-bit RGB only.
    """
    height, width = size
    if height != width:
        return (_resize(size, bands),)
    edge = {'type': 'ResizeEdge', 'scale': round(height * 256 / 224), 'edge': 'short'}
    crop = {'type': 'CenterCrop', 'crop_size': height}
    return ({**edge, **_interpolation(bands)}, crop)


def _resize(size: tuple[int, int], bands: bool) -> dict:
    """A step to a size that leaves images of this size as they are."""
    height, width = size
    return {'type': 'Resize', 'scale': (width, height), **_interpolation(bands)}


def _interpolation(bands: bool) -> dict:
    return {'backend': 'cv2' if bands else 'pillow', 'interpolation': 'bicubic'}


def rules_of_file(said: Any, size: Any) -> ImageRules | None:
    """Read what :meth:`ImageRules.said` has put beside the weights.

    Args:
        said (Any): From a file, so it may be anything.
        size (ViTSize | HybridSize): Of the network.

    Returns:
        ImageRules, optional: None if it is not there or makes no sense.
    """
    try:
        rules = _statistics(
            said['mean'], said['std'], said['order'], said['bands'], size
        )
        return replace(rules, steps=_checked_steps(said['steps'], rules, size))
    except _NONSENSE:
        return None


def rules_of_run(settings: dict[str, Any], size: Any) -> ImageRules:
    """Take mean, std and size of the images from the config of a run.

    The way to the size is that of its test pipeline, which the k-NN evaluation uses.

    Args:
        settings (dict[str, Any]): With ``model``, ``data_preprocessor`` and
            ``test_dataloader``, as far as they are there.
        size (ViTSize | HybridSize): Of the network.

    Returns:
        ImageRules: Those of ImageNet, and the usual way to the size, where the config
        does not tell; its notes say so.
    """
    try:
        how = (
            settings['model'].get('data_preprocessor') or settings['data_preprocessor']
        )
        steps = _test_pipeline(settings)
        loader = str(steps[0]['type']) if steps else ''
        bands = 'Multiband' in str(how.get('type')) or 'Multiband' in loader
        swapped = any(how.get(name) for name in _CONVERSIONS)
        # Ours load BGR, as OpenCV does; without a swap the network saw it.
        order = 'rgb' if bands or swapped or size.channels != 3 else 'bgr'
        rules = _statistics(how['mean'], how['std'], order, bands, size)
    except _NONSENSE:
        return default_rules(size)
    try:
        way = [step for step in steps if not _is_end(step)]
        if not steps:
            raise ValueError('The run has no test.')
        if not way:  # the images of the run had the size already
            way = [_resize(size.image, bands)]
        return replace(rules, steps=_checked_steps(way, rules, size))
    except _NONSENSE:
        note = 'the way to the size of the images is the usual one, not from the run'
        usual = default_steps(size.image, bands)
        return replace(rules, steps=usual, notes=(note,))


def default_rules(size: Any) -> ImageRules:
    """What to do where nobody said anything.

    Args:
        size (ViTSize | HybridSize): Of the network.
    """
    bands = size.channels != 3
    mean, std = IMAGENET
    note = 'mean and std are not told in the file; those of ImageNet (RGB) are taken'
    if bands:
        mean, std = (0.0,) * size.channels, (1.0,) * size.channels
        note = 'mean and std are not told in the file; images are not normalised'
    steps = default_steps(size.image, bands)
    return ImageRules(mean, std, 'rgb', bands, steps, (note,), assumed=True)


def _test_pipeline(settings: dict[str, Any]) -> list[dict]:
    """Steps that an image goes through in the test of the run."""
    # None where a run has no test, as that of `cmae pretrain`.
    dataset = (settings.get('test_dataloader') or {}).get('dataset', {})
    pipeline = dataset.get('pipeline')
    return pipeline if isinstance(pipeline, list) else []


def _is_end(step: dict) -> bool:
    """Whether a step only reads an image or packs it."""
    kind = str(step.get('type')).split('.')[-1]
    return kind.startswith('Load') or kind == 'PackInputs'


def _statistics(mean: Any, std: Any, order: Any, bands: Any, size: Any) -> ImageRules:
    """Rules, still without steps, that fit the network."""
    mean, std = tuple(map(float, mean)), tuple(map(float, std))
    one_each = len(mean) == len(std) == size.channels
    if not one_each or not all(map(isfinite, (*mean, *std))) or min(std) <= 0:
        raise ValueError('One finite mean and one std above 0 per channel are needed.')
    if order not in ('rgb', 'bgr') or not isinstance(bands, bool):
        raise ValueError(f'{order!r} is no order of channels.')
    return ImageRules(mean, std, order, bands)


def _checked_steps(steps: Any, rules: ImageRules, size: Any) -> tuple[dict, ...]:
    """The steps, if they bring any image to the size of the network."""
    height, width = size.image
    kind = np.float32 if rules.bands else np.uint8
    probe = np.zeros((2 * height + 3, 3 * width + 1, size.channels), kind)
    results = {'img': probe}
    for step in shaping(steps):
        results = step(results)
    if results['img'].shape[:2] != size.image:
        raise ValueError(f'The steps lead to {results["img"].shape[:2]}.')
    return tuple(dict(step) for step in steps)
