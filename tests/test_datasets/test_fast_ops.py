"""Each fast operation against Pillow, in levels of 0 to 255."""

import math

import cv2
import numpy as np
import pytest
import torch
import torchvision.transforms.functional as pil_ops
from PIL import Image, ImageFilter

from cmae_mm.datasets import fast_ops


def picture(height=224, width=224, seed=0):
    """Colours as pale as those of photos, a hard edge and some grain; BGR."""
    rng = np.random.default_rng(seed)
    light, tint = rng.uniform(40, 220, (7, 9, 1)), rng.uniform(-30, 30, (7, 9, 3))
    img = cv2.resize(light + tint, (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.circle(img, (width // 3, height // 2), height // 6, (250, 120, 5), -1)
    grain = rng.normal(0, 8, img.shape)
    return np.clip(img + grain, 0, 255).astype(np.uint8)


def with_pillow(img, change):
    """Apply a Pillow operation to a BGR array."""
    rgb = Image.fromarray(np.ascontiguousarray(img[..., ::-1]))
    return np.asarray(change(rgb)).astype(int)[..., ::-1]


def blur(sigma):
    return ImageFilter.GaussianBlur(sigma)


OPERATIONS = {
    # name: (fast, with Pillow, values, mean difference, largest difference)
    'brightness': (
        fast_ops.adjust_brightness,
        pil_ops.adjust_brightness,
        (0.0, 0.6, 1.0, 1.37),
        0.01,
        1,
    ),
    'contrast': (
        fast_ops.adjust_contrast,
        pil_ops.adjust_contrast,
        (0.0, 0.6, 1.0, 1.37),
        0.02,
        1,
    ),
    'saturation': (
        fast_ops.adjust_saturation,
        pil_ops.adjust_saturation,
        (0.0, 0.6, 1.0, 1.37),
        0.02,
        1,
    ),
    'hue': (
        fast_ops.adjust_hue,
        pil_ops.adjust_hue,
        (-0.1, -0.03, 0.07, 0.1),
        0.7,
        14,
    ),
    'grey': (
        lambda img, _: fast_ops.to_grey(img),
        lambda img, _: pil_ops.rgb_to_grayscale(img, 3),
        (None,),
        0.005,
        1,
    ),
    'blur': (
        lambda img, sigma: fast_ops.gaussian_blur(img, sigma)[8:-8, 8:-8],
        lambda img, sigma: img.filter(blur(sigma)).crop((8, 8, 216, 216)),
        (0.1, 0.37, 1.0, 1.41, 1.5, 2.0),
        0.8,
        4,
    ),
}


@pytest.mark.parametrize('name', OPERATIONS)
def test_as_pillow(name):
    fast, slow, values, mean, largest = OPERATIONS[name]
    img = picture()
    before = img.copy()
    for value in values:
        ours = fast(img, value)
        theirs = with_pillow(img, lambda p, v=value: slow(p, v))
        difference = np.abs(ours.astype(int) - theirs)
        assert ours.dtype == np.uint8
        assert difference.mean() <= mean, value
        assert difference.max() <= largest, value
    assert np.array_equal(img, before), 'the image of the caller stays as it is'


@pytest.mark.parametrize(
    ('height', 'width'), [(375, 500), (300, 80), (60, 400), (255, 255)]
)
def test_resize_as_pillow(height, width):
    whole = picture(height + 20, width + 10)
    img = whole[3 : 3 + height, 5 : 5 + width]
    ours = fast_ops.resize(img, (255, 240))
    theirs = with_pillow(img, lambda p: p.resize((240, 255), Image.BICUBIC))
    difference = np.abs(ours.astype(int) - theirs)
    assert ours.shape == (255, 240, 3) and ours.flags.c_contiguous
    # Up to here where Pillow filters columns first; otherwise a hundredth of it.
    assert difference.mean() <= 0.3 and difference.max() <= 20


def test_resize_is_antialiased():
    """Stripes finer than the result can show become grey, not other stripes."""
    stripes = np.zeros((510, 510, 3), np.uint8)
    stripes[:, ::2] = 255
    small = fast_ops.resize(stripes, (170, 170))
    aliased = cv2.resize(stripes, (170, 170), interpolation=cv2.INTER_CUBIC)
    assert small[:, 4:-4].std() < 5 < 100 < aliased.std()


@pytest.mark.parametrize('sigma', [0.0, 0.1, 0.7, 1.41, 1.42, 2.0, 5.0])
def test_taps_have_the_variance_of_the_gaussian(sigma):
    taps = fast_ops.blur_taps(sigma)
    places = np.arange(len(taps)) - len(taps) // 2
    assert len(taps) % 2 == 1
    assert taps.sum() == pytest.approx(1)
    assert np.allclose(taps, taps[::-1])
    assert (taps * places**2).sum() == pytest.approx(sigma**2, abs=1e-9)


def test_blur_neither_brightens_nor_darkens():
    for sigma in np.linspace(0.1, 2, 20):
        for level in (0, 7, 128, 255):
            flat = np.full((20, 20, 3), level, np.uint8)
            assert (fast_ops.gaussian_blur(flat, float(sigma)) == level).all()


def test_hue_comes_back_after_a_full_circle():
    """Half a circle twice is where it began, up to the roundings."""
    img = picture()
    twice = fast_ops.adjust_hue(fast_ops.adjust_hue(img, 0.5), 0.5)
    assert np.abs(twice.astype(int) - img).mean() < 3
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 2] = 255
    third = fast_ops.adjust_hue(red, 1 / 3)[0, 0]
    assert third.argmax() == 1, 'a third of a circle after red is green'


def test_planes_are_the_transposed_image():
    img = picture(30, 40)
    for part in (img, img[2:21, 3:30]):
        planes = fast_ops.to_planes(part)
        assert planes.is_contiguous()
        assert torch.equal(planes, torch.from_numpy(part.copy()).permute(2, 0, 1))


def test_grey_weighs_as_bgr():
    blue = np.zeros((2, 2, 3), np.uint8)
    blue[..., 0] = 255
    assert fast_ops.to_grey(blue)[0, 0, 0] == math.floor(0.114 * 255 + 0.5)
