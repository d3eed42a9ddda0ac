"""The index of an archive: what it finds, when it is kept, and what it refuses."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from mmengine import fileio

from cmae_mm.datasets import archive_index
from cmae_mm.datasets.archive_backend import make_address
from cmae_mm.datasets.archive_images import ArchiveImages
from cmae_mm.datasets.archive_index import make_index, read_index

ENDS = ('.jpg', '.png')


def write_tar(path, files):
    with tarfile.open(path, 'w') as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return str(path)


def write_zip(path, files, **options):
    with zipfile.ZipFile(path, 'w', **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return str(path)


def listed(archive, index):
    """Name -> content, label of what an index says."""
    found = {}
    for entry in index.entries:
        start, end = entry['name_at'], entry['name_at'] + entry['name_length']
        name = index.names[start:end].tobytes().decode('utf-8', 'surrogateescape')
        address = make_address(archive, entry['offset'], entry['size'], name)
        found[name] = fileio.get(address), int(entry['label'])
    return found


def test_against_the_readers_of_python(tmp_path):
    """Sizes around the block of a tar archive, and bytes that deflate well or not."""
    rng = np.random.default_rng(0)
    files = {f'{n}/{n}.jpg': rng.bytes(n) for n in (0, 1, 511, 512, 513, 70000)}
    files['deep/down/here.PNG'] = bytes(30000)
    tar = write_tar(tmp_path / 'x.tar', files)
    zips = [
        write_zip(tmp_path / f'{method}.zip', files, compression=method)
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    ]
    for archive in (tar, *zips):
        found = listed(archive, make_index(archive, ENDS))
        assert {name: data for name, (data, _) in found.items()} == files
    with zipfile.ZipFile(zips[1]) as theirs:
        assert all(theirs.read(name) == data for name, data in files.items())


def test_of_files_with_one_name_the_last_one_counts(tmp_path):
    path = write_tar(tmp_path / 'x.tar', {'a.jpg': b'old', 'b.jpg': b'other'})
    with tarfile.open(path, 'a') as archive:
        member = tarfile.TarInfo('./a.jpg')
        member.size = 3
        archive.addfile(member, io.BytesIO(b'new'))
    found = listed(path, make_index(path, ENDS))
    assert found == {'a.jpg': (b'new', -1), 'b.jpg': (b'other', -1)}


def test_names_that_are_not_utf_8(tmp_path):
    path = tmp_path / 'x.tar'
    name = b'caf\xe9.jpg'.decode('utf-8', 'surrogateescape')
    write_tar(path, {f'{name[:3]}/{name}': b'1'})
    index = read_index(str(path), ENDS, None)
    kept = read_index(str(path), ENDS, None)
    assert list(listed(str(path), kept)) == [f'caf/{name}']
    assert kept.classes == index.classes == ('caf',)


def test_links_and_folders_are_no_images(tmp_path):
    path = tmp_path / 'x.tar'
    with tarfile.open(path, 'w') as archive:
        for name, kind in (('d.jpg', tarfile.DIRTYPE), ('l.jpg', tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, 'a.jpg'
            archive.addfile(member)
        archive.addfile(tarfile.TarInfo('a.jpg'))
    assert list(listed(str(path), make_index(str(path), ENDS))) == ['a.jpg']


@pytest.fixture
def made(monkeypatch):
    """The archives whose index was made."""
    archives = []

    def make_and_tell(archive, extensions):
        archives.append(archive)
        return make_index(archive, extensions)

    monkeypatch.setattr(archive_index, 'make_index', make_and_tell)
    return archives


def test_it_is_made_once(tmp_path, made):
    path = write_tar(tmp_path / 'x.tar', {'k/a.jpg': b'1'})
    for _ in range(3):
        assert listed(path, read_index(path, ENDS, None)) == {'k/a.jpg': (b'1', 0)}
    assert made == [path]
    assert (tmp_path / 'x.tar.index.npz').exists()
    assert sorted(os.listdir(tmp_path)) == ['x.tar', 'x.tar.index.npz']


def test_it_is_made_anew_if_the_archive_or_the_question_changed(tmp_path, made):
    path = write_tar(tmp_path / 'x.tar', {'a.jpg': b'1'})
    read_index(path, ENDS, None)
    before = os.stat(path)
    write_tar(path, {'b.jpg': b'22'})
    assert os.stat(path).st_size == before.st_size
    assert listed(path, read_index(path, ENDS, None)) == {'b.jpg': (b'22', -1)}
    write_tar(path, {f'{n}.jpg': bytes(9000) for n in range(3)})
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(read_index(path, ENDS, None).entries) == 3
    with pytest.raises(ValueError, match='3 .jpg'):
        read_index(path, ('.tif',), None)
    assert len(made) == 4


def test_a_replaced_archive_is_opened_anew(tmp_path):
    path = write_tar(tmp_path / 'x.tar', {'a.jpg': b'1'})
    assert listed(path, read_index(path, ENDS, None)) == {'a.jpg': (b'1', -1)}
    os.replace(write_tar(tmp_path / 'y.tar', {'a.jpg': b'2'}), path)
    assert listed(path, read_index(path, ENDS, None)) == {'a.jpg': (b'2', -1)}


@pytest.mark.parametrize('damage', [b'', b'no archive of arrays', None])
def test_a_damaged_index_is_made_anew(tmp_path, made, damage):
    path = write_tar(tmp_path / 'x.tar', {'a.jpg': b'1'})
    read_index(path, ENDS, None)
    file = tmp_path / 'x.tar.index.npz'
    file.write_bytes(file.read_bytes()[:-40] if damage is None else damage)
    assert listed(path, read_index(path, ENDS, None)) == {'a.jpg': (b'1', -1)}
    assert len(made) == 2


def test_it_can_be_kept_elsewhere(tmp_path, made):
    for folder in ('one', 'two'):
        (tmp_path / folder).mkdir()
        write_tar(tmp_path / folder / 'x.tar', {f'{folder}.jpg': b'1'})
    for _ in range(2):
        for folder in ('one', 'two'):
            path = str(tmp_path / folder / 'x.tar')
            index = read_index(path, ENDS, str(tmp_path / 'cache'))
            assert list(listed(path, index)) == [f'{folder}.jpg']
    assert len(made) == 2
    assert os.listdir(tmp_path / 'one') == ['x.tar']


def test_where_nothing_can_be_written_it_is_made_every_time(
    tmp_path, made, monkeypatch
):
    said = []
    monkeypatch.setattr(archive_index, 'print_log', lambda *args: said.append(args[0]))
    path = write_tar(tmp_path / 'x.tar', {'a.jpg': b'1'})
    (tmp_path / 'file').touch()
    for _ in range(2):
        index = read_index(path, ENDS, str(tmp_path / 'file/cache'))
        assert list(listed(path, index)) == ['a.jpg']
    assert len(made) == 2
    assert ['could not be kept' in line for line in said] == 2 * [False, True]


def cut(path, size):
    """A copy of an archive that ends early, under another name."""
    copy = path.with_name(f'cut{path.suffix}')
    copy.write_bytes(path.read_bytes()[:size])
    return str(copy)


# Two files of 600 bytes are blocks 0 (header), 1 and 2 (data), 3, and 4 and 5.
@pytest.mark.parametrize('size', [0, 100, 700, 3 * 512, 4 * 512 - 9, 5 * 512, 6 * 512])
def test_an_archive_cut_off_anywhere_explains_itself(tmp_path, size):
    tar = tmp_path / 'x.tar'
    write_tar(tar, {'a.jpg': bytes(600), 'b.jpg': bytes(600)})
    with pytest.raises(ValueError, match='cut.tar cannot be read .*copy it again'):
        make_index(cut(tar, size), ENDS)
    whole = tmp_path / 'x.zip'
    write_zip(whole, {'a.jpg': bytes(600), 'b.jpg': bytes(600)})
    with pytest.raises(ValueError, match='cut.zip cannot be read .*copy it again'):
        make_index(cut(whole, min(size, 1300)), ENDS)


def test_a_damaged_header_inside_is_no_end(tmp_path):
    tar = tmp_path / 'x.tar'
    write_tar(tar, {'a.jpg': bytes(600), 'b.jpg': bytes(600)})
    data = bytearray(tar.read_bytes())
    data[3 * 512 + 5] ^= 1
    tar.write_bytes(data)
    with pytest.raises(ValueError, match='no end and no header at byte 1536'):
        make_index(str(tar), ENDS)


def test_compressed_tar_explains_itself(tmp_path):
    path = str(tmp_path / 'x.tar.gz')
    with tarfile.open(path, 'w:gz') as archive:
        archive.addfile(tarfile.TarInfo('a.jpg'))
    with pytest.raises(ValueError, match='Uncompress .tar.gz'):
        make_index(path, ENDS)


def test_other_methods_of_zip_explain_themselves(tmp_path):
    path = write_zip(tmp_path / 'x.zip', {'a.jpg': b'1'}, compression=zipfile.ZIP_BZIP2)
    with pytest.raises(ValueError, match='a.jpg is neither stored nor deflated'):
        make_index(path, ENDS)


def test_an_archive_without_images_says_what_it_has(tmp_path):
    path = write_tar(tmp_path / 'x.tar', {'1.dcm': b'', '2.DCM': b'', 'README': b''})
    with pytest.raises(ValueError, match='no images in .*2 .dcm, 1 no ending.*png'):
        make_index(path, ENDS)


def test_an_archive_that_shrank_explains_itself(tmp_path):
    tar = write_tar(tmp_path / 'x.tar', {'a.jpg': bytes(600)})
    with pytest.raises(ValueError, match='x.tar ends before byte 99999'):
        fileio.get(make_address(tar, 0, 99999, 'a.jpg'))
    zipped = write_zip(tmp_path / 'x.zip', {'a.jpg': bytes(600)})
    with pytest.raises(ValueError, match='holds no file at byte 7'):
        fileio.get(make_address(zipped, 7, 10, 'a.jpg'))


@pytest.fixture
def webdataset():
    return pytest.importorskip('webdataset')


def write_shards(webdataset, folder, count=7, **more):
    """Samples as webdataset's own writer writes them, three in a shard."""
    rng = np.random.default_rng(0)
    pattern = str(folder / 'train-%06d.tar')
    with webdataset.ShardWriter(pattern, maxcount=3, verbose=0) as writer:
        for n in range(count):
            extra = {name: make(n) for name, make in more.items()}
            sample = dict(__key__=f'some/{n:04d}', jpg=rng.bytes(100 * n), **extra)
            writer.write(sample)


