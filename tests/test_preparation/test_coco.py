"""Miniature archives of COCO's structure: 3 + 2 images of 8x6."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from cmae_mm.preparation import coco

EXPECTED = coco.Expected(train2017=3, val2017=2, categories=2)
IMAGES = {'train2017': [9, 25, 30], 'val2017': [139, 285]}


def jpeg(seed, size=(6, 8)):
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'JPEG')
    return buffer.getvalue()


def annotations(split):
    return dict(
        images=[
            dict(id=number, file_name=f'{number:012}.jpg', width=8, height=6)
            for number in IMAGES[split]
        ],
        annotations=[
            dict(id=n, image_id=number, category_id=18, bbox=[1, 1, 2, 2])
            for n, number in enumerate(IMAGES[split])
        ],
        categories=[dict(id=1, name='person'), dict(id=18, name='dog')],
    )


def write_zip(path, files):
    with zipfile.ZipFile(path, 'w') as file:
        for name, content in files.items():
            file.writestr(name, content)


def write_archives(folder):
    for split, numbers in IMAGES.items():
        files = {f'{split}/{number:012}.jpg': jpeg(number) for number in numbers}
        write_zip(folder / f'{split}.zip', files)
    files = {
        f'annotations/instances_{split}.json': json.dumps(annotations(split))
        for split in IMAGES
    }
    write_zip(folder / 'annotations_trainval2017.zip', files)


@pytest.fixture
def archives(tmp_path):
    folder = tmp_path / 'archives'
    folder.mkdir()
    write_archives(folder)
    return folder


@pytest.fixture
def out(archives, tmp_path):
    coco.prepare(archives, tmp_path / 'coco', EXPECTED)
    return tmp_path / 'coco'


def wrong(out):
    found = coco.check(out, None, EXPECTED)
    return {finding.what: finding for finding in found if not finding.good}


def change_json(out, split, change):
    path = out / f'annotations/instances_{split}.json'
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_folders_are_those_the_configs_name(out):
    assert {path.relative_to(out).as_posix() for path in out.rglob('*.*')} == {
        'annotations/instances_train2017.json',
        'annotations/instances_val2017.json',
        'train2017/000000000009.jpg',
        'train2017/000000000025.jpg',
        'train2017/000000000030.jpg',
        'val2017/000000000139.jpg',
        'val2017/000000000285.jpg',
    }
    assert wrong(out) == {}
    assert coco.looks_like(out) and not coco.looks_like(out / 'train2017')


def test_missing_archives_leave_the_rest_done_and_are_named(archives, tmp_path):
    (archives / 'annotations_trainval2017.zip').unlink()
    coco.prepare(archives, tmp_path / 'coco', EXPECTED)
    findings = wrong(tmp_path / 'coco')
    assert set(findings) == {'instances_train2017.json', 'instances_val2017.json'}
    finding = findings['instances_val2017.json']
    assert 'FileNotFoundError' in finding.found
    assert 'annotations_trainval2017.zip' in finding.mend


def test_cut_off_json_is_found(out):
    path = out / 'annotations/instances_train2017.json'
    path.write_text(path.read_text()[:-20])
    findings = wrong(out)
    assert set(findings) == {path.name}
    assert 'JSONDecodeError' in findings[path.name].found


def test_json_of_something_else_is_found(out):
    path = out / 'annotations/instances_train2017.json'
    path.write_text('{"info": {}}')
    assert "KeyError: 'images'" in wrong(out)[path.name].found


def test_an_entry_without_file_name_is_found(out):
    change_json(out, 'val2017', lambda content: content['images'][1].pop('file_name'))
    findings = wrong(out)
    assert set(findings) == {'instances_val2017.json'}
    assert "KeyError: 'file_name'" in findings['instances_val2017.json'].found


def test_an_entry_without_width_is_found(out):
    change_json(out, 'val2017', lambda content: content['images'][1].pop('width'))
    finding = wrong(out)['val2017: images decoded']
    assert '(None, 6) in the JSON' in finding.mend


def test_a_lost_image_is_found(out):
    (out / 'train2017/000000000025.jpg').unlink()
    findings = wrong(out)
    assert set(findings) == {
        'train2017: images',
        'train2017: of these without file',
    }
    assert findings['train2017: images'].found == 2
    assert findings['train2017: of these without file'].found == 1


def test_an_image_without_entry_is_found(out):
    change_json(out, 'val2017', lambda content: content['images'].pop())
    findings = wrong(out)
    assert findings['val2017: images in the JSON'].found == 1
    assert findings['val2017: objects of no image or category'].found == 1


def test_an_object_without_category_is_found(out):
    change_json(out, 'val2017', lambda content: content['categories'].pop())
    findings = wrong(out)
    assert findings['val2017: categories'].found == 1
    assert findings['val2017: objects of no image or category'].found == 2


def test_an_image_of_another_size_is_named(out):
    path = out / 'train2017/000000000030.jpg'
    path.write_bytes(jpeg(0, size=(8, 6)))
    finding = wrong(out)['train2017: images decoded']
    assert f'{path} measures (6, 8), (8, 6) in the JSON' in finding.mend
    assert finding.found == '2 of 3'


def test_a_damaged_image_is_named(out):
    path = out / 'val2017/000000000139.jpg'
    path.write_bytes(path.read_bytes()[:-150])
    finding = wrong(out)['val2017: images decoded']
    assert finding.found == '1 of 2'
    assert str(path) in finding.mend


def test_official_numbers():
    official = coco.EXPECTED
    assert (official.train2017, official.val2017) == (118287, 5000)
    assert official.categories == 80
