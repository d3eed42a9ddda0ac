import numpy as np

from cmae_mm.monitor.drawing import COLOURS, column, enlarge, heat, match_row, row
from cmae_mm.monitor.hook import choose_patches


def test_small_pictures_are_enlarged_by_whole_pixels():
    image = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
    large = enlarge(image)
    assert large.shape == (192, 192, 3)
    assert np.array_equal(large[3::6, 3::6], image)
    assert enlarge(np.zeros((224, 224, 3), np.uint8)).shape == (224, 224, 3)


def test_rows_and_columns_have_thin_white_gaps():
    dark = np.zeros((10, 20, 3), np.uint8)
    both = column([row([dark, dark]), row([dark, dark])])
    assert both.shape == (24, 44, 3)
    assert (both[10:14] == 255).all() and (both[:, 20:24] == 255).all()
    assert both.sum() == 255 * 3 * (24 * 44 - 4 * 200)


def test_heat_is_bright_where_it_is_alike():
    image = np.full((4, 4, 3), 100, np.uint8)
    out = heat(image, np.array([[1.0, 0.5], [0.0, -1.0]])).astype(int).sum(axis=2)
    assert out[0, 0] > out[0, 3] > out[3, 0] == out[3, 3]


def test_true_place_and_best_match_are_outlined():
    grey = np.full((200, 200, 3), 60, np.uint8)
    maps = np.zeros((1, 16))
    maps[0, 5] = 1  # second row, second column
    out = match_row(grey, grey, maps, np.array([3]), np.array([[2.5, 0.0]]), (4, 4))
    view, tile = out[:, :200], out[:, 204:]
    assert tile.shape == (200, 200, 3)
    assert view[0, 150].tolist() == list(COLOURS[0])  # fourth patch
    assert tile[50, 75].tolist() == [255, 255, 255]  # best match
    assert tile[125, 25].tolist() == list(COLOURS[0])  # true place
    unknown = match_row(
        grey, grey, maps, np.array([3]), np.full((1, 2), np.nan), (4, 4)
    )
    assert (unknown[:, 204:] == COLOURS[0]).all(axis=-1).sum() == 0


def test_patches_with_detail_inside_of_the_target_are_chosen():
    image = np.zeros((16, 16, 3), np.uint8)
    image[0:2, 4:8] = 200  # patch 1
    image[12:14, 0:4] = 200  # patch 12
    ids, inside = np.arange(16), np.zeros((16, 2))
    chosen = choose_patches(image, ids, inside, (4, 4))
    assert chosen[0] == 1 and chosen[2] == 12 and len(chosen) == 3
    outside = inside.copy()
    outside[1] = -1
    assert choose_patches(image, ids, outside, (4, 4))[0] != 1
