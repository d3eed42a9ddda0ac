"""Scanning a folder: what is found, what is said, what is not done twice."""

import csv
import json
import os
import signal
import time

import cv2
import numpy as np
import pytest

from cmae_mm.datasets import jpeg
from cmae_mm.datasets.decoder import ImageDecoder
from cmae_mm.datasets.image_folder import UnlabelledImages
from cmae_mm.guards import scan as scanning
from cmae_mm.guards.scan import find_images, scan_folder
from cmae_mm.guards.scan_report import describe, write_lists


def picture(height=20, width=30, seed=0):
    rng = np.random.default_rng(seed)
    soft = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC)


def encode(ending, **options):
    return cv2.imencode(ending, picture(**options))[1].tobytes()


@pytest.fixture
def folder(tmp_path):
    """Class folders and images beside them; three bad ones, two alike."""
    photo = encode('.jpg', height=90, width=120)
    files = {
        'n01/a.jpg': photo,
        'n01/deep/copy of a.JPEG': photo,
        'n02/png named.jpg': encode('.png', seed=1),
        'n02/tiny.png': encode('.png', height=1, width=2),
        'wide.webp': encode('.webp', width=200, seed=2),
        'n01/cut.jpg': photo[:-9],
        'n02/empty.png': b'',
        'n02/inside.jpg': photo[: len(photo) // 2] + photo[-2:],
        'notes.txt': b'hello',
        'n01/.hidden.jpg': b'hidden',
        '.cache/x.png': b'hidden',
    }
    folder = tmp_path / 'data'
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / 'gone.jpg').symlink_to('nowhere')
    return folder


def run(folder, workers=1, **policy):
    out = folder.parent / 'out'
    scan = scan_folder(folder, out / 'state.jsonl', ImageDecoder(**policy), workers)
    write_lists(scan, out)
    return scan, {record.name: record for record in scan.records}


def read(folder, name):
    with (folder.parent / 'out' / name).open(newline='') as text:
        return list(csv.DictReader(text))


