"""A miniature archive of ADE20K's structure: 3 + 2 images of 7x5."""

import io
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from cmae_mm.preparation import ade20k

EXPECTED = ade20k.Expected(training=3, validation=2, classes=6)
ROOT = 'ADEChallengeData2016'


def encoded(pixels, format):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format)
    return buffer.getvalue()


def files():
    rng = np.random.default_rng(0)
    found = {f'{ROOT}/objectInfo150.txt': b'1 wall', f'{ROOT}/sceneCategories.txt': b''}
    for split, short, number in (('training', 'train', 3), ('validation', 'val', 2)):
        for n in range(1, number + 1):
            name = f'ADE_{short}_{n:08}'
            image = rng.integers(0, 255, (5, 7, 3), dtype=np.uint8)
            labels = rng.integers(0, 7, (5, 7), dtype=np.uint8)
            found[f'{ROOT}/images/{split}/{name}.jpg'] = encoded(image, 'JPEG')
            found[f'{ROOT}/annotations/{split}/{name}.png'] = encoded(labels, 'PNG')
    return found


@pytest.fixture
def archives(tmp_path):
    folder = tmp_path / 'archives'
    folder.mkdir()
    with zipfile.ZipFile(folder / ade20k.ARCHIVE, 'w') as file:
        file.writestr(f'{ROOT}/', b'')
        for name, content in files().items():
            file.writestr(name, content)
    return folder


@pytest.fixture
def out(archives, tmp_path):
    ade20k.prepare(archives, tmp_path / 'ade', EXPECTED)
    return tmp_path / 'ade'


def wrong(out):
    found = ade20k.check(out, None, EXPECTED)
    return {finding.what: finding for finding in found if not finding.good}


def test_folders_are_those_of_the_archive(out):
    found = {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob('*')
        if path.is_file()
    }
    assert found == files()
    assert wrong(out) == {}
    assert ade20k.looks_like(out) and not ade20k.looks_like(out / ROOT)


def test_missing_archive_and_folder_are_counted_as_nothing(tmp_path):
    ade20k.prepare(tmp_path, tmp_path / 'ade', EXPECTED)
    findings = wrong(tmp_path / 'ade')
    assert findings['training: images'].found == 0
    assert findings['validation: maps'].found == 0
    assert ade20k.ARCHIVE in findings['training: images'].mend


def test_an_image_without_map_is_found(out):
    next((out / ROOT / 'annotations/validation').iterdir()).unlink()
    findings = wrong(out)
    assert set(findings) == {
        'validation: maps',
        'validation: images or maps alone',
    }
    assert findings['validation: images or maps alone'].found == 1


@pytest.mark.parametrize(
    ('pixels', 'message'),
    [
        (np.full((5, 7), 7, np.uint8), 'has the value 7, beyond 6'),
        (np.zeros((7, 5), np.uint8), r'measures \(5, 7\), its image \(7, 5\)'),
        (np.zeros((5, 7, 3), np.uint8), 'is of mode RGB'),
    ],
)
def test_wrong_maps_are_named(pixels, message, out):
    path = out / ROOT / 'annotations/training/ADE_train_00000002.png'
    Image.fromarray(pixels).save(path)
    finding = wrong(out)['training: pairs decoded']
    assert finding.found == '2 of 3'
    assert re.search(f'{path.name} {message}', finding.mend)


@pytest.mark.parametrize('folder', ['images/training', 'annotations/training'])
def test_damaged_files_are_named(folder, out):
    path = sorted((out / ROOT / folder).iterdir())[0]
    path.write_bytes(path.read_bytes()[:-30])
    finding = wrong(out)['training: pairs decoded']
    assert finding.found == '2 of 3'
    assert str(path) in finding.mend


def test_official_numbers():
    official = ade20k.EXPECTED
    assert (official.training, official.validation) == (20210, 2000)
    assert official.classes == 150
