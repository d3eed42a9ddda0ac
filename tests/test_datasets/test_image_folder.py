import json

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS

from cmae_mm.datasets.image_folder import UnlabelledImages

TREE = [
    'a.jpg',
    'b/2.PNG',
    'b/10.tiff',
    'b/c/deep/1.webp',
    'b/c/x.BMP',
    'z.ppm',
]
OTHERS = ['notes.txt', 'b/scan.dcm', '.hidden.jpg', '.thumbnails/a.jpg', 'b/a.jpg.part']


@pytest.fixture
def folder(tmp_path):
    for name in TREE + OTHERS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def paths(dataset):
    return [dataset.get_data_info(n)['img_path'] for n in range(len(dataset))]


def write_list(folder, content, name='images.json'):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text)
    return name


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg'])
def test_registry_builds_it_from_every_scope(scope, folder):
    from mmengine.registry import init_default_scope

    init_default_scope(scope)
    dataset = DATASETS.build(
        dict(type='cmae_mm.UnlabelledImages', data_root=str(folder))
    )
    assert type(dataset) is UnlabelledImages
    assert len(dataset) == len(TREE)


def test_finds_images_at_any_depth_in_a_fixed_order(folder):
    dataset = UnlabelledImages(data_root=str(folder))
    assert paths(dataset) == [str(folder / name) for name in sorted(TREE)]
    assert 'gt_label' not in dataset.get_data_info(0)


def test_prefix_chooses_a_part(folder):
    dataset = UnlabelledImages(data_root=str(folder), data_prefix='b/c')
    assert paths(dataset) == [str(folder / 'b/c' / n) for n in ('deep/1.webp', 'x.BMP')]


def test_extensions_can_be_chosen(folder):
    dataset = UnlabelledImages(data_root=str(folder), extensions=['.dcm', '.PNG'])
    assert paths(dataset) == [str(folder / 'b/2.PNG'), str(folder / 'b/scan.dcm')]


def test_tilde_is_the_home(folder, monkeypatch):
    monkeypatch.setenv('HOME', str(folder.parent))
    dataset = UnlabelledImages(data_root=f'~/{folder.name}')
    assert paths(dataset)[0] == str(folder / 'a.jpg')


def test_text_list_keeps_its_order(folder):
    name = write_list(folder, 'z.ppm\n\n  b/2.PNG\na.jpg\n', 'images.txt')
    dataset = UnlabelledImages(data_root=str(folder), ann_file=name)
    assert paths(dataset) == [str(folder / n) for n in ('z.ppm', 'b/2.PNG', 'a.jpg')]


@pytest.mark.parametrize(
    'entries',
    [
        ['c/x.BMP', '2.PNG'],
        [{'img_path': 'c/x.BMP'}, {'img_path': '2.PNG', 'gt_label': 3}],
        [{'filename': 'c/x.BMP'}, '2.PNG'],
    ],
)
def test_json_list_with_a_prefix(entries, folder):
    dataset = UnlabelledImages(
        data_root=str(folder), data_prefix='b', ann_file=write_list(folder, entries)
    )
    assert paths(dataset) == [str(folder / 'b/c/x.BMP'), str(folder / 'b/2.PNG')]


def test_list_of_absolute_paths_needs_no_folder(folder):
    name = write_list(folder, [str(folder / 'a.jpg')])
    dataset = UnlabelledImages(ann_file=str(folder / name))
    assert paths(dataset) == [str(folder / 'a.jpg')]


def test_missing_folder_explains_itself(tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder .*nowhere.* Set data_root'):
        UnlabelledImages(data_root=str(tmp_path / 'nowhere'))


def test_folder_without_images_says_what_it_has(tmp_path):
    for name in ('1.dcm', '2.DCM', 'README'):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match='2 .dcm, 1 no ending') as error:
        UnlabelledImages(data_root=str(tmp_path))
    assert '.tiff' in str(error.value)


def test_missing_list_explains_itself(folder):
    with pytest.raises(FileNotFoundError, match='no list .*nothing.txt'):
        UnlabelledImages(data_root=str(folder), ann_file='nothing.txt')


def test_first_five_missing_images_are_named(folder):
    names = ['a.jpg', *(f'nowhere/{n}.jpg' for n in range(6)), 'b/absent.png']
    name = write_list(folder, names)
    with pytest.raises(FileNotFoundError) as error:
        UnlabelledImages(data_root=str(folder), ann_file=name)
    message = str(error.value)
    assert message.startswith('7 of the 8 images')
    assert 'nowhere/4.jpg ...' in message
    assert 'nowhere/5.jpg' not in message and 'absent' not in message


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('[]', 'names no images'),
        ('{"images": []}', 'holds a dict'),
        ('["a.jpg", 7]', 'entry 1 is 7'),
        ('[{"path": "a.jpg"}]', "entry 0 is {'path': 'a.jpg'}"),
        ('["a.jpg"', 'is no JSON'),
    ],
)
def test_lists_that_cannot_be_understood_explain_themselves(content, message, folder):
    name = write_list(folder, content)
    with pytest.raises(ValueError, match=message):
        UnlabelledImages(data_root=str(folder), ann_file=name)


@pytest.mark.parametrize('name', ['images.txt', 'images.json'])
def test_a_list_may_begin_with_a_byte_order_mark(name, folder):
    text = '["z.ppm", "a.jpg"]' if name.endswith('json') else 'z.ppm\na.jpg\n'
    (folder / name).write_text(text, encoding='utf-8-sig')
    dataset = UnlabelledImages(data_root=str(folder), ann_file=name)
    assert paths(dataset) == [str(folder / n) for n in ('z.ppm', 'a.jpg')]


def test_a_list_in_utf_16_explains_itself(folder):
    (folder / 'images.txt').write_text('a.jpg\n', encoding='utf-16')
    with pytest.raises(ValueError, match='images.txt is not in UTF-8.*save it as UTF'):
        UnlabelledImages(data_root=str(folder), ann_file='images.txt')


@pytest.mark.parametrize('line', ['a.jpg 0', 'a.jpg,12', 'a.jpg\t3'])
def test_a_list_with_labels_gets_a_hint(line, folder):
    name = write_list(folder, f'{line}\n', 'images.txt')
    with pytest.raises(FileNotFoundError, match='take the labels away'):
        UnlabelledImages(data_root=str(folder), ann_file=name)
    name = write_list(folder, 'absent1.jpg\n', 'images.txt')
    with pytest.raises(FileNotFoundError) as error:
        UnlabelledImages(data_root=str(folder), ann_file=name)
    assert 'take the labels away' not in str(error.value)


def test_pipeline_gets_the_image(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.webp'), np.full((4, 6, 3), 9, np.uint8))
    dataset = UnlabelledImages(
        data_root=str(tmp_path),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    assert tuple(dataset[0]['inputs'].shape) == (3, 4, 6)
