"""Reading images of any depth and number of channels, and what follows on it."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import DATASETS, MODELS
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from torch.utils.data import DataLoader

from cmae_mm.datasets import LoadMultibandImage, PixelShift
from cmae_mm.datasets.refused import Refused

CONFIG = Path(__file__).parents[2] / 'configs/_base_/datasets/multiband_two-views.py'


def pixels(channels, dtype=np.uint8, size=(11, 17)):
    """An image with other values in each channel, up to the end of the range."""
    rng = np.random.default_rng(channels)
    if np.dtype(dtype).kind == 'f':
        return rng.normal(0, 1000, (*size, channels)).astype(dtype)
    high = np.iinfo(dtype).max
    return rng.integers(0, high, (*size, channels), dtype=dtype, endpoint=True)


def write_bands(path, image, planes=False, **options):
    """Write a TIFF of (H, W, channels), without calling the channels RGB."""
    tifffile = pytest.importorskip('tifffile')
    tifffile.imwrite(
        path,
        np.moveaxis(image, -1, 0) if planes else image,
        planarconfig='separate' if planes else 'contig',
        photometric='minisblack',
        **options,
    )


def load(path, channels):
    return LoadMultibandImage(channels)(dict(img_path=str(path)))


def check(results, expected):
    """The channels of the file; 8 bits as they are, all others as float32."""
    image = results['img']
    assert image.dtype == (np.uint8 if expected.dtype == np.uint8 else np.float32)
    assert image.flags.c_contiguous
    assert np.array_equal(image, expected.astype(np.float32))
    assert results['img_shape'] == results['ori_shape'] == expected.shape[:2]


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_png_by_opencv(channels, dtype, tmp_path):
    image = pixels(channels, dtype)
    swapped = image[..., [2, 1, 0, 3][:channels]] if channels > 1 else image
    cv2.imwrite(str(tmp_path / 'a.png'), swapped)  # takes BGR and BGRA
    check(load(tmp_path / 'a.png', channels), image)


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_png_by_pillow(channels, tmp_path):
    """Another library's idea of RGB."""
    image = pixels(channels)
    Image.fromarray(image.squeeze()).save(tmp_path / 'a.png')
    check(load(tmp_path / 'a.png', channels), image)


def test_grey_jpeg(tmp_path):
    grey = np.full((8, 8, 1), 77, np.uint8)
    Image.fromarray(grey[..., 0]).save(tmp_path / 'a.jpg')
    check(load(tmp_path / 'a.jpg', 1), grey)


class TestTiff:
    @pytest.fixture(autouse=True)
    def _needs_tifffile(self):
        self.tifffile = pytest.importorskip('tifffile')

    @pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
    @pytest.mark.parametrize('channels', [1, 3])
    def test_written_by_opencv(self, channels, dtype, tmp_path):
        image = pixels(channels, dtype)
        no_compression = [cv2.IMWRITE_TIFF_COMPRESSION, 1]
        cv2.imwrite(str(tmp_path / 'a.tif'), image[..., ::-1], no_compression)
        check(load(tmp_path / 'a.tif', channels), image)

    def test_one_band_per_page_written_by_pillow(self, tmp_path):
        image = pixels(5, np.uint16)
        pages = [Image.fromarray(image[..., band]) for band in range(5)]
        pages[0].save(tmp_path / 'a.tiff', save_all=True, append_images=pages[1:])
        check(load(tmp_path / 'a.tiff', 5), image)

    @pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int16, np.float64])
    @pytest.mark.parametrize('channels', [2, 4, 12])
    @pytest.mark.parametrize('planes', [False, True])
    @pytest.mark.parametrize('order', ['<', '>'])
    def test_bands(self, channels, dtype, planes, order, tmp_path):
        image = pixels(channels, dtype)
        if dtype == np.float64:
            image = image.round()  # exact in float32
        options = dict(planes=planes, byteorder=order, bigtiff=channels == 12)
        write_bands(tmp_path / 'a.tif', image, **options)
        check(load(tmp_path / 'a.tif', channels), image)

    def test_deflated_and_tiled(self, tmp_path):
        image = pixels(12, np.uint16, size=(40, 50))
        options = dict(tile=(16, 16), compression='zlib')
        write_bands(tmp_path / 'a.tif', image, **options)
        check(load(tmp_path / 'a.tif', 12), image)

    def test_largest_level_of_a_pyramid(self, tmp_path):
        image = pixels(2, np.uint16, size=(32, 48))
        options = dict(photometric='minisblack', planarconfig='contig')
        with self.tifffile.TiffWriter(tmp_path / 'a.tif') as tif:
            tif.write(image, subifds=1, **options)
            tif.write(image[::2, ::2], subfiletype=1, **options)
        check(load(tmp_path / 'a.tif', 2), image)

    def test_a_stack_of_images_explains_itself(self, tmp_path):
        stack = np.zeros((5, 8, 9, 3), np.uint8)
        self.tifffile.imwrite(tmp_path / 'a.tif', stack, photometric='rgb')
        with pytest.raises(ValueError, match=r'a.tif has the axes .*\(5, 8, 9, 3\)'):
            load(tmp_path / 'a.tif', 3)

    def test_cut_off_file_explains_itself(self, tmp_path):
        write_bands(tmp_path / 'a.tif', pixels(12))
        path = tmp_path / 'a.tif'
        for length in (5, 100):
            path.write_bytes(path.read_bytes()[:length])
            with pytest.raises(Refused, match='a.tif .* cannot be read as TIFF'):
                load(path, 12)

    @pytest.mark.parametrize('hole', [np.nan, np.inf])
    def test_pixels_without_data_explain_themselves(self, hole, tmp_path):
        image = pixels(2, np.float32)
        image[3, 4, 1] = hole
        write_bands(tmp_path / 'a.tif', image)
        with pytest.raises(Refused, match='a.tif holds NaN or infinity'):
            load(tmp_path / 'a.tif', 2)

    def test_complex_numbers_explain_themselves(self, tmp_path):
        image = np.zeros((8, 9), np.complex64)
        self.tifffile.imwrite(tmp_path / 'a.tif', image)
        with pytest.raises(ValueError, match='a.tif holds complex64'):
            load(tmp_path / 'a.tif', 1)


