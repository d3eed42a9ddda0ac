"""``cmae detect`` as it is called."""

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

    def detect(*args):
        with pytest.raises(SystemExit) as stop:
            cli.main(['detect', *map(str, args)])
        return stop.value.code, *capsys.readouterr()

    return detect


@pytest.mark.slow
def test_trains_tests_draws_and_knows_when_it_is_done(run, nano_checkpoint, few_scenes):
    args = (nano_checkpoint, few_scenes / 'scenes', '--out', 'out', '--epochs', 1)
    code, out, _ = run(*args)
    assert code == 0, code
    for line in (
        '24 images with objects to learn from, 12 to test on; 6 classes',
        'configs/scenes/mask-rcnn_vitdet-nano',
        'Batch of 8, learning rate 0.001',
        f'mim train {mim_name("mmdet")} out/config.py --work-dir out --resume auto',
        'backbone starts from',
        'Epoch(train)',
        'boxes',
        'masks',
    ):
        assert line in out
    metrics = json.loads(Path('out/results.json').read_text())
    assert 0 <= metrics['coco/bbox_mAP'] <= 1 and 'coco/segm_mAP' in metrics
    assert Image.open('out/examples.png').width > 900
    code, again, _ = run(*args)
    assert code == 0 and 'finished' in again and 'Epoch(train)' not in again


@pytest.mark.slow
def test_boxes_without_outlines_are_enough(run, nano_checkpoint, few_scenes):
    data = Path('data')
    shutil.copytree(few_scenes / 'scenes', data)
    for file in (data / 'annotations').iterdir():
        content = json.loads(file.read_text())
        for annotation in content['annotations']:
            del annotation['segmentation']
        file.write_text(json.dumps(content))
    code, out, _ = run(nano_checkpoint, data, '--out', 'out', '--epochs', 1)
    assert code == 0, code
    assert 'boxes only, by a Faster R-CNN' in out
    metrics = json.loads(Path('out/results.json').read_text())
    assert 'coco/bbox_mAP' in metrics and 'coco/segm_mAP' not in metrics


def test_what_is_wrong_is_one_line_and_no_training(run, nano_checkpoint, few_scenes):
    data = Path('data')
    shutil.copytree(few_scenes / 'scenes', data)
    (data / 'images/val/000003.jpg').unlink()
    code, _, _ = run(nano_checkpoint, data, '--out', 'out')
    assert '1 of the 12 images that' in code and '000003.jpg' in code
    assert len(code.splitlines()) == 1
    code, _, _ = run(nano_checkpoint, 'nowhere', '--out', 'out')
    assert 'There is no folder nowhere' in code
    code, _, _ = run('none.pth', few_scenes / 'scenes', '--out', 'out')
    assert 'There is no checkpoint none.pth' in code
    assert not Path('out').exists()
