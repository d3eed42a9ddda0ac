import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from cmae_mm.bridge.images import ImageRules
from cmae_mm.datasets.refused import Refused
from cmae_mm.features import Transform

RESIZE = dict(type='Resize', scale=(6, 4), backend='cv2', interpolation='nearest')
RULES = ImageRules((10.0, 20.0, 30.0), (1.0, 2.0, 4.0), steps=(RESIZE,))
# 4 rows, 6 columns: red left, blue right.
PIXELS = np.zeros((4, 6, 3), np.uint8)
PIXELS[:, :3, 0], PIXELS[:, 3:, 2] = 200, 100
WANTED = (
    torch.tensor([[190.0, -10.0], [-10.0, -10.0], [-7.5, 17.5]])
    .repeat_interleave(3, dim=1)[:, None]
    .expand(3, 4, 6)
)


@pytest.fixture
def transform():
    return Transform(RULES, (4, 6))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), PIXELS[..., ::-1])
    return path


def test_every_form_of_an_image_gives_the_same(transform, file):
    tensor = torch.from_numpy(PIXELS).permute(2, 0, 1)
    for image in (
        file,
        str(file),
        Image.open(file),
        Image.fromarray(PIXELS).convert('RGBA'),
        PIXELS,
        PIXELS[::-1][::-1],
        PIXELS / 255,
        tensor,
        tensor / 255,
    ):
        found = transform(image)
        assert found.dtype == torch.float32 and found.is_contiguous()
        torch.testing.assert_close(found, WANTED)
    assert torch.equal(transform([PIXELS, file]), torch.stack([WANTED] * 2))


def test_grey_is_spread(transform):
    grey = np.full((4, 6), 30, np.uint8)
    for image in (grey, grey[..., None].repeat(3, 2), Image.fromarray(grey)):
        found = transform(image)[:, 0, 0]
        torch.testing.assert_close(found, torch.tensor([20.0, 5.0, 0.0]))


def test_bgr_for_a_network_that_was_trained_so():
    rules = ImageRules(RULES.mean, RULES.std, order='bgr', steps=RULES.steps)
    found = Transform(rules, (4, 6))(PIXELS)[:, 0, 0]  # red comes last
    torch.testing.assert_close(found, torch.tensor([-10.0, -10.0, (200 - 30) / 4]))


def test_photos_are_turned_upright(transform, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    lying = Image.fromarray(np.rot90(PIXELS))
    lying.save(tmp_path / 'lying.png', exif=exif)
    for image in (tmp_path / 'lying.png', Image.open(tmp_path / 'lying.png')):
        torch.testing.assert_close(transform(image), WANTED)


def test_bands_stay_as_they_are(tmp_path):
    tifffile = pytest.importorskip('tifffile')
    rules = ImageRules((0.0,) * 5, (2.0,) * 5, bands=True, steps=(RESIZE,))
    bands = np.arange(4 * 6 * 5, dtype=np.uint16).reshape(4, 6, 5) * 100
    kind = dict(photometric='minisblack', planarconfig='contig')
    tifffile.imwrite(tmp_path / 'b.tif', bands, **kind)
    wanted = torch.from_numpy(bands.astype(np.float32)).permute(2, 0, 1) / 2
    transform = Transform(rules, (4, 6))
    for image in (
        tmp_path / 'b.tif',
        bands,
        torch.from_numpy(bands / 1).permute(2, 0, 1),
    ):
        assert torch.equal(transform(image), wanted)
    one = ImageRules((0.0,), (2.0,), bands=True, steps=(RESIZE,))
    assert torch.equal(Transform(one, (4, 6))(bands[..., 0]), wanted[:1])


@pytest.mark.parametrize(
    'image, error, match',
    [
        (np.zeros((4, 6, 4), np.uint8), ValueError, '3 channels, RGB'),
        (np.zeros((0, 6, 3), np.uint8), ValueError, '3 channels'),
        (np.zeros((4, 6, 3), np.int32), ValueError, 'expected is uint8'),
        (PIXELS.astype(float), ValueError, r'from 0 to 200.*in \[0, 1\]'),
        (PIXELS * float('nan'), ValueError, r'in \[0, 1\]'),
        (torch.zeros(2, 3, 4, 6), ValueError, 'as a list'),
        (Image.new('I;16', (6, 4)), ValueError, 'Give its path'),
        (3, TypeError, 'came as int'),
        ('no.png', Refused, 'no.png cannot be read: there is none'),
    ],
)
def test_what_is_no_image_is_said(transform, image, error, match):
    with pytest.raises(error, match=match):
        transform(image)
