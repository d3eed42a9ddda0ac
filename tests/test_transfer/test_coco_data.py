"""Objects in COCO's format: what is found, and what is refused before a training."""

import json
import shutil

import pytest

from cmae_mm.transfer.coco_data import read_coco


@pytest.fixture
def change(few_scenes, tmp_path):
    """Change the annotations of a copy of the scenes; returns its folder."""

    def write(split='train', **parts):
        root = tmp_path / 'data'
        if not root.exists():
            shutil.copytree(few_scenes / 'scenes', root)
        file = root / f'annotations/instances_{split}.json'
        content = json.loads(file.read_text())
        for name, new in parts.items():
            content[name] = new(content[name])
        file.write_text(json.dumps(content))
        return root

    return write


def first(**values):
    """Give the first entry of a list other values."""
    return lambda entries: [{**entries[0], **values}, *entries[1:]]


def without(key):
    return lambda entries: [{k: v for k, v in e.items() if k != key} for e in entries]


def test_what_is_found(few_scenes):
    data = read_coco(few_scenes / 'scenes')
    assert data.classes == ('triangle', 'square', 'disc', 'star', 'cross', 'ring')
    assert data.images == dict(train=24, val=12) and data.side == 64
    assert data.folders == dict(train='images/train', val='images/val')
    assert data.masks and data.without_mask == 0


def test_images_without_objects_do_not_count_in_training(change):
    root = change(annotations=lambda all: [a for a in all if a['image_id'] < 10])
    kept = json.loads((root / 'annotations/instances_train.json').read_text())
    with_objects = {a['image_id'] for a in kept['annotations']}
    assert read_coco(root).images['train'] == len(with_objects) < 24


def test_one_object_without_outline_means_boxes(change):
    data = read_coco(change(annotations=first(segmentation=[])))
    assert not data.masks and data.without_mask == 1


@pytest.mark.parametrize(
    ('parts', 'complaint'),
    [
        (dict(annotations=lambda _: []), 'has no annotations'),
        (dict(images=lambda _: []), 'has no images'),
        (dict(annotations=first(category_id=99)), r'1 annotations.*category_id.*: 99;'),
        (dict(annotations=first(image_id=9999)), r'1 annotations.*image_id.*: 9999;'),
        (dict(images=without('width')), 'an entry of images has no width'),
        (dict(images=lambda all: [*all, all[0]]), 'images stand there more than once'),
        (dict(categories=first(name='square')), 'several categories are called square'),
        (dict(categories=first(name='heart')), 'categories of train and val differ'),
    ],
)
def test_what_is_refused(change, parts, complaint):
    with pytest.raises(ValueError, match=complaint):
        read_coco(change(**parts))


def test_files_that_are_missing_or_no_json(change):
    root = change(images=first(file_name='gone.jpg'))
    with pytest.raises(FileNotFoundError, match='1 of the 24 images.*gone.jpg'):
        read_coco(root)
    file = root / 'annotations/instances_val.json'
    for text in ('', '{'):
        file.write_text(text)
        with pytest.raises(ValueError, match='val.json is not JSON'):
            read_coco(root)
    file.write_text('[]')
    with pytest.raises(ValueError, match='holds no dict'):
        read_coco(root)
    file.unlink()
    with pytest.raises(FileNotFoundError, match='no file .*instances_val.json'):
        read_coco(root)
    shutil.rmtree(root / 'images')
    with pytest.raises(FileNotFoundError, match='neither a folder train nor'):
        read_coco(root)
