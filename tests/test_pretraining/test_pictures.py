"""What is found in a folder before anything is trained."""

import cv2
import numpy as np
import pytest

from cmae_mm.pretraining.pictures import look_at


def write(folder, *sizes, start=0):
    folder.mkdir(parents=True, exist_ok=True)
    for i, size in enumerate(sizes, start):
        cv2.imwrite(str(folder / f'{i}.png'), np.zeros((*size, 3), np.uint8))


def test_images_at_any_depth_and_their_size(tmp_path):
    write(tmp_path / 'a/b/c', (40, 90), (60, 50))
    write(tmp_path / 'd', (200, 70))
    (tmp_path / 'notes.txt').write_text('no image')
    found = look_at(tmp_path)
    assert (found.folder, found.count) == (str(tmp_path), 3)
    assert found.short_side == 50, 'the median of 40, 50 and 70'


def test_of_many_some_are_looked_at(tmp_path):
    write(tmp_path, *[(20, 30)] * 150)
    assert (look_at(tmp_path).count, look_at(tmp_path).short_side) == (150, 20)


def test_what_cannot_be_read_does_not_count_unless_it_is_all(tmp_path):
    write(tmp_path, (40, 90), (44, 90))
    (tmp_path / 'bad.jpg').write_text('hello')
    assert look_at(tmp_path).short_side == 42
    for file in tmp_path.glob('*.png'):
        file.write_bytes(b'hello')
    with pytest.raises(ValueError, match='None of the 3 images .* it is text'):
        look_at(tmp_path)


def test_folders_that_cannot_be_meant(tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder .*nowhere'):
        look_at(tmp_path / 'nowhere')
    (tmp_path / 'a.jpg').write_bytes(b'')
    with pytest.raises(ValueError, match='is a file; a folder'):
        look_at(tmp_path / 'a.jpg')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='no images below .*no files'):
        look_at(tmp_path / 'empty')
    write(tmp_path / 'one', (30, 30))
    with pytest.raises(ValueError, match='1 image .* 2 are needed'):
        look_at(tmp_path / 'one')
