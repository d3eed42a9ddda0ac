"""Miniature archives of ImageNet's structure: 3 classes, 4 + 2 images each."""

import io
import tarfile
import zlib

import numpy as np
import pytest
from PIL import Image

from cmae_mm.preparation import extraction, imagenet
from cmae_mm.preparation.archives import ArchiveError

CLASSES = ['n01440764', 'n01443537', 'n15075141']
# As in the real kit: the numbers are in no order of names, inner nodes have some too.
IDS = {2: 'n01440764', 3: 'n01443537', 1: 'n15075141', 4: 'n00001740'}
TRUTH = [1, 2, 2, 3, 1, 3]  # of validation images 1 to 6
EXPECTED = imagenet.Expected(classes=3, train=12, val=6)


def jpeg(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (9, 11, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'JPEG')
    return buffer.getvalue()


def tar_of(files, mode='w'):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def devkit(ids=IDS, truth=TRUTH, key='synsets', table_bytes=slice(None)):
    savemat = pytest.importorskip('scipy.io').savemat
    fields = [('ILSVRC2012_ID', 'O'), ('WNID', 'O'), ('num_children', 'O')]
    rows = [(number, wnid, int(number > 3)) for number, wnid in ids.items()]
    table = np.array(rows, dtype=fields)[:, None]
    buffer = io.BytesIO()
    savemat(buffer, {key: table})
    root = 'ILSVRC2012_devkit_t12/data'
    lines = ''.join(f'{number}\n' for number in truth)
    return tar_of(
        {
            f'{root}/meta.mat': buffer.getvalue()[table_bytes],
            f'{root}/ILSVRC2012_validation_ground_truth.txt': lines.encode(),
            'ILSVRC2012_devkit_t12/readme.txt': b'read me',
        },
        mode='w:gz',
    )


def train_files():
    return {
        f'{wnid}/{wnid}_{n}.JPEG': jpeg(10 * c + n)
        for c, wnid in enumerate(CLASSES)
        for n in range(4)
    }


def val_files():
    return {f'ILSVRC2012_val_{n:08}.JPEG': jpeg(100 + n) for n in range(1, 7)}


@pytest.fixture
def archives(tmp_path):
    folder = tmp_path / 'archives'
    folder.mkdir()
    tars = {
        f'{wnid}.tar': tar_of(
            {n[10:]: c for n, c in train_files().items() if n.startswith(wnid)}
        )
        for wnid in CLASSES
    }
    (folder / imagenet.TRAIN).write_bytes(tar_of(tars))
    (folder / imagenet.VAL).write_bytes(tar_of(val_files()))
    (folder / imagenet.DEVKIT).write_bytes(devkit())
    return folder


def prepared(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def expected_files():
    wanted = {f'train/{name}': content for name, content in train_files().items()}
    for name, content in val_files().items():
        wnid = IDS[TRUTH[int(name[15:23]) - 1]]
        wanted[f'val/{wnid}/{name}'] = content
    return wanted


def wrong(findings):
    return {finding.what: finding for finding in findings if not finding.good}


def test_train_and_val_get_one_folder_per_class(archives, tmp_path):
    imagenet.prepare(archives, tmp_path / 'out', EXPECTED)
    assert prepared(tmp_path / 'out') == expected_files()
    assert wrong(imagenet.check(tmp_path / 'out', None, EXPECTED)) == {}


def test_mmpretrain_reads_the_result(archives, tmp_path):
    from mmpretrain.datasets import ImageNet

    imagenet.prepare(archives, tmp_path / 'out', EXPECTED)
    val = ImageNet(data_root=str(tmp_path / 'out'), split='val', classes=CLASSES)
    infos = [val.get_data_info(index) for index in range(len(val))]
    labels = {info['img_path'][-13:-5]: info['gt_label'] for info in infos}
    for number, truth in enumerate(TRUTH, start=1):
        assert labels[f'{number:08}'] == CLASSES.index(IDS[truth])


@pytest.mark.parametrize('stop_at', [2, 6, 12, 15])
def test_broken_off_anywhere_it_goes_on(stop_at, archives, tmp_path, monkeypatch):
    copy, written = extraction.copyfileobj, []

    def copy_and_die(source, sink, length):
        if len(written) == stop_at:
            sink.write(source.read(100))
            raise KeyboardInterrupt
        written.append(sink.name)
        copy(source, sink, length)

    monkeypatch.setattr(extraction, 'copyfileobj', copy_and_die)
    with pytest.raises(KeyboardInterrupt):
        imagenet.prepare(archives, tmp_path / 'out', EXPECTED)
    findings = wrong(imagenet.check(tmp_path / 'out', None, EXPECTED))
    assert findings, 'it is not complete yet'
    decoded = [f for what, f in findings.items() if 'decoded' in what]
    assert all(f.found == 'none' for f in decoded), 'nothing is damaged'

    stop_at = 99
    imagenet.prepare(archives, tmp_path / 'out', EXPECTED)
    assert prepared(tmp_path / 'out') == expected_files()
    assert len(written) == len(expected_files()), 'each file was written once'


def test_missing_archives_leave_the_rest_done_and_are_named(archives, tmp_path):
    (archives / imagenet.DEVKIT).unlink()
    imagenet.prepare(archives, tmp_path / 'out', EXPECTED)
    findings = wrong(imagenet.check(tmp_path / 'out', None, EXPECTED))
    assert set(findings) == {
        'val: classes',
        'val: images',
        'val: images decoded',
        'classes in one split only',
    }
    assert (findings['val: images'].found, findings['val: images'].expected) == (0, 6)
    assert imagenet.DEVKIT in findings['val: images'].mend


def test_too_few_classes_are_found(archives, tmp_path):
    tars = {f'{wnid}.tar': tar_of({f'{wnid}_1.JPEG': jpeg(1)}) for wnid in CLASSES[:2]}
    (archives / imagenet.TRAIN).write_bytes(tar_of(tars))
    imagenet.prepare(archives, tmp_path / 'out', EXPECTED)
    findings = wrong(imagenet.check(tmp_path / 'out', None, EXPECTED))
    assert findings['train: classes'].found == 2
    assert findings['train: images'].found == 2
    assert findings['classes in one split only'].found == 1


@pytest.mark.parametrize('share', [0.2, 0.5, 0.75])
def test_cut_off_training_archive_is_told_of(share, archives, tmp_path):
    path = archives / imagenet.TRAIN
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ArchiveError, match='img_train.tar cannot be read beyond n'):
        imagenet.prepare(archives, tmp_path / 'out', EXPECTED)
    assert not (tmp_path / 'out/train').exists()


def test_damaged_class_in_a_whole_archive_is_named(archives, tmp_path):
    path = archives / imagenet.TRAIN
    inner = tar_of({'n01440764_1.JPEG': jpeg(1)})
    path.write_bytes(tar_of({'n01440764.tar': inner[:600]}))
    with pytest.raises(ArchiveError, match='n01440764.tar in ILSVRC2012_img_train.tar'):
        imagenet.prepare(archives, tmp_path / 'out', EXPECTED)


@pytest.mark.parametrize(
    ('kit', 'message'),
    [
        (dict(truth=TRUTH[:4]), 'classes of 4 validation images, 6 are expected'),
        (dict(truth=[1, 2, 2, 3, 1, 77]), r'classes \[77\]'),
        (dict(truth=[1, 2, 'two', 3, 1, 3]), r"ground_truth.txt in .* b'two'"),
        (dict(key='classes'), "meta.mat in .*KeyError: 'synsets'"),
        (dict(table_bytes=slice(300)), 'meta.mat in .* cannot be understood'),
        (dict(table_bytes=slice(5)), 'meta.mat in .* cannot be understood'),
    ],
)
def test_wrong_kit_explains_itself(kit, message, archives, tmp_path):
    (archives / imagenet.DEVKIT).write_bytes(devkit(**kit))
    with pytest.raises(ArchiveError, match=message):
        imagenet.prepare(archives, tmp_path / 'out', EXPECTED)


def test_flipped_bytes_of_the_kit_explain_themselves(archives):
    path = archives / imagenet.DEVKIT
    content, refused = path.read_bytes(), 0
    places = range(0, len(content), 7)
    for place in places:
        flipped = bytes([content[place] ^ 0xFF])
        path.write_bytes(content[:place] + flipped + content[place + 1 :])
        try:
            imagenet.validation_classes(path)
        except ArchiveError as error:
            assert path.name in str(error)
            refused += 1
    assert refused > len(places) / 2


def test_a_member_that_cannot_be_read_is_named(archives, monkeypatch):
    """The list is made of headers; the contents are read after it."""

    def fail(self, *args):
        raise zlib.error('invalid distance')

    monkeypatch.setattr(tarfile.ExFileObject, 'read', fail)
    with pytest.raises(ArchiveError, match=r'meta.mat in .*t12.tar.gz is damaged'):
        imagenet.validation_classes(archives / imagenet.DEVKIT)


def test_kit_without_table_explains_itself(archives):
    (archives / imagenet.DEVKIT).write_bytes(tar_of({imagenet.TRUTH: b'1'}, 'w:gz'))
    with pytest.raises(ArchiveError, match='and holds ILSVRC2012_validation'):
        imagenet.validation_classes(archives / imagenet.DEVKIT)


@pytest.mark.parametrize('name', ['photo.JPEG', 'ILSVRC2012_val_00000007.JPEG'])
def test_foreign_validation_images_explain_themselves(name, archives, tmp_path):
    (archives / imagenet.VAL).write_bytes(tar_of({**val_files(), name: jpeg(0)}))
    with pytest.raises(ArchiveError, match=f'holds .{name}'):
        imagenet.prepare(archives, tmp_path / 'out', EXPECTED)
    assert not (tmp_path / 'out/val').exists()


def test_damaged_images_are_named_and_mended(archives, tmp_path):
    imagenet.prepare(archives, tmp_path / 'out', EXPECTED)
    path = tmp_path / 'out/train/n01443537/n01443537_2.JPEG'
    path.write_bytes(path.read_bytes()[:-150])
    findings = wrong(imagenet.check(tmp_path / 'out', None, EXPECTED))
    assert set(findings) == {'train: images decoded'}
    assert findings['train: images decoded'].found == '11 of 12'
    assert str(path) in findings['train: images decoded'].mend

    imagenet.prepare(archives, tmp_path / 'out', EXPECTED)
    assert prepared(tmp_path / 'out') == expected_files()


def test_too_small_a_disk_counts_what_is_there(archives, tmp_path, monkeypatch):
    free = [0]
    usage = type('Usage', (), {'free': property(lambda self: free[0])})()
    monkeypatch.setattr(extraction.shutil, 'disk_usage', lambda folder: usage)
    with pytest.raises(ArchiveError, match='img_train.tar needs'):
        imagenet.prepare(archives, tmp_path / 'out', EXPECTED)
    assert not (tmp_path / 'out').exists()

    free[0] = 1 << 30
    imagenet.unpack_train(archives / imagenet.TRAIN, tmp_path / 'out/train')
    (tmp_path / 'out/train/n01440764/n01440764_0.JPEG').unlink()
    # The class tars weigh more than the images in them, by their headers.
    total = sum(len(content) for content in train_files().values())
    free[0] = (archives / imagenet.TRAIN).stat().st_size - total + 1000
    imagenet.unpack_train(archives / imagenet.TRAIN, tmp_path / 'out/train')


def test_looks_like(archives, tmp_path):
    imagenet.prepare(archives, tmp_path / 'out', EXPECTED)
    assert imagenet.looks_like(tmp_path / 'out')
    assert not imagenet.looks_like(tmp_path)
    assert not imagenet.looks_like(tmp_path / 'nowhere')


def test_official_numbers():
    official = imagenet.EXPECTED
    assert (official.classes, official.train, official.val) == (1000, 1281167, 50000)
