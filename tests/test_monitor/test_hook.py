"""Small real runs: what is written when, and that the run stays what it was."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import HOOKS

from cmae_mm.guards import check_config
from cmae_mm.monitor import LearningMonitor

SMALL = dict(interval=2, num_images=4, num_pictures=2)
LEARNING = {'loss_reconstruction', 'loss_contrastive', 'acc_contrastive'}
LEARNING |= {'similarity_positive', 'similarity_hardest', 'gradient_cosine'}
LEARNING |= {'gradient_share_reconstruction', 'gradient_share_contrastive'}
VISIBLE = {'match_visible', 'match_visible_foreign', 'match_chance'}
COMPLETED = {'match_accuracy', 'match_accuracy_foreign'}
NO_TEST = dict.fromkeys(['test_dataloader', 'test_cfg', 'test_evaluator'])
ACCURACIES = {'knn_top1', 'linear_top1'}


def test_a_run_is_shown_from_its_beginning_to_its_end(tiny_cfg, train):
    seen = train(tiny_cfg, SMALL)
    assert sorted(seen.figures) == [0, 8, 12]  # epochs 0, 2, and the last
    kinds = ('monitor_view', 'monitor_match')
    names = {f'{k}_{i}_{s}' for k in kinds for i in (0, 1) for s in (0, 8, 12)}
    assert set(seen.images) == names
    everything = LEARNING | VISIBLE | COMPLETED | ACCURACIES | {'seconds'}
    assert set(seen.last) == everything
    assert all(np.isfinite(value) for value in seen.last.values())
    # The same views: inputs alike in every picture; the reconstruction is not.
    first, last = (cv2.imread(str(seen.images[f'monitor_view_0_{s}'])) for s in (0, 12))
    assert first.shape == (192, 4 * 192 + 3 * 4, 3)
    assert np.array_equal(first[:, :388], last[:, :388])  # input and mask
    assert np.array_equal(first[:, -192:], last[:, -192:])  # target view
    assert not np.array_equal(first, last)
    match = cv2.imread(str(seen.images['monitor_match_0_12']))
    assert match.shape == (2 * 192 + 4, 4 * 192 + 3 * 4, 3)
    assert (match[192:196] == 255).all()


def test_the_run_is_bit_for_bit_the_one_without(tiny_cfg, train):
    often = {**SMALL, 'interval': 1}
    tiny_cfg['projector']['norm_cfg'] = dict(type='BN1d')  # has statistics to keep
    plain = train(tiny_cfg, None, 'plain', until=9)
    assert train(tiny_cfg, often, 'shown', until=9) == plain
    train(tiny_cfg, often, 'resumed', until=5)
    assert train(tiny_cfg, often, 'resumed', until=9, resume=True) == plain


def test_a_resumed_run_does_not_begin_again(tiny_cfg, train, tmp_path, read_run):
    train(tiny_cfg, SMALL, until=5)
    train(tiny_cfg, SMALL, until=9, resume=True)
    assert sorted(read_run(tmp_path / 'run').figures) == [0, 8]


def test_a_loop_by_iterations(tiny_cfg, train):
    settings = {
        'train_cfg': dict(type='IterBasedTrainLoop', max_iters=5, _delete_=True),
        'default_hooks.logger.log_metric_by_epoch': False,
    }
    seen = train(tiny_cfg, {**SMALL, 'by_epoch': False}, **settings)
    assert sorted(seen.figures) == [0, 2, 4, 5]


@pytest.mark.parametrize(
    'change, figures, kinds',
    [
        (
            dict(contrastive_weight=0),
            {'loss_reconstruction'},
            {'monitor_view'},
        ),
        (
            dict(feature_decoder=None),
            LEARNING | VISIBLE,
            {'monitor_view', 'monitor_match'},
        ),
        (
            dict(
                feature_decoder=dict(
                    type='cmae_mm.SharedFeatureDecoder', decoder_embed_dim=8
                )
            ),
            LEARNING | VISIBLE | COMPLETED,
            {'monitor_view', 'monitor_match'},
        ),
        (
            dict(target_sees_all=False, target_final_norm=False),
            LEARNING | VISIBLE | COMPLETED,
            {'monitor_view', 'monitor_match'},
        ),
    ],
    ids=['mae', 'no decoder', 'shared decoder', 'target-visible'],
)
def test_variants(tiny_cfg, train, change, figures, kinds):
    seen = train({**tiny_cfg, **change}, {**SMALL, 'interval': 3})
    assert set(seen.last) == figures | ACCURACIES | {'seconds'}
    assert {name.rsplit('_', 2)[0] for name in seen.images} == kinds


def test_byol_has_no_infonce_accuracy(tiny_cfg, train):
    tiny_cfg['contrastive_head']['type'] = 'cmae_mm.PositivePairHead'
    seen = train(tiny_cfg, SMALL)
    assert LEARNING - set(seen.last) == {'acc_contrastive'}
    assert 'similarity' not in seen.last


def test_the_hybrid_encoder_and_a_grid_that_is_not_square(tiny_cfg, train, pipeline):
    tiny_cfg['backbone'] = dict(
        type='cmae_mm.CMAEConvViT',
        widths=(8, 12, 16),
        depths=(1, 1, 1),
        strides=(2, 2, 2),
        num_heads=2,
        img_size=(16, 32),
        mask_ratio=0.5,
    )
    pipeline[0]['scale'] = (20, 36)
    pipeline[1]['size'] = (16, 32)
    settings = {'train_dataloader.dataset.pipeline': pipeline, **NO_TEST}
    seen = train(tiny_cfg, SMALL, **settings)
    assert set(seen.last) == LEARNING | VISIBLE | COMPLETED | {'seconds'}
    view = cv2.imread(str(seen.images['monitor_view_0_0']))
    assert view.shape == (192, 4 * 384 + 3 * 4, 3)


def test_bands_of_any_number_and_depth(tiny_cfg, train, tmp_path):
    import tifffile

    noise = np.random.default_rng(0)
    (tmp_path / 'bands').mkdir()
    for i in range(6):
        image = noise.integers(0, 9000, (24, 24, 5), dtype=np.uint16)
        tifffile.imwrite(tmp_path / f'bands/{i}.tif', image, planarconfig='contig')
    tiny_cfg['backbone']['in_channels'] = 5
    tiny_cfg['data_preprocessor'] = dict(
        type='cmae_mm.MultibandDataPreprocessor', mean=[4500.0] * 5, std=[2600.0] * 5
    )
    shift = dict(type='cmae_mm.PixelShift', size=16)
    pipeline = [
        dict(type='cmae_mm.LoadMultibandImage', channels=5),
        dict(
            type='MultiView',
            num_views=[1, 1],
            transforms=[
                [{**shift, 'shift_range': (0, 1)}],
                [{**shift, 'shift_range': (0, 5)}],
            ],
        ),
        dict(type='PackInputs'),
    ]
    dataset = dict(
        type='cmae_mm.UnlabelledImages',
        data_root=str(tmp_path / 'bands'),
        pipeline=pipeline,
        _delete_=True,
    )
    settings = {'train_dataloader.dataset': dataset, **NO_TEST}
    seen = train(tiny_cfg, SMALL, **settings)
    assert set(seen.last) == LEARNING | VISIBLE | COMPLETED | {'seconds'}
    view = cv2.imread(str(seen.images['monitor_view_0_0']))[:, :192]
    assert view.min() == 0 and view.max() == 255  # stretched, not cut off at 255
    assert 100 < view.mean() < 155


def test_labelled_images_that_are_missing_cost_the_accuracies_only(tiny_cfg, train):
    seen = train(tiny_cfg, SMALL, **{'test_dataloader.dataset.data_root': '/nowhere'})
    assert set(seen.last) == LEARNING | VISIBLE | COMPLETED | {'seconds'}


def test_a_failure_ends_the_monitor_and_not_the_run(tiny_cfg, train, monkeypatch):
    def fail(*args):
        raise RuntimeError('no memory left')

    monkeypatch.setattr('cmae_mm.monitor.hook.learning_figures', fail)
    seen = train(tiny_cfg, SMALL)  # all three epochs
    assert seen.figures == {} and seen.images == {}


def test_switched_off_and_on_other_ranks_it_does_nothing(tiny_cfg, train, monkeypatch):
    seen = train(tiny_cfg, {**SMALL, 'interval': 0}, 'off')
    assert seen.figures == {}
    monkeypatch.setattr('cmae_mm.monitor.hook.is_main_process', lambda: False)
    assert train(tiny_cfg, SMALL, 'rank').images == {}


@pytest.mark.parametrize(
    'wrong',
    [
        dict(interval=-1),
        dict(num_images=1),
        dict(num_images=4, num_pictures=5),
        dict(bank_images=-5),
    ],
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match='LearningMonitor got'):
        HOOKS.build(dict(type='cmae_mm.LearningMonitor', **wrong))


def test_misspelt_settings_are_refused():
    hook = dict(type='cmae_mm.LearningMonitor', intervall=3)
    (complaint,) = check_config(dict(default_hooks=dict(monitor=hook)))
    assert complaint == 'default_hooks.monitor.intervall: did you mean interval?'
    (complaint,) = check_config(dict(default_hooks=dict(monitr=dict(interval=3))))
    assert complaint == 'default_hooks.monitr: did you mean monitor?'
    assert check_config(dict(default_hooks=dict(monitor=dict(interval=3)))) == []


def test_another_model_is_left_alone():
    class Runner:
        model, logger, iter, said = None, None, 0, []

    Runner.logger = type(
        '', (), {'info': lambda self, text: Runner.said.append(text)}
    )()
    hook = LearningMonitor()
    hook.before_run(Runner)
    hook.before_train(Runner)
    assert 'shows nothing' in Runner.said[0]


@pytest.mark.slow
def test_two_ranks_neither_wait_for_ever_nor_write_twice(
    tiny_cfg, make_config, read_run, tmp_path
):
    cfg = make_config(tiny_cfg, tmp_path / 'run', SMALL)
    cfg.dump(tmp_path / 'config.py')
    subprocess.run(
        [
            *(sys.executable, '-W', 'ignore', '-m', 'torch.distributed.run'),
            *('--standalone', '--nproc-per-node=2', __file__),
            str(tmp_path / 'config.py'),
        ],
        check=True,
        timeout=200,
        env={**os.environ, 'CUDA_VISIBLE_DEVICES': '-1'},
    )
    seen = read_run(tmp_path / 'run')
    assert sorted(seen.figures) == [0, 4, 6]  # two iterations per epoch and rank
    assert len(list(Path(tmp_path / 'run').glob('*/vis_data/scalars.json'))) == 1


if __name__ == '__main__':
    from mmengine.config import Config
    from mmengine.runner import Runner

    from cmae_mm.guards.partial_run import join_processes

    cfg = Config.fromfile(sys.argv[1])
    join_processes(cfg)
    Runner.from_cfg(cfg).train()
