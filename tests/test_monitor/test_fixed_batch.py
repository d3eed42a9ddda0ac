"""The same batch every time, and shifts that are those of its pixels."""

import copy

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from cmae_mm.monitor.fixed_batch import choose_batch, spread

REFERENCE = [
    dict(type='cmae_mm.LoadImage'),
    dict(type='RandomResizedCrop', scale=20, backend='pillow'),
    dict(
        type='MultiView',
        num_views=[1, 1],
        transforms=[
            [dict(type='cmae_mm.PixelShift', size=16, shift_range=(0, 3))],
            [dict(type='cmae_mm.PixelShift', size=16, shift_range=(0, 5))],
        ],
    ),
    dict(type='PackInputs'),
]
NO_TEST = dict.fromkeys(['test_dataloader', 'test_cfg', 'test_evaluator'])


@pytest.fixture
def runner(tiny_cfg, make_config, tmp_path):
    """Make a runner that has a data loader, but trains nothing."""
    count = iter(range(9))

    def make(pipeline, **settings):
        cfg = make_config(tiny_cfg, tmp_path / f'{next(count)}', None, **settings)
        cfg.train_dataloader.dataset.pipeline = pipeline
        cfg.experiment_name = cfg.work_dir.replace('/', '-')
        runner = Runner.from_cfg(cfg)
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        return runner

    return make


@pytest.mark.parametrize('reference', [False, True])
def test_shifts_are_those_of_the_pixels(runner, pipeline, reference):
    runner = runner(copy.deepcopy(REFERENCE) if reference else pipeline)
    batch = choose_batch(runner, 6, seed=0)
    assert batch.source == 'validation or test set'
    assert batch.eight_bit
    online, target = batch.views
    assert online.shape == target.shape == (6, 3, 16, 16)
    assert len(set(map(tuple, batch.shifts.tolist()))) > 1
    for view, shifted, (down, right) in zip(
        online, target, batch.shifts.tolist(), strict=True
    ):
        a = view[
            :, max(down, 0) : 16 + min(down, 0), max(right, 0) : 16 + min(right, 0)
        ]
        b = shifted[
            :, max(-down, 0) : 16 - max(down, 0), max(-right, 0) : 16 - max(right, 0)
        ]
        assert torch.equal(a, b)
    np.random.seed(77)
    again = choose_batch(runner, 6, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(batch.views, again.views, strict=True))
    other = choose_batch(runner, 6, seed=1)
    assert not torch.equal(other.views[0], batch.views[0])


def test_without_test_images_those_of_the_training_are_taken(runner, pipeline):
    batch = choose_batch(runner(pipeline, **NO_TEST), 5, seed=0)
    assert batch.source == 'training set' and len(batch.views[0]) == 5


def test_crops_of_their_own_have_no_known_shift(runner):
    pipeline = copy.deepcopy(REFERENCE)
    crop = dict(type='RandomResizedCrop', scale=16, backend='pillow')
    pipeline[2]['transforms'] = [[crop], [crop]]
    assert choose_batch(runner(pipeline), 4, seed=0).shifts is None
    # One step that serves both views says only the last offset.
    pipeline = copy.deepcopy(REFERENCE)
    pipeline[2].update(num_views=[2], transforms=pipeline[2]['transforms'][1:])
    assert choose_batch(runner(pipeline), 4, seed=0).shifts is None


def test_images_that_are_refused_are_left_out(runner, pipeline, tmp_path):
    (tmp_path / 'bad').mkdir()
    for i in range(3):
        (tmp_path / f'bad/{i}.jpg').write_bytes(b'no picture')
    data = dict(data_root=str(tmp_path / 'bad'), with_label=False)
    settings = {'test_dataloader.dataset': data}
    with pytest.raises(ValueError, match='Only 0 of 4 images'):
        choose_batch(runner(pipeline, **settings), 4, seed=0)


def test_spread_is_even_and_without_repeats():
    assert spread(10, 5) == [0, 2, 4, 6, 8]
    assert spread(3, 5) == [0, 1, 2]
    assert spread(0, 5) == []
