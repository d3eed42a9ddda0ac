"""``cmae scan`` as it is called."""

import cv2
import numpy as np

# Workers for two pictures take longer than the pictures.
ONE = ('--workers', 1)


def test_exit_code_and_lists(cmae, tmp_path):
    folder = tmp_path / 'my' / 'photos'
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / 'a.png'), np.zeros((4, 5, 3), np.uint8))
    code, out, err = cmae('scan', 'my/photos', *ONE)
    assert code == 0 and '1 can be used, 0 are refused' in out
    assert 'Scanning photos: 100 %' in err, 'plain lines where there is no terminal'
    (folder / 'b.jpg').write_text('hello')
    code, out, _ = cmae('scan', 'my/photos', *ONE)
    assert code == 1 and '1 known from before' in out and 'b.jpg: it is text' in out
    lists = tmp_path / 'work_dirs/scan_my_photos'
    assert {file.name for file in lists.iterdir()} == {
        'bad.csv',
        'duplicates.csv',
        'good.json',
        'state.jsonl',
    }
    code, out, _ = cmae(
        'scan', 'my/photos', *ONE, '--max-pixels', '19', '--out', 'other'
    )
    assert code == 1 and '2 are refused' in out
    assert (tmp_path / 'other/bad.csv').exists()


def test_a_file_in_the_place_of_the_results_is_said_first(cmae, tmp_path):
    (tmp_path / 'file').touch()
    (tmp_path / 'photos').mkdir()
    code, _, err = cmae('scan', 'photos', '--out', 'file', *ONE)
    assert code == 1 and err.startswith('cmae: file is a file; a folder for')


def test_no_folder_is_one_line(cmae, tmp_path):
    (tmp_path / 'file').touch()
    for name, why in (
        ('nowhere', 'There is no folder nowhere ('),
        ('file', 'file is a'),
    ):
        code, _, err = cmae('scan', name, *ONE)
        assert code == 1 and err.startswith(f'cmae: {why}')
        assert len(err.splitlines()) == 1
