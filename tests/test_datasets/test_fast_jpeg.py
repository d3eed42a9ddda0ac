"""Decoding no more than needed gives the pixels of the whole image."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from cmae_mm.datasets import jpeg


def picture(height, width):
    rng = np.random.default_rng(0)
    soft = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC)


def save(img, mode='RGB', **options):
    out = io.BytesIO()
    Image.fromarray(img).convert(mode).save(out, 'JPEG', **options)
    return out.getvalue()


def with_opencv(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


needs_simplejpeg = pytest.mark.skipif(
    jpeg.simplejpeg is None, reason='pip install simplejpeg'
)


@needs_simplejpeg
@pytest.mark.parametrize('subsampling', [0, 1, 2])  # 4:4:4, 4:2:2, 4:2:0
@pytest.mark.parametrize('rows', [1, 16, 50, 79, 80, 100])
def test_first_rows_are_those_of_the_whole_image(subsampling, rows):
    data = save(picture(100, 133), subsampling=subsampling)
    frame = jpeg.read_frame(data)
    assert frame[:2] == (100, 133)
    part = jpeg.decode_rows(data, frame, rows)
    whole = with_opencv(data)
    assert rows <= len(part) <= 100
    assert np.array_equal(part[:rows], whole[:rows])
    if rows < 50:
        assert len(part) < 100, 'fewer rows were decoded'


@needs_simplejpeg
def test_grey_files_become_bgr():
    data = save(picture(40, 30), mode='L')
    part = jpeg.decode_rows(data, jpeg.read_frame(data), 40)
    assert np.array_equal(part, with_opencv(data))


@needs_simplejpeg
@pytest.mark.parametrize('rows', [20, 100])
def test_a_file_that_ends_too_early_keeps_what_it_has(rows):
    data = save(picture(100, 133))
    cut = data[: len(data) * 3 // 4]
    part = jpeg.decode_rows(cut, jpeg.read_frame(cut), rows)
    assert np.array_equal(part[:20], with_opencv(data)[:20])


def test_files_that_need_all_rows_are_left_to_opencv():
    img = picture(40, 30)
    png = cv2.imencode('.png', img)[1].tobytes()
    sideways = Image.Exif()
    sideways[0x0112] = 6
    for data in (
        png,
        save(img, progressive=True),
        save(img, mode='CMYK'),
        save(img, exif=sideways),
        save(img)[:60],
        b'',
    ):
        assert jpeg.read_frame(data) is None


def damaged_inside():
    """The last rows of blocks are missing, the end marker is not."""
    data = save(picture(100, 133))
    return data[: len(data) * 3 // 4] + data[-2:]


@needs_simplejpeg
def test_damage_inside_is_heard_of():
    for options in ({}, dict(progressive=True), dict(mode='CMYK'), dict(mode='L')):
        assert jpeg.find_damage(save(picture(100, 133), **options)) is None
    assert jpeg.find_damage(save(picture(100, 133)) + b'more') is None
    assert 'remature end' in jpeg.find_damage(damaged_inside())
    assert jpeg.find_damage(b'hello') == '', 'nothing that it could say'


def test_without_simplejpeg_nothing_is_said_of_damage(monkeypatch):
    monkeypatch.setattr(jpeg, 'simplejpeg', None)
    assert jpeg.find_damage(damaged_inside()) == ''
