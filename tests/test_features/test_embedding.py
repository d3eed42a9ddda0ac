import csv
import json

import cv2
import numpy as np
import pytest
import torch

import cmae_mm
from cmae_mm.bridge import ConversionError, UsageError
from cmae_mm.features import tables
from cmae_mm.features.embedding import embed


@pytest.fixture
def net(write_run, tiny_cfg):
    return cmae_mm.load(write_run(tiny_cfg))


@pytest.fixture
def folder(tmp_path):
    """Seven pictures in two classes, one of them damaged."""
    folder = tmp_path / 'pictures'
    for i in range(7):
        place = folder / ('cat' if i < 3 else 'dog/old')
        place.mkdir(parents=True, exist_ok=True)
        picture = np.random.default_rng(i).integers(0, 255, (20, 20, 3), np.uint8)
        cv2.imwrite(str(place / f'{i}.png'), picture)
    damaged = folder / 'dog/old/4.png'
    damaged.write_bytes(damaged.read_bytes()[:300])
    return folder


GOOD = [f'cat/{i}.png' for i in range(3)] + [f'dog/old/{i}.png' for i in (3, 5, 6)]


def read(file):
    """Paths, classes, vectors and metadata of a file of any kind."""
    if file.suffix == '.npz':
        held = np.load(file)
        meta = json.loads(str(held['meta']))
        return [*held['paths']], [*held['classes']], held['vectors'], meta
    if file.suffix == '.csv':
        _, *rows = csv.reader(file.open())
        vectors = np.array([row[2:] for row in rows], dtype=np.float32)
        return [row[0] for row in rows], [row[1] for row in rows], vectors, None
    parquet = pytest.importorskip('pyarrow.parquet')
    table = parquet.read_table(file)
    assert (
        str(table.schema.field('vector').type) == 'fixed_size_list<element: float>[16]'
    )
    vectors = table['vector'].combine_chunks().flatten().to_numpy().reshape(-1, 16)
    meta = json.loads(table.schema.metadata[b'cmae_mm'])
    return table['path'].to_pylist(), table['class'].to_pylist(), vectors, meta


@pytest.mark.parametrize('kind', ['parquet', 'npz', 'csv'])
def test_a_row_per_image_in_order(net, folder, tmp_path, monkeypatch, kind):
    if kind == 'parquet':
        pytest.importorskip('pyarrow')
    monkeypatch.setattr(tables, '_ROW_GROUP', 3)
    out = tmp_path / f'new/features.{kind}'
    done = embed(net, folder, out, batch_size=2)
    assert (done.written, done.classes) == (6, 2)
    paths, classes, vectors, meta = read(out)
    assert paths == GOOD and classes == ['cat'] * 3 + ['dog'] * 3
    wanted = net(net.transform([folder / name for name in GOOD])).vector
    torch.testing.assert_close(torch.tensor(vectors), wanted, atol=1e-6, rtol=1e-6)
    if meta:
        assert meta['checkpoint'] == 'epoch_1.pth' and len(meta['sha256']) == 64
        assert meta['network'].startswith('ViT of width 16') and meta['mean']
    listed = list(csv.DictReader((out.parent / f'{out.name}.refused.csv').open()))
    assert [row['path'] for row in listed] == ['dog/old/4.png']
    assert listed[0]['kind'] == 'cut off' and listed[0]['reason']
    assert {f.name for f in out.parent.iterdir()} == {
        out.name,
        f'{out.name}.refused.csv',
    }


def test_workers_change_nothing(net, folder, tmp_path):
    embed(net, folder, tmp_path / 'a.npz', batch_size=2)
    embed(net, folder, tmp_path / 'b.npz', batch_size=2, workers=2)
    assert (tmp_path / 'a.npz').read_bytes() == (tmp_path / 'b.npz').read_bytes()


def test_without_class_folders_there_are_no_classes(net, folder, tmp_path):
    (folder / 'cat/0.png').rename(folder / '0.png')
    (folder / 'dog/old/4.png').unlink()
    stale = tmp_path / 'x.npz.refused.csv'
    stale.write_text('of an earlier run')
    done = embed(net, folder, tmp_path / 'x.npz')
    paths, classes, _, _ = read(tmp_path / 'x.npz')
    assert paths[0] == '0.png' and set(classes) == {''} and not done.classes
    assert not stale.exists()


def test_nothing_readable_leaves_only_the_list(net, folder, tmp_path):
    for file in folder.rglob('*.png'):
        file.write_bytes(b'no picture')
    done = embed(net, folder, tmp_path / 'x.npz')
    assert done.written == 0 and len(done.refused) == 7
    assert not (tmp_path / 'x.npz').exists()
    assert len((tmp_path / 'x.npz.refused.csv').read_text().splitlines()) == 8


def test_a_failure_leaves_what_was_there(net, folder, tmp_path, monkeypatch):
    out = tmp_path / 'x.npz'
    out.write_text('old')
    monkeypatch.setattr(net, 'forward', lambda images: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        embed(net, folder, out, force=True)
    assert out.read_text() == 'old'
    assert sorted(f.name for f in tmp_path.iterdir()) == ['pictures', 'run', 'x.npz']


def test_what_cannot_be_done_is_said_first(net, folder, tmp_path, monkeypatch):
    (tmp_path / 'there.csv').write_text('old')
    (tmp_path / 'empty').mkdir()
    for error, match, place, out in (
        (UsageError, 'must end in one of .parquet, .npz, .csv', folder, 'x.txt'),
        (UsageError, 'is there already', folder, 'there.csv'),
        (FileNotFoundError, 'There is no folder', tmp_path / 'no', 'x.npz'),
        (ValueError, 'There are no images', tmp_path / 'empty', 'x.npz'),
    ):
        with pytest.raises(error, match=match):
            embed(net, place, tmp_path / out)
    monkeypatch.setitem(__import__('sys').modules, 'pyarrow', None)
    with pytest.raises(ConversionError, match=r'pyarrow.*cmae-mm\[export\]'):
        embed(net, folder, tmp_path / 'x.parquet')
    assert not [f for f in tmp_path.iterdir() if f.name.startswith('x.')]