def test_shards_of_webdataset_as_webdataset_reads_them(webdataset, tmp_path):
    write_shards(webdataset, tmp_path, cls=lambda n: 11 * n % 5, json=lambda n: {})
    shards = sorted(map(str, tmp_path.glob('*.tar')))
    theirs = {
        sample['__key__']: (sample['jpg'], int(sample['cls']))
        for sample in webdataset.WebDataset(shards, shardshuffle=False)
    }
    ours = ArchiveImages('train-*.tar', data_root=str(tmp_path), with_label=True)
    infos = [ours.get_data_info(i) for i in range(len(ours))]
    found = {
        info['img_path'].split('/./')[1].removesuffix('.jpg'): (
            fileio.get(info['img_path']),
            info['gt_label'],
        )
        for info in infos
    }
    assert list(found.items()) == list(theirs.items()) and len(found) == 7


def test_several_images_of_a_sample_can_be_told_apart(webdataset, tmp_path):
    write_shards(webdataset, tmp_path, count=3, **{'mask.jpg': lambda n: b'mask'})
    both = ArchiveImages('*.tar', data_root=str(tmp_path))
    assert len(both) == 6
    masks = ArchiveImages('*.tar', data_root=str(tmp_path), extensions=['.mask.jpg'])
    assert [fileio.get(info['img_path']) for info in masks] == [b'mask'] * 3


def test_labels_of_two_kinds_explain_themselves(webdataset, tmp_path):
    write_shards(webdataset, tmp_path, count=3, cls=lambda n: n)
    write_tar(tmp_path / 'x.tar', {'a/1.jpg': b''})
    with pytest.raises(ValueError, match='Some .* .cls files, others in folders'):
        ArchiveImages(
            ['train-*.tar', 'x.tar'], data_root=str(tmp_path), with_label=True
        )
