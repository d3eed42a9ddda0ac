"""What crop and shift do to images: by formula here, by drawing and counting there."""

from itertools import product
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmpretrain.datasets.transforms import RandomResizedCrop

from cmae_mm.planning.views import look_at_views, share_enlarged, share_in_common


@pytest.mark.parametrize('shift_range', [(0, 1), (0, 4), (2, 5), (0, 12)])
def test_share_in_common_is_that_of_counted_pixels(shift_range):
    """All shifts of a view of 6x9; the last range also pushes it off the other."""
    height, width = 6, 9
    counted = []
    for down, right in product(range(*shift_range), repeat=2):
        shown = np.zeros((40, 40, 2), bool)
        shown[:height, :width, 0] = True
        shown[down : down + height, right : right + width, 1] = True
        counted.append(shown.all(-1).sum() / (height * width))
    expected = (min(counted), np.mean(counted), max(counted))
    assert share_in_common((height, width), shift_range) == pytest.approx(expected)


@pytest.mark.parametrize('ratio_range', [(0.2, 1.0), (0.1, 0.3)])
def test_share_enlarged_is_that_of_drawn_crops(ratio_range):
    """Squares, so that every crop of the drawn area fits."""
    sizes, scale = [(100, 100), (60, 60), (300, 300)], (50, 50)
    crop = RandomResizedCrop(
        scale, crop_ratio_range=ratio_range, aspect_ratio_range=(1.0, 1.0)
    )
    np.random.seed(0)
    drawn = []
    for height, width in sizes:
        image = SimpleNamespace(shape=(height, width))
        for _ in range(3000):
            *_, h, w = crop.rand_crop_params(image)
            drawn.append(h * w < scale[0] * scale[1])
    expected = pytest.approx(np.mean(drawn), abs=0.02)
    assert share_enlarged(sizes, scale, ratio_range) == expected


def test_crops_of_one_area_are_enlarged_or_not():
    assert share_enlarged([(10, 10), (40, 40)], (20, 20), (1.0, 1.0)) == 0.5


TWO_STEPS = [
    dict(type='cmae_mm.FastMasterCrop', scale=40),
    dict(type='cmae_mm.TwoViews', size=32, shift_range=(0, 5)),
]
ONE_BY_ONE = [
    dict(type='cmae_mm.LoadImage'),
    dict(type='RandomResizedCrop', scale=40, crop_ratio_range=(0.2, 1.0)),
    dict(
        type='MultiView',
        num_views=[1, 1],
        transforms=[
            [dict(type='cmae_mm.PixelShift', size=32, shift_range=(0, 1))],
            [dict(type='cmae_mm.PixelShift', size=32, shift_range=(0, 5))],
        ],
    ),
]


@pytest.fixture
def pictures(tmp_path):
    """Ten of 100x120, and a file that is none."""
    for i in range(10):
        cv2.imwrite(str(tmp_path / f'{i}.png'), np.zeros((100, 120, 3), np.uint8))
    (tmp_path / 'bad.png').write_bytes(b'bad')
    return tmp_path


@pytest.mark.parametrize('pipeline', [TWO_STEPS, ONE_BY_ONE])
@pytest.mark.parametrize('wrapped', [False, True])
def test_it_reads_any_pipeline_of_two_views(pictures, pipeline, wrapped):
    images = dict(
        type='cmae_mm.UnlabelledImages', data_root=str(pictures), pipeline=pipeline
    )
    if wrapped:
        joined = dict(type='ConcatDataset', datasets=[images])
        images = dict(type='RepeatDataset', times=2, dataset=joined)
    (finding,) = look_at_views(DATASETS.build(Config(images)))
    assert finding.status == 'ok'
    # (1 - 4/32)^2 and (1 - 2/32)^2.
    shared = 'shifted by 0 to 4 of 32x32 pixels, both show the same 77% to 100%, 88% on'
    assert shared in finding.text
    known = 20 if wrapped else 10
    assert f'of 100x120 (median of {known}), 0% of the crops' in finding.text


def test_small_images_are_noted(pictures):
    pipeline = [TWO_STEPS[0] | dict(scale=109), TWO_STEPS[1]]
    images = dict(
        type='cmae_mm.UnlabelledImages', data_root=str(pictures), pipeline=pipeline
    )
    (finding,) = look_at_views(DATASETS.build(Config(images)))
    # Crops of less than 109 * 109 of 12000 pixels: (0.9901 - 0.2) / 0.8.
    assert finding.status == 'note' and '99% of the crops' in finding.text
    assert 'take a smaller view' in finding.text


def test_one_view_and_data_of_ones_own_say_nothing(pictures):
    one = dict(
        type='cmae_mm.UnlabelledImages', data_root=str(pictures), pipeline=TWO_STEPS[:1]
    )
    assert [*look_at_views(DATASETS.build(Config(one)))] == []
    assert [*look_at_views([1, 2, 3])] == []
