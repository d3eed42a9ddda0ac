"""``cmae pretrain`` as it is typed: real trainings of a tiny network."""

import os
import runpy
import signal
import sys
from pathlib import Path

import cv2
import mmpretrain
import numpy as np
import pytest
import torch
from mmengine.config import Config

from cmae_mm.engine import ProgressBar

# Of this file: two steps an epoch, a checkpoint after each, no process for the data.
NANO = 'cmae_vit-nano-p8_bs32-8e_scenes.py'
QUICK = [
    '--arch=vit-nano',
    '--epochs=2',
    '--batch=2',
    '--cfg-options=default_hooks.checkpoint.interval=1',
    '--cfg-options=train_dataloader.num_workers=0',
    '--cfg-options=train_dataloader.persistent_workers=False',
    '--cfg-options=model.backbone.arch.num_layers=1',
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A clean folder with four pictures in a nested one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    folder = tmp_path / 'photos/some/where'
    folder.mkdir(parents=True)
    for i in range(4):
        noise = np.random.default_rng(i).integers(0, 255, (30, 36, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'{i}.png'), noise)
    return tmp_path


@pytest.fixture
def pretrain(place, cmae, forget_runners):
    """Run it in one process more than once; see ``cmae``."""

    def run(*args):
        forget_runners()
        return cmae('pretrain', *args)

    return run


def weights(file):
    return torch.load(file, weights_only=True)['state_dict']


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_a_folder_is_trained_gone_on_with_and_finished(pretrain, place):
    code, out, err = pretrain('photos', '--out', 'runs/a', *QUICK)
    assert (code, err) == (0, '')
    assert 'pictures   4 below ' in out and 'network    vit-nano: as asked' in out
    assert 'views      32 x 32 pixels in patches of 4, for pictures of 30' in out
    assert 'rate       6.25e-05 = 0.008 x 2 / 256' in out
    command = 'mim train mmpretrain runs/a/config.py --work-dir runs/a --resume'
    assert f'same as    {command}' in out
    checkpoint = place / 'runs/a/epoch_2.pth'
    assert out.splitlines()[-2:] == [
        f'Checkpoint: {checkpoint}',
        'Next: cmae report runs/a, or cmae probe runs/a LABELLED_DIR',
    ]
    assert 'WARNING' not in out

    unbroken = weights(checkpoint)
    checkpoint.unlink()
    code, out, _ = pretrain('photos', '--out', 'runs/a', *QUICK)
    assert code == 0 and 'goes on from epoch 2 of 2 (runs/a/epoch_1.pth)' in out
    assert 'pictures' not in out, 'nothing is chosen anew'
    assert_same(weights(checkpoint), unbroken)

    code, out, _ = pretrain('photos', '--out', 'runs/a', *QUICK)
    assert code == 0 and 'runs/a is finished: all 2 epochs are trained.' in out
    assert 'Checkpoint: runs/a/epoch_2.pth' in out and 'Epoch(train)' not in out

    code, out, err = pretrain('photos', '--out', 'runs/a', *QUICK, '--epochs=3')
    assert code == 1 and err.startswith('cmae: runs/a holds another run (epochs: 2')


@pytest.mark.slow
def test_the_command_that_is_printed_does_the_same(
    pretrain, place, monkeypatch, forget_runners
):
    """The script behind ``mim train``, in another folder."""
    pretrain('photos', '--out', 'a', *QUICK)
    forget_runners()
    script = Path(mmpretrain.__file__).parent / '.mim/tools/train.py'
    arguments = ['train.py', 'a/config.py', '--work-dir', 'b', '--resume']
    monkeypatch.setattr(sys, 'argv', arguments)
    monkeypatch.setenv('LOCAL_RANK', '0')
    runpy.run_path(str(script), run_name='__main__')
    assert_same(weights('a/epoch_2.pth'), weights('b/epoch_2.pth'))


def test_a_signal_ends_it_with_75(pretrain, place, monkeypatch):
    def stop(self, runner, *args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(ProgressBar, 'after_train_iter', stop)
    code, out, _ = pretrain('photos', '--out', 'run', *QUICK)
    assert code == 75 and (place / 'run/iter_1.pth').exists()
    monkeypatch.undo()
    monkeypatch.chdir(place)
    code, out, _ = pretrain('photos', '--out', 'run', *QUICK)
    assert code == 0 and 'goes on from epoch 1 of 2 (run/iter_1.pth)' in out


@pytest.mark.slow
def test_weights_to_start_from(pretrain, place):
    pretrain('photos', '--out', 'a', *QUICK)
    options = [*QUICK, '--cfg-options=optim_wrapper.optimizer.lr=0.0', '--load-from']
    code, out, _ = pretrain('photos', '--out', 'b', *options, 'a/epoch_2.pth')
    assert code == 0
    assert 'mim train mmpretrain b/config.py --work-dir b\n' in out, 'no --resume'
    one, other = weights('a/epoch_2.pth'), weights('b/epoch_2.pth')
    assert torch.equal(one['backbone.cls_token'], other['backbone.cls_token'])
    code, _, err = pretrain('photos', '--out', 'c', '--load-from', 'none.pth')
    assert code == 1 and 'There is no checkpoint none.pth' in err


@pytest.mark.parametrize(
    'args, code, said',
    [
        (['nowhere', '--out', 'a'], 1, 'There is no folder nowhere (looked in'),
        (['photos/some/where/0.png', '--out', 'a'], 1, 'is a file; a folder'),
        (['empty', '--out', 'a'], 1, 'There are no images below'),
        (['photos', '--out', 'full'], 1, 'full is not empty'),
        (['photos', '--out', 'photos/run'], 1, 'lies in the folder of the images'),
        (['photos', '--out', 'a', '--arch', 'vit-tny'], 1, 'did you mean vit-tiny?'),
        (['photos', '--out', 'a', '--batch', '5'], 1, 'there are 4 images'),
        (['photos', '--out', 'a', '--batch', '1'], 1, 'InfoNCE compares'),
        (['photos', '--out', 'a', '--config', 'none.py'], 1, 'no config none.py'),
        (['photos', '--out', 'a', '--config', NANO, '--batch', '5'], 1, 'are 4 images'),
        (['photos', '--out', 'a', '--config', 'open.py'], 1, 'open.py, or a file that'),
        (['photos', '--out', 'a', '--epochs', '0'], 2, "'--epochs'"),
        (['', '--out', 'a'], 2, "Invalid value for 'DIR': is empty"),
        (['photos'], 2, "Missing option '--out'"),
        (['photos', '--out', 'a', '--cfg-options', 'x'], 2, 'key=value'),
    ],
)
def test_what_cannot_be_meant_is_one_line(pretrain, place, args, code, said):
    (place / 'empty').mkdir()
    (place / 'full').mkdir()
    (place / 'full/thesis.txt').write_text('work of years')
    (place / 'open.py').write_text('model = dict(')
    found, _, err = pretrain(*args)
    assert found == code and said in err
    assert not (place / 'a').exists(), 'nothing is left behind'
    if code == 1:
        assert err.startswith('cmae: ') and err.count('\n') == 0


@pytest.mark.slow
def test_damaged_checkpoints_are_not_written_over(pretrain, place):
    pretrain('photos', '--out', 'a', *QUICK)
    for file in (place / 'a').glob('*.pth'):
        file.write_bytes(b'damaged')
    code, _, err = pretrain('photos', '--out', 'a', *QUICK)
    assert code == 1 and 'None of the checkpoints in' in err
    assert (place / 'a/epoch_2.pth').read_bytes() == b'damaged'


@pytest.mark.slow
def test_a_config_in_the_place_of_a_name(pretrain, place):
    pretrain('photos', '--out', 'a', *QUICK)
    quick = [option for option in QUICK if 'arch' not in option]
    code, out, _ = pretrain('photos', '--out', 'b', '--config', 'a/config.py', *quick)
    assert code == 0 and 'network    that of ' in out
    one, other = (Config.fromfile(place / x / 'config.py').model for x in 'ab')
    assert one == other