def test_tiff_without_tifffile_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tifffile', None)
    cv2.imwrite(str(tmp_path / 'a.tif'), pixels(1))
    with pytest.raises(ImportError, match='pip install tifffile'):
        load(tmp_path / 'a.tif', 1)


def test_another_number_of_channels_explains_itself(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), pixels(4, np.uint16))
    with pytest.raises(ValueError) as error:
        load(tmp_path / 'a.png', 12)
    message = str(error.value)
    assert 'a.png has 4 channels (11x17, uint16)' in message
    assert 'channels=12 are expected' in message and 'in_channels=4' in message


@pytest.mark.parametrize('content', [b'no image', None])
def test_damaged_files_explain_themselves(content, tmp_path):
    path = tmp_path / 'a.png'
    if content is None:
        cv2.imwrite(str(path), pixels(1))
        content = path.read_bytes()[:20]
    path.write_bytes(content)
    with pytest.raises(Refused, match=rf'a.png \({len(content)} bytes\)'):
        load(path, 1)
    path.write_bytes(b'')
    with pytest.raises(Refused, match='a.png cannot be read: it is empty'):
        load(path, 1)


def test_impossible_number_of_channels_explains_itself():
    with pytest.raises(ValueError, match='channels=0'):
        LoadMultibandImage(0)


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
@pytest.mark.parametrize('channels', [1, 2, 4, 12])
class TestGeometry:
    """The steps of the config do to all channels what they do to each alone."""

    def alone(self, step, image):
        """The step on each channel as an image of its own."""
        results = []
        for channel in range(image.shape[2]):
            np.random.seed(0)
            results.append(step(dict(img=image[..., channel]))['img'])
        return np.stack(results, axis=-1)

    def together(self, step, image):
        np.random.seed(0)
        return step(dict(img=image))['img'].reshape(*self.shape, image.shape[2])

    def compare(self, step, image, shape):
        self.shape = shape
        together, alone = self.together(step, image), self.alone(step, image)
        assert together.dtype == image.dtype
        if image.dtype == np.uint8:  # OpenCV rounds differently by channels
            together, alone = together.astype(int), alone.astype(int)
            assert abs(together - alone).max() <= 1
        else:
            np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-2)

    @pytest.mark.parametrize('scale', [8, 40])
    def test_random_resized_crop(self, scale, channels, dtype):
        step = dict(Config.fromfile(CONFIG).train_pipeline[1], scale=scale)
        step = TRANSFORMS.build(step)
        self.compare(step, pixels(channels, dtype), (scale, scale))

    def test_random_flip(self, channels, dtype):
        step = TRANSFORMS.build(dict(type='RandomFlip', prob=1.0))
        image = pixels(channels, dtype)
        self.compare(step, image, image.shape[:2])
        assert np.array_equal(step(dict(img=image))['img'], image[:, ::-1])

    def test_pixel_shift(self, channels, dtype):
        step = PixelShift(size=6, shift_range=(0, 5))
        self.compare(step, pixels(channels, dtype), (6, 6))


def small_config(data_root, channels):
    """The base config at 16 px."""
    cfg = Config.fromfile(CONFIG)
    dataset = cfg.train_dataloader.dataset
    dataset.data_root = str(data_root)
    pipeline = dataset.pipeline
    pipeline[0].channels = channels
    pipeline[1].scale = 20
    for view in pipeline[3].transforms:
        view[0].size = 16
    pipeline[3].transforms[1][0].shift_range = (0, 5)
    return cfg


def first_batch(cfg):
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    return next(iter(DataLoader(dataset, batch_size=2, collate_fn=default_collate)))


def write_images(folder, channels, dtype):
    for number in range(2):
        image = pixels(channels, dtype, size=(30, 40)) // (number + 1)
        if channels in (1, 3, 4):
            cv2.imwrite(str(folder / f'{number}.png'), image)
        else:
            write_bands(folder / f'{number}.TIF', image)


@pytest.mark.parametrize(
    ('channels', 'dtype'),
    [(1, np.uint16), (3, np.uint8), (4, np.uint8), (4, np.uint16), (12, np.uint16)],
)
def test_from_files_to_two_normalised_views(channels, dtype, tmp_path):
    write_images(tmp_path, channels, dtype)
    data = first_batch(small_config(tmp_path, channels))
    high = float(np.iinfo(dtype).max)
    preprocessor = MODELS.build(
        dict(
            type='cmae_mm.MultibandDataPreprocessor',
            mean=[high / 2] * channels,
            std=[high / 4] * channels,
        )
    )
    views = preprocessor(data, training=True)['inputs']
    assert len(views) == 2
    for view in views:
        assert view.shape == (2, channels, 16, 16)
        assert view.dtype == torch.float32
        assert 0.1 < view.std() < 2


def test_master_crop_is_shared_by_the_views(tmp_path):
    """Not RGB, so the second view is the first one, shifted."""
    write_images(tmp_path, 4, np.uint16)
    view, shifted = first_batch(small_config(tmp_path, 4))['inputs']
    offsets = [
        (down, right)
        for down in range(5)
        for right in range(5)
        if torch.equal(
            view[0, :, down:, right:], shifted[0, :, : 16 - down, : 16 - right]
        )
    ]
    assert len(offsets) == 1
