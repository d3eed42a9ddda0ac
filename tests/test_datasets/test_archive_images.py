"""Images in archives are those of the folder, to every reader and in every process."""

import os
import tarfile
import zipfile
from functools import lru_cache

import cv2
import numpy as np
import pytest
import torch
from mmengine import fileio
from mmengine.dataset import default_collate
from mmengine.registry import DATASETS
from mmpretrain.datasets import CustomDataset
from torch.utils.data import DataLoader

from cmae_mm.datasets import EndlessBatchSampler, SeededSampler, archive_backend
from cmae_mm.datasets.archive_images import ArchiveImages
from cmae_mm.datasets.image_folder import UnlabelledImages

FILES = ['b/2.png', 'a/one.JPG', 'a/é ü.jpg', 'b/10.jpg', 'a.b/x.y.jpg', 'a/2.png']
FAST = [
    dict(type='cmae_mm.FastMasterCrop', scale=40),
    dict(type='cmae_mm.TwoViews', size=32, shift_range=(0, 9), colour={}),
    dict(type='PackInputs', meta_keys=('sample_idx',)),
]
REFERENCE = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=40, backend='pillow'),
    dict(type='PackInputs'),
]


@pytest.fixture
def folder(tmp_path):
    """Pictures in class folders, with what other files there may be."""
    root = tmp_path / 'folder'
    rng = np.random.default_rng(0)
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        img = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        data = cv2.imencode(os.path.splitext(name)[1], img)[1]
        (root / name).write_bytes(data.tobytes())
    (root / 'a/notes.txt').write_text('no image')
    (root / 'a/._one.JPG').write_bytes(b'of macOS')
    return root


def write_zip(path, folder, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, 'w', method) as archive:
        for file in sorted(folder.rglob('*'), reverse=True):
            archive.write(file, file.relative_to(folder))


def write_tar(path, folder, name='.', **options):
    with tarfile.open(path, 'w', **options) as archive:
        archive.add(folder, name)


def write_tar_of_tars(path, folder):
    """As the archive of ImageNet: one archive for each class."""
    with tarfile.open(path, 'w') as archive:
        for part in sorted(folder.iterdir()):
            inner = path.with_name(f'{part.name}.tar')
            write_tar(inner, part)
            archive.add(inner, inner.name)
            inner.unlink()


WRITERS = {
    'stored.zip': write_zip,
    'deflated.zip': lambda p, f: write_zip(p, f, zipfile.ZIP_DEFLATED),
    'gnu.tar': lambda p, f: write_tar(p, f, format=tarfile.GNU_FORMAT),
    'pax.tar': lambda p, f: write_tar(p, f, format=tarfile.PAX_FORMAT),
    'below.tar': lambda p, f: write_tar(p, f, name='/some/where'),
    'nested.tar': write_tar_of_tars,
}


@pytest.fixture(params=WRITERS)
def archive(request, folder):
    """The same pictures in an archive."""
    path = folder.parent / request.param
    WRITERS[request.param](path, folder)
    return path


def build(archives, folder, **options):
    return ArchiveImages(archives, data_root=str(folder), **options)


def contents(dataset):
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [(fileio.get(info['img_path']), info.get('gt_label')) for info in infos]


def test_images_and_labels_are_those_of_the_folder(archive, folder):
    theirs = CustomDataset(data_root=str(folder), serialize_data=False)
    hidden = [i for i in range(len(theirs)) if '._' in theirs[i]['img_path']]
    expected = [c for i, c in enumerate(contents(theirs)) if i not in hidden]
    ours = build(archive.name, folder.parent, with_label=True)
    # Their order is by folder, ours by path, where '.' comes before '/'.
    assert sorted(contents(ours)) == sorted(expected)
    assert ours.metainfo['classes'] == theirs.metainfo['classes'] == ('a', 'a.b', 'b')
    assert len(ours) == len(FILES)
    unlabelled = UnlabelledImages(data_root=str(folder), serialize_data=False)
    without = build(archive.name, folder.parent)
    assert contents(without) == contents(unlabelled), 'in the same order'


def test_names_are_kept(archive, folder):
    paths = [info['img_path'] for info in build(archive.name, folder.parent)]
    assert len(paths) == len(FILES)
    for path, name in zip(paths, sorted(FILES), strict=True):
        assert path.startswith('archive://') and path.endswith(f'/{name}')


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg'])
def test_registry_builds_it_from_every_scope(scope, folder):
    from mmengine.registry import init_default_scope

    write_tar(folder.parent / 'x.tar', folder)
    init_default_scope(scope)
    cfg = dict(
        type='cmae_mm.ArchiveImages', data_root=str(folder.parent), archives='*.tar'
    )
    assert type(DATASETS.build(cfg)) is ArchiveImages


