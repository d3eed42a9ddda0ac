"""tools/prepare_data.py on a miniature ADE20K, and where the configs look."""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from cmae_mm.preparation import ade20k, coco, imagenet

REPOSITORY = Path(__file__).parents[2]
NAMES = [f'{split}/ADE_{split}_1' for split in ('training', 'validation')]


@pytest.fixture
def tool(monkeypatch):
    """The tool, expecting one image in each split."""
    expected = ade20k.Expected(training=1, validation=1, classes=3)
    monkeypatch.setattr(ade20k, 'EXPECTED', expected)
    monkeypatch.syspath_prepend(str(REPOSITORY / 'tools'))
    import prepare_data

    yield prepare_data
    sys.modules.pop('prepare_data')


@pytest.fixture
def archives(tmp_path):
    folder = tmp_path / 'archives'
    folder.mkdir()
    with zipfile.ZipFile(folder / ade20k.ARCHIVE, 'w') as file:
        for name in NAMES:
            for kind, ending, shape in (
                ('images', 'jpg', (5, 7, 3)),
                ('annotations', 'png', (5, 7)),
            ):
                buffer = io.BytesIO()
                Image.fromarray(np.ones(shape, np.uint8)).save(
                    buffer, {'jpg': 'JPEG', 'png': 'PNG'}[ending]
                )
                path = f'ADEChallengeData2016/{kind}/{name}.{ending}'
                file.writestr(path, buffer.getvalue())
    return folder


def test_prepare_then_check(tool, archives, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert tool.main(['ade20k', '--archives', str(archives)]) == 0
    shown = capsys.readouterr()
    assert 'WRONG' not in shown.out and shown.out.count('ok') == 8
    assert 'ADEChallengeData2016.zip: 100 %' in shown.err
    for what in ('ade20k', 'data/ade'):
        assert tool.main(['check', what, '--all']) == 0


def test_what_is_missing_is_explained(tool, archives, tmp_path, capsys):
    (archives / ade20k.ARCHIVE).unlink()
    out = str(tmp_path / 'ade')
    assert tool.main(['ade20k', '--archives', str(archives), '--out', out]) == 1
    shown = capsys.readouterr().out
    assert 'it comes from data.csail.mit.edu' in shown
    assert 'WRONG' in shown
    again = f'python tools/prepare_data.py ade20k --archives DIR --out {out}'
    assert shown.count(again) == 1, 'said once, on one line'


def test_damage_is_status_1(tool, archives, tmp_path, capsys):
    out = tmp_path / 'ade'
    tool.main(['ade20k', '--archives', str(archives), '--out', str(out)])
    path = out / f'ADEChallengeData2016/images/{NAMES[0]}.jpg'
    path.write_bytes(path.read_bytes()[:-100])
    assert tool.main(['check', str(out)]) == 1
    assert path.name in capsys.readouterr().out
    # The archive mends it: the size is another one.
    assert tool.main(['ade20k', '--archives', str(archives), '--out', str(out)]) == 0


def test_a_damaged_archive_is_status_1(tool, archives, tmp_path, capsys):
    path = archives / ade20k.ARCHIVE
    path.write_bytes(path.read_bytes()[:-30])
    arguments = ['ade20k', '--archives', str(archives), '--out', str(tmp_path / 'ade')]
    assert tool.main(arguments) == 1
    shown = capsys.readouterr().err
    assert shown.startswith('error: ADEChallengeData2016.zip')
    assert 'Traceback' not in shown


def test_an_interrupt_says_how_to_go_on(tool, archives, monkeypatch, capsys):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(ade20k, 'prepare', interrupt)
    assert tool.main(['ade20k', '--archives', str(archives)]) == 130
    assert 'the same command goes on' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'required: command'),
        (['cifar'], 'invalid choice'),
        (['coco'], 'required: --archives'),
        (['coco', '--archives', 'nowhere'], 'nowhere is no folder'),
        (['check', 'nowhere'], 'nowhere is none of imagenet, ade20k, coco'),
        (['check', 'coco', '--sample', '-1'], '-1 is below 0'),
        (['check', 'coco', '--sample', '3', '--all'], 'not allowed with'),
    ],
)
def test_wrong_calls_are_status_2(arguments, message, tool, capsys):
    with pytest.raises(SystemExit) as stop:
        tool.main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def config(name):
    return Config.fromfile(next((REPOSITORY / 'configs').glob(name)))


def test_imagenet_goes_where_the_configs_look():
    cfg = config('_base_/datasets/imagenet_two-views.py')
    for loader, split in (('train_dataloader', 'train'), ('test_dataloader', 'val')):
        dataset = cfg[loader].dataset
        assert Path(dataset.data_root) == imagenet.DEFAULT_OUT
        assert dataset.split == split


def test_ade20k_goes_where_the_configs_look():
    dataset = config('ade20k/vit-base-p16_upernet*.py').train_dataloader.dataset
    assert Path(dataset.data_root) == ade20k.DEFAULT_OUT / ade20k.FOLDER
    assert dataset.data_prefix.img_path == 'images/training'
    assert dataset.data_prefix.seg_map_path == 'annotations/training'


def test_coco_goes_where_the_configs_look():
    cfg = config('coco/mask-rcnn_vit-base-p16_fpn*.py')
    for dataset, split in (
        (cfg.train_dataloader.dataset.dataset, 'train2017'),
        (cfg.val_dataloader.dataset, 'val2017'),
    ):
        assert Path(dataset.data_root) == coco.DEFAULT_OUT
        assert Path(dataset.data_prefix.img) == Path(split)
        assert dataset.ann_file == f'annotations/instances_{split}.json'
