"""Label maps: what is found, and what is refused before a training."""

import numpy as np
import pytest
from PIL import Image

from cmae_mm.transfer.label_maps import read_label_maps


@pytest.fixture
def street(tmp_path):
    """Three and one pictures of 12x8 with labels 0, 1, 2 and 255."""
    for split, count in (('training', 3), ('validation', 1)):
        for number in range(count):
            write(tmp_path, split, f'{number}', np.arange(96).reshape(8, 12) % 3)
    return tmp_path


def write(root, split, name, labels, mode=np.uint8):
    for kind in ('images', 'annotations'):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
    labels = labels.astype(mode)
    labels[0, 0] = 255
    image = np.zeros((8, 12, 3), np.uint8)
    Image.fromarray(image).save(root / f'images/{split}/{name}.jpg')
    Image.fromarray(labels).save(root / f'annotations/{split}/{name}.png')


def test_what_is_found(street):
    data = read_label_maps(street)
    assert data.images == dict(train=3, val=1) and data.suffixes == ('.jpg', '.png')
    assert data.folders['val'] == ('images/validation', 'annotations/validation')
    assert data.classes == ('class 0', 'class 1', 'class 2') and not data.named
    assert data.side == 8
    reduced = read_label_maps(street, reduce_zero_label=True)
    assert reduced.classes == ('class 1', 'class 2')


def test_names_of_the_classes(street):
    names = street / 'classes.txt'
    names.write_text('road\ncar\n\nsky\ntree\n')
    data = read_label_maps(street)
    assert data.classes == ('road', 'car', 'sky', 'tree') and data.named
    names.write_text('road\ncar\n')
    with pytest.raises(ValueError, match=r'4 label maps.*\(0 to 1\).*for example 2 in'):
        read_label_maps(street)
    assert read_label_maps(street, reduce_zero_label=True).classes == ('road', 'car')
    names.write_text('road\nroad\ncar\n')
    with pytest.raises(ValueError, match='twice: road'):
        read_label_maps(street)


def test_folders_called_train_and_labels(street, few_scenes):
    data = read_label_maps(few_scenes / 'scenes')
    assert data.folders['train'] == ('images/train', 'labels/train')
    assert len(data.classes) == 7


def test_names_that_do_not_pair(street):
    (street / 'images/training/1.jpg').rename(street / 'images/training/new.jpg')
    with pytest.raises(ValueError, match='1 of 3 images have no counterpart.*: new'):
        read_label_maps(street)
    (street / 'images/training/new.jpg').unlink()
    with pytest.raises(ValueError, match='1 of 3 label maps have no counterpart.*: 1'):
        read_label_maps(street)


def test_maps_that_are_none(street):
    file = street / 'annotations/training/1.png'
    good = file.read_bytes()
    Image.new('RGB', (12, 8)).save(file)
    with pytest.raises(ValueError, match='mode RGB.*one channel'):
        read_label_maps(street)
    Image.new('L', (8, 12)).save(file)
    with pytest.raises(ValueError, match='has 8x12 pixels, its image 12x8'):
        read_label_maps(street)
    file.write_bytes(good[:45])
    with pytest.raises(ValueError, match='1.png cannot be read'):
        read_label_maps(street)
    write(street, 'training', '1', np.full((8, 12), 300), np.uint16)
    with pytest.raises(ValueError, match='255 classes at most'):
        read_label_maps(street)
    write(street, 'training', '1', np.zeros((8, 12)))
    (street / 'images/training/2.jpg').rename(street / 'images/training/2.jpeg')
    with pytest.raises(ValueError, match='found: those of .jpeg, .jpg'):
        read_label_maps(street)


def test_a_single_class_and_no_folders(street, tmp_path):
    for file in street.rglob('*.png'):
        Image.new('L', (12, 8)).save(file)
    with pytest.raises(ValueError, match='1 classes; two or more'):
        read_label_maps(street)
    with pytest.raises(FileNotFoundError, match='has not the folders'):
        read_label_maps(street / 'images')
