"""``cmae segment`` as it is called."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from cmae_mm.dependencies import mim_name


@pytest.mark.slow
def test_trains_tests_draws_and_knows_when_it_is_done(
    cmae, nano_checkpoint, few_scenes
):
    args = (nano_checkpoint, few_scenes / 'scenes', '--out', 'out', '--iters', 10)
    code, out, err = cmae('segment', *args)
    assert code == 0, err
    for line in (
        '24 images to learn from, 12 to test on; 7 classes',
        'configs/scenes/vit-nano-p8_upernet',
        'Batch of 8, learning rate 0.002',
        f'mim train {mim_name("mmseg")} out/config.py --work-dir out --resume',
        'backbone starts from',
        'Iter(train)',
    ):
        assert line in out
    metrics = json.loads(Path('out/results.json').read_text())
    classes = [value for name, value in metrics.items() if name.startswith('IoU/')]
    assert metrics['mIoU'] == pytest.approx(sum(classes) / len(classes), abs=0.01)
    assert f'mIoU {metrics["mIoU"]:.2f} %' in out and 'class 6' in out
    assert Image.open('out/examples.png').width > 900

    code, again, _ = cmae('segment', *args)
    assert code == 0 and 'finished' in again and 'Iter(train)' not in again
    assert f'mIoU {metrics["mIoU"]:.2f} %' in again

    # Stopped between the last step and the test: only the test is made up for.
    Path('out/results.json').unlink()
    code, tested, _ = cmae('segment', *args)
    assert code == 0 and 'Iter(train)' not in tested
    assert json.loads(Path('out/results.json').read_text()) == pytest.approx(metrics)


def test_only_the_config_and_another_run_in_the_same_folder(
    cmae, nano_checkpoint, few_scenes
):
    args = (nano_checkpoint, few_scenes / 'scenes', '--out', 'out', '--config-only')
    code, out, err = cmae('segment', *args, '--batch-size', 2)
    assert code == 0 and '600 iterations' in out
    assert 'learning rate 0.0005 (the recipe: 0.002 for 8 images' in out
    assert not list(Path('out').glob('*.pth'))
    edited = Path('out/config.py')
    edited.write_text(edited.read_text() + 'randomness = dict(seed=7)\n')
    code, _, _ = cmae('segment', *args, '--batch-size', 2)
    assert code == 0 and 'seed=7' in edited.read_text()
    _, _, err = cmae('segment', *args, '--batch-size', 4)
    assert 'out holds a run with batch_size = 2, this one has 4' in err


def test_what_is_wrong_is_one_line_and_no_training(cmae, nano_checkpoint, few_scenes):
    data = Path('data')
    shutil.copytree(few_scenes / 'scenes', data)
    shutil.rmtree(data / 'annotations')
    (data / 'labels/train/000003.png').unlink()
    _, _, err = cmae('segment', nano_checkpoint, data, '--out', 'out')
    assert '1 of 24 images have no counterpart of the same name' in err
    assert '000003' in err and len(err.splitlines()) == 1
    _, _, err = cmae('segment', nano_checkpoint, 'nowhere', '--out', 'out')
    assert 'There is no folder nowhere' in err
    _, _, err = cmae('segment', 'none.pth', few_scenes / 'scenes', '--out', 'out')
    assert 'There is no checkpoint none.pth' in err
    assert not Path('out').exists()


def test_a_file_in_the_place_of_the_results_is_said_first(cmae, tmp_path):
    (tmp_path / 'file').touch()
    code, said, err = cmae('segment', 'none.pth', 'nowhere', '--out', 'file')
    assert code == 1 and err.startswith('cmae: file is a file; a folder for')
    assert not said