@pytest.fixture
def threads():
    """OpenCV has threads at work, which forked processes lack and would wait for."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    cv2.resize(picture(), (3000, 3000), interpolation=cv2.INTER_CUBIC)
    time.sleep(0.2)  # until they wait for more
    yield
    assert cv2.getNumThreads() == 2, 'as before'
    cv2.setNumThreads(before)


@pytest.mark.usefixtures('threads')
@pytest.mark.parametrize('workers', [1, 3])
def test_every_image_is_found_and_judged(folder, workers):
    scan, records = run(folder, workers)
    assert {name: r.kind for name, r in records.items() if r.kind} == {
        'n01/cut.jpg': 'cut off',
        'n02/empty.png': 'empty',
        'gone.jpg': 'missing',
        **({'n02/inside.jpg': 'suspect'} if jpeg.simplejpeg else {}),
    }
    assert scan.others == {'.txt': 1} and scan.known == 0
    good = records['n02/png named.jpg']
    assert (good.format, good.height, good.width) == ('PNG', 20, 30)
    assert good.size == (folder / good.name).stat().st_size
    assert records['n01/a.jpg'].digest == records['n01/deep/copy of a.JPEG'].digest
    digests = {record.digest for record in scan.records}
    assert len(digests) == 7, 'one for two alike, one for two that cannot be read'


def test_images_are_those_of_the_data_set(folder):
    """But for links that lead nowhere, which a data set passes over."""
    names = {record.name for record in find_images(folder)[0]}
    dataset = UnlabelledImages(data_root=str(folder), pipeline=[])
    paths = {dataset.get_data_info(i)['img_path'] for i in range(len(dataset))}
    assert {str(folder / name) for name in names} == {*paths, str(folder / 'gone.jpg')}


def test_the_lists_say_the_same(folder):
    scan, _ = run(folder)
    bad = {row['path']: row for row in read(folder, 'bad.csv')}
    assert {'n01/cut.jpg', 'n02/empty.png', 'gone.jpg'} <= set(bad)
    assert bad['n02/empty.png'] == dict(
        path='n02/empty.png', kind='empty', reason='it is empty', bytes='0'
    )
    twice = read(folder, 'duplicates.csv')
    assert [row['path'] for row in twice] == ['n01/a.jpg', 'n01/deep/copy of a.JPEG']
    assert len({row['content'] for row in twice}) == 1
    out = folder.parent / 'out'
    dataset = UnlabelledImages(
        data_root=str(folder), ann_file=str(out / 'good.json'), pipeline=[]
    )
    assert len(dataset) == len(scan.records) - 3


def test_the_report_says_it_in_lines(folder):
    text = '\n'.join(describe(run(folder)[0]))
    for expected in (
        '9 images below',
        '6 can be used, 3 are refused',
        'Formats: 3 JPEG, 2 PNG, 1 WebP',
        'Refused: 1 missing, 1 cut off, 1 empty',
        'n01/cut.jpg: its end is missing',
        'Of another format than they say: 1 (n02/png named.jpg is PNG)',
        'Duplicates: 1, of 1 images',
        'Not looked at: 1 .txt',
        'Smallest: 2x1 n02/tiny.png',
        'Largest: 120x90 ',
    ):
        assert expected in text
    assert ('Suspect' in text) and ('inside.jpg: decoded, but' in text) == bool(
        jpeg.simplejpeg
    )


@pytest.fixture
def examined(monkeypatch):
    """Counts images that are really looked at; they are not decoded in processes."""
    names = []

    def examine_all(images, folder, decoder, workers):
        for image in images:
            names.append(image.name)
            yield [scanning.examine(image, folder, decoder)]

    monkeypatch.setattr(scanning, 'examine_all', examine_all)
    return names


def test_a_second_scan_looks_at_what_is_new_changed_or_refused(folder, examined):
    first, _ = run(folder)
    assert len(examined) == 9
    examined.clear()
    (folder / 'new.png').write_bytes(encode('.png'))
    (folder / 'wide.webp').write_bytes(b'spoilt')
    (folder / 'n02/tiny.png').unlink()
    second, records = run(folder)
    refused = ['n01/cut.jpg', 'n02/empty.png', 'gone.jpg']
    assert sorted(examined) == sorted(['new.png', 'wide.webp', *refused])
    assert second.known == 4
    assert 'n02/tiny.png' not in records and records['wide.webp'].kind == 'no image'
    unchanged = set(first.records) & set(second.records)
    assert len(unchanged) == 7, 'also those that were read again'


def test_a_stopped_scan_goes_on(folder, examined, monkeypatch):
    examine = scanning.examine

    def stop_at_fifth(image, *rest):
        if len(examined) == 5:
            raise KeyboardInterrupt
        return examine(image, *rest)

    monkeypatch.setattr(scanning, 'examine', stop_at_fifth)
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    state = folder.parent / 'out/state.jsonl'
    assert len(state.read_text().split()) >= 5
    state.write_text(state.read_text()[:-7])  # killed in the middle of a line
    monkeypatch.setattr(scanning, 'examine', examine)
    before = len(examined)
    scan, _ = run(folder)
    assert 0 < scan.known < 9 and len(examined) - before == 9 - scan.known
    known = scan.known
    scan, _ = run(folder)
    assert scan.known == 6 > known, 'the line after the torn one counts'


def test_other_rules_begin_anew(folder):
    run(folder)
    scan, records = run(folder, max_pixels=3000)
    assert scan.known == 0
    assert records['n01/a.jpg'].kind == records['wide.webp'].kind == 'too large'


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='processes that are forked')
def test_an_image_that_kills_its_decoder_is_found(folder, monkeypatch):
    examine = scanning.examine

    def die(image, *rest):
        if image.name == 'wide.webp':
            os.kill(os.getpid(), signal.SIGKILL)
        return examine(image, *rest)

    monkeypatch.setattr(scanning, 'examine', die)
    monkeypatch.setattr(scanning, '_JOB', 2)
    scan, records = run(folder, workers=2)
    assert len(scan.records) == 9
    assert [r.name for r in scan.records if r.kind == 'crash'] == ['wide.webp']
    assert records['n01/a.jpg'].format == 'JPEG'


def test_links_in_a_circle_end(folder):
    (folder / 'n01/again').symlink_to(folder)
    assert len(find_images(folder)[0]) == 9


def test_names_keep_their_bytes(folder):
    name = os.fsdecode(b'no UTF-8 \xff,\n.png')
    for file in folder.rglob('*.*'):
        if file.is_file():
            file.unlink()
    (folder / name).write_bytes(b'')
    scan, records = run(folder)
    assert set(records) == {name, 'gone.jpg'}
    '\n'.join(describe(scan)).encode('utf-8')
    text = (folder.parent / 'out/bad.csv').read_bytes()
    assert os.fsencode(name) in text
    assert json.loads((folder.parent / 'out/good.json').read_text()) == []


def test_a_folder_without_images_says_what_it_has(tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/1.dcm').touch()
    with pytest.raises(ValueError, match='no images below .*: 1 .dcm'):
        run(tmp_path / 'data')
    with pytest.raises(FileNotFoundError, match='no folder .*nowhere'):
        run(tmp_path / 'nowhere')
