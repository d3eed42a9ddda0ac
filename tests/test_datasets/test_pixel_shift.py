import numpy as np
import pytest

from cmae_mm.datasets import PixelShift


def ramp(height=20, width=30):
    """A picture in which every pixel tells its place."""
    rows, cols = np.mgrid[:height, :width]
    return np.stack([rows, cols, rows + cols], axis=-1).astype(np.uint8)


def test_crop_equals_the_slice():
    shift = PixelShift(size=(12, 10), shift_range=(0, 9))
    for _ in range(50):
        results = shift(dict(img=ramp()))
        down, right = results['pixel_shift']
        expected = ramp()[down : down + 12, right : right + 10]
        assert np.array_equal(results['img'], expected)
        assert results['img_shape'] == (12, 10)


def test_offsets_reach_both_ends_of_the_range_and_no_further():
    shift = PixelShift(size=10, shift_range=(2, 7))
    np.random.seed(0)
    drawn = [shift(dict(img=ramp()))['pixel_shift'] for _ in range(500)]
    for axis in zip(*drawn, strict=True):
        assert set(axis) == {2, 3, 4, 5, 6}
    assert any(down != right for down, right in drawn)  # independent axes


def test_no_shift_is_the_top_left_corner():
    results = PixelShift(size=10, shift_range=(0, 1))(dict(img=ramp()))
    assert np.array_equal(results['img'], ramp()[:10, :10])


def test_default_range_is_the_papers():
    shift = PixelShift(size=224)
    np.random.seed(0)
    drawn = {shift.draw_offset()[0] for _ in range(2000)}
    assert (min(drawn), max(drawn)) == (0, 30)


def test_an_image_that_just_fits_is_enough():
    shift = PixelShift(size=(12, 22), shift_range=(0, 9))
    assert shift(dict(img=ramp()))['img'].shape == (12, 22, 3)


@pytest.mark.parametrize('size', [13, (12, 23), 40])
def test_too_small_an_image_explains_itself(size):
    with pytest.raises(ValueError, match='an image of 20x30, but a view of'):
        PixelShift(size=size, shift_range=(0, 9))(dict(img=ramp()))


@pytest.mark.parametrize('shift_range', [(5, 5), (7, 3), (-1, 4), (3,)])
def test_impossible_ranges_explain_themselves(shift_range):
    with pytest.raises(ValueError, match='shift_range='):
        PixelShift(size=10, shift_range=shift_range)


@pytest.mark.parametrize('size', [0, (10, 0), (1, 2, 3)])
def test_impossible_sizes_explain_themselves(size):
    with pytest.raises(ValueError, match='size='):
        PixelShift(size=size)


def test_repr_can_be_read():
    assert repr(PixelShift(8, (0, 3))) == 'PixelShift(size=(8, 8), shift_range=(0, 3))'
