"""Colours on the device against Pillow, image by image."""

import cv2
import numpy as np
import pytest
import torch
import torchvision.transforms.functional as pil_ops
from mmpretrain.models import SelfSupDataPreprocessor
from mmpretrain.structures import DataSample
from PIL import Image, ImageFilter

from cmae_mm.datasets.colour import Colour, DrawColour, apply_colour
from cmae_mm.models import TwoViewPreprocessor
from cmae_mm.models.device_colour import colour_batch

NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)


def pictures(count=5, size=48):
    """uint8 (count, 3, size, size), BGR."""
    rng = np.random.default_rng(0)
    soft = rng.integers(0, 256, (count, 5, 6, 3), dtype=np.uint8)
    images = [cv2.resize(s, (size, size), interpolation=cv2.INTER_CUBIC) for s in soft]
    images = np.stack(images) + rng.normal(0, 6, (count, size, size, 3))
    images = np.clip(images, 0, 255).astype(np.uint8)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def with_pillow(image, change):
    """Apply a Pillow operation to a BGR tensor (3, H, W)."""
    rgb = Image.fromarray(image.flip(0).permute(1, 2, 0).contiguous().numpy())
    out = torch.from_numpy(np.array(change(rgb))).permute(2, 0, 1)
    return out.flip(0).float()


OPERATIONS = {
    # field: (with Pillow, values, mean difference, largest difference)
    'brightness': (pil_ops.adjust_brightness, (0.0, 0.6, 1, 1.37, 1.4), 0.001, 1),
    'contrast': (pil_ops.adjust_contrast, (0.0, 0.6, 1, 1.37, 1.4), 0.001, 1),
    'saturation': (pil_ops.adjust_saturation, (0.0, 0.6, 1, 1.37, 1.4), 0.001, 1),
    'hue': (pil_ops.adjust_hue, (-0.1, -0.03, 0.02, 0.07, 0.5), 0.02, 6),
    'grey': (lambda p, on: pil_ops.rgb_to_grayscale(p, 3) if on else p, [1] * 5, 0, 0),
    'sigma': (
        lambda p, s: p.filter(ImageFilter.GaussianBlur(s)),
        (0.1, 0.37, 1.41, 1.5, 2.0),
        0.9,
        4,
    ),
}


@pytest.mark.parametrize('field', OPERATIONS)
def test_as_pillow(field):
    slow, values, mean, largest = OPERATIONS[field]
    images = pictures()
    before = images.clone()
    ours = colour_batch(images, [Colour(**{field: value}) for value in values])
    edge = slice(8, -8) if field == 'sigma' else slice(None)
    for image, value, out in zip(images, values, ours, strict=True):
        theirs = with_pillow(image, lambda p, v=value: slow(p, v))
        difference = (out - theirs).abs()[:, edge, edge]
        assert difference.mean() <= mean, value
        assert difference.max() <= largest, value
        assert torch.equal(out, out.round()) and 0 <= out.min() and out.max() <= 255
    assert torch.equal(images, before)


def test_whole_draws_as_in_the_worker():
    """Every image its own order and operations; the worker rounds otherwise."""
    images = pictures(16)
    np.random.seed(0)
    colours = [DrawColour().draw() for _ in images]
    together = colour_batch(images, colours)
    for image, colour, out in zip(images, colours, together, strict=True):
        here = apply_colour(image.permute(1, 2, 0).contiguous().numpy(), colour)
        difference = (out - torch.from_numpy(here).permute(2, 0, 1)).abs()
        assert difference[:, 8:-8, 8:-8].mean() < 2
        assert torch.equal(out, colour_batch(image[None], [colour])[0])


def test_half_precision_around_it_changes_nothing():
    images = pictures()
    colours = [Colour(contrast=1.3, hue=0.05, sigma=1.0)] * 5
    expected = colour_batch(images, colours)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(colour_batch(images, colours), expected)


@pytest.mark.parametrize('training', [True, False])
def test_preprocessor_colours_the_target_in_training_only(training):
    online, target = pictures(), pictures().flip(2)
    colours = [Colour(brightness=0.6 + 0.1 * i) for i in range(5)]
    samples = [DataSample(metainfo=dict(colour=c)) for c in colours]
    data = dict(inputs=[online, target], data_samples=samples)
    ours = TwoViewPreprocessor(**NORM)(data, training)['inputs']
    if training:
        data['inputs'] = [online, colour_batch(target, colours)]
    expected = SelfSupDataPreprocessor(**NORM)(data, training)['inputs']
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_preprocessor_leaves_coloured_samples_as_they_are():
    data = dict(inputs=[pictures(), pictures()], data_samples=[DataSample()] * 5)
    for batch in (data, {**data, 'data_samples': None}):
        ours = TwoViewPreprocessor(**NORM)(batch, True)['inputs']
        expected = SelfSupDataPreprocessor(**NORM)(batch, True)['inputs']
        assert all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True))
