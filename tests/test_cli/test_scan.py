"""``cmae scan`` as it is called."""

import cv2
import numpy as np
import pytest

from cmae_mm import cli


@pytest.fixture
def scan(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*args):
        with pytest.raises(SystemExit) as stop:
            cli.main(['scan', *args, '--workers', '1'])
        return stop.value.code, *capsys.readouterr()

    return run


def test_exit_code_and_lists(scan, tmp_path):
    folder = tmp_path / 'my' / 'photos'
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / 'a.png'), np.zeros((4, 5, 3), np.uint8))
    code, out, err = scan('my/photos')
    assert code == 0 and '1 can be used, 0 are refused' in out
    assert 'Scanning photos: 100 %' in err, 'plain lines where there is no terminal'
    (folder / 'b.jpg').write_text('hello')
    code, out, _ = scan('my/photos')
    assert code == 1 and '1 known from before' in out and 'b.jpg: it is text' in out
    lists = tmp_path / 'work_dirs/scan_my_photos'
    assert {file.name for file in lists.iterdir()} == {
        'bad.csv',
        'duplicates.csv',
        'good.json',
        'state.jsonl',
    }
    code, out, _ = scan('my/photos', '--max-pixels', '19', '--out', 'other')
    assert code == 1 and '2 are refused' in out
    assert (tmp_path / 'other/bad.csv').exists()


def test_no_folder_is_one_line(scan):
    code, _, _ = scan('nowhere')
    assert code == 'cmae: There is no folder nowhere. (--debug shows where)'