def batches(dataset, workers, epoch=0, count=4):
    sampler = SeededSampler(dataset, seed=11)
    sampler.set_epoch(epoch)
    loader = DataLoader(
        dataset,
        batch_sampler=EndlessBatchSampler(sampler, 3, True),
        num_workers=workers,
        collate_fn=default_collate,
    )
    iterator = iter(loader)
    return [next(iterator)['inputs'] for _ in range(count)]


def same(first, second):
    return all(
        torch.equal(a, b)
        for one, two in zip(first, second, strict=True)
        for a, b in zip(one, two, strict=True)
    )


@pytest.mark.parametrize('archive', ['deflated.zip', 'gnu.tar'], indirect=True)
def test_training_on_an_archive_is_training_on_the_folder(archive, folder):
    """The same views in the same batches, with any number of workers, and later on."""
    expected = batches(UnlabelledImages(data_root=str(folder), pipeline=FAST), 0)
    dataset = build(archive.name, folder.parent, pipeline=FAST)
    assert same(batches(dataset, 0), expected)
    # Both workers get the file that this process has opened.
    assert same(batches(dataset, 2), expected)
    assert same(batches(dataset, 1, epoch=1, count=2), expected[2:])
    assert not same(expected[:2], expected[2:])


@pytest.mark.parametrize('archive', ['deflated.zip', 'gnu.tar'], indirect=True)
def test_reference_pipeline_reads_archives(archive, folder):
    views = []
    for dataset in (
        UnlabelledImages(data_root=str(folder), pipeline=REFERENCE),
        build(archive.name, folder.parent, pipeline=REFERENCE),
    ):
        np.random.seed(0)
        views.append(dataset[1]['inputs'])
    assert torch.equal(*views)


def test_shards_follow_each_other_and_share_their_classes(folder):
    for n, part in enumerate(('b', 'a.b', 'a')):
        write_tar(folder.parent / f'train-{n}.tar', folder / part, name=part)
    dataset = build('train-*.tar', folder.parent, with_label=True)
    names = [info['img_path'].split('/./')[1] for info in dataset]
    assert [name.split('/')[0] for name in names] == 2 * ['b'] + ['a.b'] + 3 * ['a']
    assert [info['gt_label'] for info in dataset] == [2, 2, 1, 0, 0, 0]
    data = [fileio.get(info['img_path']) for info in dataset]
    assert data == [(folder / name).read_bytes() for name in names]
    # Now their indices lie beside them.
    assert len(build('train-*', folder.parent)) == len(FILES)
    listed = build(['train-2.tar', 'train-0.tar'], folder.parent, with_label=True)
    assert [info['gt_label'] for info in listed] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize('archive', ['gnu.tar'], indirect=True)
def test_parts_as_mmengine_takes_them(archive, folder):
    whole = contents(build(archive.name, folder.parent))
    assert contents(build(archive.name, folder.parent, indices=3)) == whole[:3]
    assert contents(build(archive.name, folder.parent, indices=[4, 1])) == [
        whole[4],
        whole[1],
    ]
    assert contents(build(archive.name, folder.parent).get_subset(-2)) == whole[-2:]


def test_more_archives_than_may_be_open(folder, monkeypatch):
    """What is pushed out of the open ones is closed, and opened again when needed."""
    monkeypatch.setattr(
        archive_backend, '_open', lru_cache(2)(archive_backend._Archive)
    )
    for n in range(5):
        write_tar(folder.parent / f'{n}.tar', folder / 'a')
    dataset = build('?.tar', folder.parent)
    before = len(os.listdir('/dev/fd'))
    assert contents(dataset) == 5 * contents(dataset)[:3]
    assert len(os.listdir('/dev/fd')) - before == 2


def test_missing_archive_explains_itself(tmp_path):
    with pytest.raises(FileNotFoundError, match='no archive .*nothing-.*relative to'):
        build('nothing-*.tar', tmp_path)


def test_images_without_a_folder_have_no_label(folder):
    write_tar(folder.parent / 'flat.tar', folder / 'a')
    with pytest.raises(ValueError, match='flat.tar: 3 of the 3 images have no label'):
        build('flat.tar', folder.parent, with_label=True)
    assert 'gt_label' not in build('flat.tar', folder.parent)[0]
