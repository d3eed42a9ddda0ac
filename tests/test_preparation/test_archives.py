import io
import tarfile
import zipfile

import numpy as np
import pytest

from cmae_mm.preparation import extraction
from cmae_mm.preparation.archives import ArchiveError, open_archive
from cmae_mm.preparation.extraction import unpack

FILES = {f'images/{n:03}.jpg': bytes([n]) * (700 + n) for n in range(5)}


def write_tar(path, files=FILES, mode='w'):
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_zip(path, files=FILES):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr('images/', b'')
        for name, content in files.items():
            file.writestr(name, content)
    return path


@pytest.fixture(params=['tar', 'tar.gz', 'zip'])
def archive(request, tmp_path):
    path = tmp_path / f'archive.{request.param}'
    if request.param == 'zip':
        return write_zip(path)
    return write_tar(path, mode='w:gz' if request.param == 'tar.gz' else 'w')


def contents(folder):
    """Every file below a folder, hidden ones too."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob('*')
        if file.is_file()
    }


def test_unpacks_all_files_and_leaves_nothing_else(archive, tmp_path):
    assert unpack(archive, tmp_path / 'out') == 5
    assert contents(tmp_path / 'out') == FILES


def test_second_run_writes_nothing(archive, tmp_path):
    unpack(archive, tmp_path / 'out')
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / 'out').rglob('*.jpg')}
    assert unpack(archive, tmp_path / 'out') == 0
    assert before == {f: f.stat().st_mtime_ns for f in before}


def test_a_file_of_another_size_is_written_anew(archive, tmp_path):
    unpack(archive, tmp_path / 'out')
    (tmp_path / 'out/images/003.jpg').write_bytes(b'cut off')
    assert unpack(archive, tmp_path / 'out') == 1
    assert contents(tmp_path / 'out') == FILES


def test_broken_off_in_the_middle_of_a_file_it_goes_on(archive, tmp_path, monkeypatch):
    copy, names = extraction.copyfileobj, []

    def copy_and_die(source, sink, length):
        names.append(sink.name)
        if len(names) == 3:
            sink.write(source.read(300))
            raise KeyboardInterrupt
        copy(source, sink, length)

    monkeypatch.setattr(extraction, 'copyfileobj', copy_and_die)
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / 'out')
    visible = {n: c for n, c in contents(tmp_path / 'out').items() if '/.' not in n}
    assert visible == {name: FILES[name] for name in list(FILES)[:2]}

    monkeypatch.setattr(extraction, 'copyfileobj', copy)
    assert unpack(archive, tmp_path / 'out') == 3
    assert contents(tmp_path / 'out') == FILES


def test_cut_off_tar_names_the_last_member_it_had(tmp_path):
    path = write_tar(tmp_path / 'archive.tar')
    path.write_bytes(path.read_bytes()[: 3 * 1536 + 600])
    with pytest.raises(ArchiveError, match=r'archive.tar .* beyond images/003.jpg'):
        unpack(path, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_cut_off_compressed_tar_explains_itself(tmp_path):
    path = write_tar(tmp_path / 'archive.tar.gz', mode='w:gz')
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ArchiveError, match='archive.tar.gz cannot be read beyond'):
        unpack(path, tmp_path / 'out')


@pytest.mark.parametrize('ending', ['gz', 'bz2', 'xz'])
def test_flipped_bytes_of_a_compressed_tar_explain_themselves(ending, tmp_path):
    digits = np.random.default_rng(0).integers(48, 58, (4, 9000), dtype=np.uint8)
    files = {f'{n}.txt': row.tobytes() for n, row in enumerate(digits)}
    path = write_tar(tmp_path / f'archive.tar.{ending}', files, f'w:{ending}')
    content, refused = path.read_bytes(), 0
    for place in range(0, len(content), len(content) // 60):
        flipped = bytes([content[place] ^ 0xFF])
        path.write_bytes(content[:place] + flipped + content[place + 1 :])
        out = tmp_path / f'out{place}'
        try:
            unpack(path, out)
        except ArchiveError as error:
            assert path.name in str(error)
            refused += 1
        else:  # a byte that means nothing, such as the time in the head of gzip
            found = {file.name: file.read_bytes() for file in out.iterdir()}
            assert found == files, place
    assert refused > 20


def test_a_zip_under_a_password_explains_itself(tmp_path):
    path = write_zip(tmp_path / 'archive.zip', {'images/000.jpg': b'x'})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b'PK\3\4', 6), (b'PK\1\2', 8)):  # each of the two headers
        content[content.rfind(mark) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match='images/000.jpg.* under a password'):
        unpack(path, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_zip_packed_in_an_unknown_way_explains_itself(tmp_path):
    path = write_zip(tmp_path / 'archive.zip', {'images/000.jpg': b'x'})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b'PK\3\4', 8), (b'PK\1\2', 10)):
        content[content.rfind(mark) + offset] = 99
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match='images/000.jpg in archive.zip'):
        unpack(path, tmp_path / 'out')
    assert contents(tmp_path / 'out') == {}


def test_cut_off_zip_explains_itself(tmp_path):
    path = write_zip(tmp_path / 'archive.zip')
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ArchiveError, match='end of a zip'):
        unpack(path, tmp_path / 'out')


def test_damaged_member_of_a_zip_is_named_and_not_left_behind(tmp_path):
    path = tmp_path / 'archive.zip'
    with zipfile.ZipFile(path, 'w') as file:  # stored: its bytes can be found
        for name, content in FILES.items():
            file.writestr(name, content)
    path.write_bytes(path.read_bytes().replace(b'\3' * 703, b'\3' * 702 + b'\7'))
    with pytest.raises(ArchiveError, match=r'images/003.jpg in archive.zip is damaged'):
        unpack(path, tmp_path / 'out')
    assert contents(tmp_path / 'out') == {n: FILES[n] for n in list(FILES)[:3]}


@pytest.mark.parametrize(
    'name', ['../evil.jpg', 'a/../../evil.jpg', '/evil.jpg', 'a\\..\\evil', 'c:/evil']
)
@pytest.mark.parametrize('write', [write_tar, write_zip])
def test_names_that_lead_out_are_refused(write, name, tmp_path):
    ending = 'zip' if write is write_zip else 'tar'
    path = write(tmp_path / f'archive.{ending}', {**FILES, name: b'evil'})
    with pytest.raises(ArchiveError, match='leads out of the target folder'):
        unpack(path, tmp_path / 'deep/out')
    assert {file.name for file in tmp_path.rglob('*')} == {f'archive.{ending}'}


@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind, tmp_path):
    path = tmp_path / 'archive.tar'
    with tarfile.open(path, 'w') as tar:
        info = tarfile.TarInfo('images/link.jpg')
        info.type, info.linkname = kind, '/etc/hostname'
        tar.addfile(info)
    with pytest.raises(ArchiveError, match='a link or a device'):
        unpack(path, tmp_path / 'out')


def test_links_in_a_zip_are_refused(tmp_path):
    path = tmp_path / 'archive.zip'
    with zipfile.ZipFile(path, 'w') as file:
        info = zipfile.ZipInfo('images/link.jpg')
        info.external_attr = 0o120777 << 16
        file.writestr(info, '/etc/hostname')
    with pytest.raises(ArchiveError, match='a link'):
        unpack(path, tmp_path / 'out')


def test_too_small_a_disk_is_told_of_before_anything_is_written(
    archive, tmp_path, monkeypatch
):
    size = sum(len(content) for content in FILES.values())
    free = [size - 1]
    usage = type('Usage', (), {'free': property(lambda self: free[0])})()
    monkeypatch.setattr(extraction.shutil, 'disk_usage', lambda folder: usage)
    with pytest.raises(ArchiveError, match='3.5 kB in .* 3.5 kB are free'):
        unpack(archive, tmp_path / 'deep/out')
    assert not (tmp_path / 'deep').exists()

    free[0] = size
    assert unpack(archive, tmp_path / 'deep/out') == 5


def test_what_is_there_needs_no_space(archive, tmp_path, monkeypatch):
    unpack(archive, tmp_path / 'out')
    usage = type('Usage', (), {'free': 0})()
    monkeypatch.setattr(extraction.shutil, 'disk_usage', lambda folder: usage)
    assert unpack(archive, tmp_path / 'out') == 0


def test_members_are_listed_in_the_order_of_the_archive(archive):
    with open_archive(archive) as members:
        assert [m.name for m in members] == list(FILES)
        assert [m.size for m in members] == [len(c) for c in FILES.values()]
        assert [m.open().read() for m in members] == list(FILES.values())
