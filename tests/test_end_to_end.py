"""What a user types: `mim train`, `mim test` and resume, in all three libraries."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cmae_mm.dependencies import mim_name

ROOT = Path(__file__).parents[1]
SCENES = ROOT / 'configs/scenes'
PRETRAIN = SCENES / 'cmae_vit-nano-p8_bs32-8e_scenes.py'
LINEAR = SCENES / 'vit-nano-p8_linear-12e_scenes.py'
UPERNET = SCENES / 'vit-nano-p8_upernet_bs8-600i_scenes-96x96.py'
MASK_RCNN = SCENES / 'mask-rcnn_vit-nano-p8_fpn_bs8-2e_scenes.py'

pytestmark = pytest.mark.slow


def mim(where, *arguments, ok=True):
    """Run `mim` in a folder; returns what it printed."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'mim', *map(str, arguments)],
        cwd=where,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
        env={**os.environ, 'CUDA_VISIBLE_DEVICES': '-1'},
    )
    assert (done.returncode == 0) == ok, done.stdout[-3000:]
    return done.stdout


def results(work_dir):
    """Metrics that the last `mim test` has written."""
    newest = max(Path(work_dir).glob('*/*.json'), key=lambda file: file.stat().st_mtime)
    return json.loads(newest.read_text().splitlines()[-1])


def plain(checkpoint):
    """A checkpoint read with weights_only=True; fails if it holds objects."""
    return torch.load(checkpoint, weights_only=True)


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with few generated scenes, and a CMAE pre-trained on them."""
    from cmae_mm.datasets.scenes import generate_scenes

    place = tmp_path_factory.mktemp('place')
    generate_scenes(place / 'data/scenes', num_train=32, num_val=12, workers=1)
    short = ['train_cfg.max_epochs=1', 'train_dataloader.batch_size=16']
    short += ['default_hooks.checkpoint.interval=1']
    mim(
        place,
        *('train', 'mmpretrain', PRETRAIN, '--work-dir', 'pretrain'),
        *('--cfg-options', *short),
    )
    return place


def test_pretraining_resumes_and_is_tested(place):
    first = plain(place / 'pretrain/epoch_1.pth')
    assert first['meta']['iter'] == 4
    short = ['train_dataloader.batch_size=16', 'default_hooks.checkpoint.interval=1']
    out = mim(
        place,
        *('train', 'mmpretrain', PRETRAIN, '--work-dir', 'pretrain'),
        *('--resume', 'auto', '--cfg-options', 'train_cfg.max_epochs=2', *short),
    )
    assert 'resumed epoch: 1, iter: 4' in out
    second = plain(place / 'pretrain/epoch_2.pth')
    assert second['meta']['iter'] == 8
    # The log of the first epoch has come back with the checkpoint.
    assert len(second['message_hub']['log_scalars']['train/loss']['values']) == 8
    mim(
        place,
        *('test', 'mmpretrain', PRETRAIN, '--work-dir', 'knn'),
        *('--checkpoint', 'pretrain/epoch_2.pth'),
    )
    assert 0 <= results(place / 'knn')['knn/top1'] <= 100


def test_two_processes_share_the_batches(place, monkeypatch):
    """`mim train --launcher pytorch --gpus 2`, without GPUs.

    MMEngine looks for a GPU before it lets processes meet; so they meet before.
    """
    (place / 'two_cpus.py').write_text(
        "import torch\n\ntorch.distributed.init_process_group('gloo')\n"
    )
    (place / 'shared.py').write_text(
        f"_base_ = '{PRETRAIN}'\n"
        "custom_imports = dict(imports=['cmae_mm', 'two_cpus'])\n"
        'model_wrapper_cfg = dict(device_ids=None)\n'
    )
    found = [str(place), os.environ.get('PYTHONPATH', '')]
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(found))
    options = ['train_cfg.max_epochs=1', 'train_dataloader.batch_size=8']
    options += ['default_hooks.checkpoint.interval=1']
    out = mim(
        place,
        *('train', 'mmpretrain', 'shared.py', '--work-dir', 'shared'),
        *('--launcher', 'pytorch', '--gpus', '2', '--cfg-options', *options),
    )
    assert 'GPU number: 2' in out
    # As many steps as one process takes with batches of 16.
    assert plain(place / 'shared/epoch_1.pth')['meta']['iter'] == 4


@pytest.mark.parametrize(
    ('library', 'config', 'options', 'last', 'metric'),
    [
        ('mmpretrain', LINEAR, ['train_cfg.max_epochs=1'], 'epoch_1', 'accuracy/top1'),
        (
            'mmseg',
            UPERNET,
            ['train_cfg.max_iters=2', 'train_cfg.val_interval=2'],
            'iter_2',
            'mIoU',
        ),
        ('mmdet', MASK_RCNN, ['train_cfg.max_epochs=1'], 'epoch_1', 'coco/segm_mAP'),
    ],
    ids=['linear', 'segment', 'detect'],
)
def test_transfer_trains_resumes_and_is_tested(
    place, library, config, options, last, metric
):
    """Also the same number from the test as from the validation in training."""
    work_dir = place / library
    interval = 2 if last == 'iter_2' else 1
    options = [
        *options,
        f'default_hooks.checkpoint.interval={interval}',
        'model.backbone.init_cfg.checkpoint=pretrain/epoch_1.pth',
    ]
    package = mim_name(library)
    train = ('train', package, config, '--work-dir', work_dir)
    out = mim(place, *train, '--cfg-options', *options)
    assert 'backbone starts from pretrain/epoch_1.pth' in out
    plain(work_dir / f'{last}.pth')

    tested = place / f'{library}-test'
    mim(
        place,
        *('test', package, config, '--work-dir', tested),
        *('--checkpoint', work_dir / f'{last}.pth'),
    )
    assert metric in results(tested)

    longer = [o.replace('max_epochs=1', 'max_epochs=2') for o in options]
    longer = [o.replace('max_iters=2', 'max_iters=4') for o in longer]
    resume = () if library == 'mmseg' else ('auto',)
    out = mim(place, *train, '--resume', *resume, '--cfg-options', *longer)
    assert 'resumed epoch' in out
    following = last[:-1] + ('4' if last == 'iter_2' else '2')
    assert (work_dir / f'{following}.pth').exists()


def test_a_wrong_checkpoint_stops_before_training(place):
    wrong = 'model.backbone.init_cfg.prefix=encoder.'
    right = 'model.backbone.init_cfg.checkpoint=pretrain/epoch_1.pth'
    out = mim(
        place,
        *('train', mim_name('mmseg'), UPERNET, '--work-dir', 'wrong'),
        *('--cfg-options', right, wrong),
        ok=False,
    )
    assert 'holds only 0 of the' in out
    assert 'Iter(train)' not in out
