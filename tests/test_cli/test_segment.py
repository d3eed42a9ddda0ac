"""``cmae segment`` as it is called."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from cmae_mm import cli
from cmae_mm.dependencies import mim_name


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def segment(*args):
        with pytest.raises(SystemExit) as stop:
            cli.main(['segment', *map(str, args)])
        return stop.value.code, *capsys.readouterr()

    return segment


@pytest.mark.slow
def test_trains_tests_draws_and_knows_when_it_is_done(run, nano_checkpoint, few_scenes):
    args = (nano_checkpoint, few_scenes / 'scenes', '--out', 'out', '--iters', 10)
    code, out, _ = run(*args)
    assert code == 0, code
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

    code, again, _ = run(*args)
    assert code == 0 and 'finished' in again and 'Iter(train)' not in again
    assert f'mIoU {metrics["mIoU"]:.2f} %' in again

    # Stopped between the last step and the test: only the test is made up for.
    Path('out/results.json').unlink()
    code, tested, _ = run(*args)
    assert code == 0 and 'Iter(train)' not in tested
    assert json.loads(Path('out/results.json').read_text()) == pytest.approx(metrics)


def test_only_the_config_and_another_run_in_the_same_folder(
    run, nano_checkpoint, few_scenes
):
    args = (nano_checkpoint, few_scenes / 'scenes', '--out', 'out', '--config-only')
    code, out, _ = run(*args, '--batch-size', 2)
    assert code == 0 and '600 iterations' in out
    assert 'learning rate 0.0005 (the recipe: 0.002 for 8 images' in out
    assert not list(Path('out').glob('*.pth'))
    edited = Path('out/config.py')
    edited.write_text(edited.read_text() + 'randomness = dict(seed=7)\n')
    code, _, _ = run(*args, '--batch-size', 2)
    assert code == 0 and 'seed=7' in edited.read_text()
    code, _, _ = run(*args, '--batch-size', 4)
    assert 'out holds a run with batch_size = 2, this one has 4' in code


def test_what_is_wrong_is_one_line_and_no_training(run, nano_checkpoint, few_scenes):
    data = Path('data')
    shutil.copytree(few_scenes / 'scenes', data)
    shutil.rmtree(data / 'annotations')
    (data / 'labels/train/000003.png').unlink()
    code, _, _ = run(nano_checkpoint, data, '--out', 'out')
    assert '1 of 24 images have no counterpart of the same name' in code
    assert '000003' in code and len(code.splitlines()) == 1
    code, _, _ = run(nano_checkpoint, 'nowhere', '--out', 'out')
    assert 'There is no folder nowhere' in code
    code, _, _ = run('none.pth', few_scenes / 'scenes', '--out', 'out')
    assert 'There is no checkpoint none.pth' in code
    assert not Path('out').exists()
