"""``cmae detect`` as it is called."""

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
    args = (nano_checkpoint, few_scenes / 'scenes', '--out', 'out', '--epochs', 1)
    code, out, err = cmae('detect', *args)
    assert code == 0, err
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
    code, again, _ = cmae('detect', *args)
    assert code == 0 and 'finished' in again and 'Epoch(train)' not in again


@pytest.mark.slow
def test_boxes_without_outlines_are_enough(cmae, nano_checkpoint, few_scenes):
    data = Path('data')
    shutil.copytree(few_scenes / 'scenes', data)
    for file in (data / 'annotations').iterdir():
        content = json.loads(file.read_text())
        for annotation in content['annotations']:
            del annotation['segmentation']
        file.write_text(json.dumps(content))
    code, out, err = cmae(
        'detect', nano_checkpoint, data, '--out', 'out', '--epochs', 1
    )
    assert code == 0, err
    assert 'boxes only, by a Faster R-CNN' in out
    metrics = json.loads(Path('out/results.json').read_text())
    assert 'coco/bbox_mAP' in metrics and 'coco/segm_mAP' not in metrics


def test_what_is_wrong_is_one_line_and_no_training(cmae, nano_checkpoint, few_scenes):
    data = Path('data')
    shutil.copytree(few_scenes / 'scenes', data)
    (data / 'images/val/000003.jpg').unlink()
    _, _, err = cmae('detect', nano_checkpoint, data, '--out', 'out')
    assert '1 of the 12 images that' in err and '000003.jpg' in err
    assert len(err.splitlines()) == 1
    _, _, err = cmae('detect', nano_checkpoint, 'nowhere', '--out', 'out')
    assert 'There is no folder nowhere' in err
    _, _, err = cmae('detect', 'none.pth', few_scenes / 'scenes', '--out', 'out')
    assert 'There is no checkpoint none.pth' in err
    assert not Path('out').exists()


def test_a_file_in_the_place_of_the_results_is_said_first(cmae, tmp_path):
    (tmp_path / 'file').touch()
    code, said, err = cmae('detect', 'none.pth', 'nowhere', '--out', 'file')
    assert code == 1 and err.startswith('cmae: file is a file; a folder for')
    assert not said
