"""A resumed run is the run that was not interrupted, bit for bit."""

import copy
import random

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from cmae_mm.guards.partial_run import Enough, StopAfterHook
from cmae_mm.guards.verify_resume import fingerprints

COLOUR = dict(
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    jitter_prob=0.8,
    grey_prob=0.2,
)
COLOUR.update(blur_prob=0.5, blur_sigma=(0.1, 2.0))
FAST = [
    dict(type='cmae_mm.FastMasterCrop', scale=20),
    dict(type='cmae_mm.TwoViews', size=16, shift_range=(0, 5), colour=COLOUR),
    dict(type='PackInputs'),
]
# Steps that draw from NumPy's generator and, in torchvision, from torch's.
REFERENCE = [
    dict(type='cmae_mm.LoadImage'),
    dict(type='RandomResizedCrop', scale=20, backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='MultiView',
        num_views=[1, 1],
        transforms=[
            [dict(type='cmae_mm.PixelShift', size=16, shift_range=(0, 1))],
            [
                dict(type='cmae_mm.PixelShift', size=16, shift_range=(0, 5)),
                dict(type='NumpyToPIL', to_rgb=True),
                dict(type='torchvision/ColorJitter', brightness=0.4, hue=0.1),
                dict(type='PILToNumpy', to_bgr=True),
            ],
        ],
    ),
    dict(type='PackInputs'),
]
EPOCH = 4  # iterations: twelve pictures, batches of three


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pictures')
    noise = np.random.default_rng(0)
    for i in range(12):
        img = noise.integers(0, 256, (24, 30, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'{i}.jpg'), img)
    return folder


class Train:
    """Runs of one config in one folder, each as if in a new process."""

    def __init__(self, cfg, pictures, work_dir, pipeline=FAST, workers=0, **settings):
        self.cfg = Config(
            dict(
                model=copy.deepcopy(cfg),
                work_dir=str(work_dir),
                train_dataloader=dict(
                    batch_size=3,
                    num_workers=workers,
                    persistent_workers=settings.pop('persistent', workers > 0),
                    collate_fn=dict(type='default_collate'),
                    sampler=dict(type='cmae_mm.SeededSampler'),
                    dataset=dict(
                        type='CustomDataset',
                        data_root=str(pictures),
                        with_label=False,
                        pipeline=pipeline,
                    ),
                ),
                train_cfg=dict(type='cmae_mm.EndlessEpochLoop', max_epochs=3),
                optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-2)),
                param_scheduler=dict(
                    type='CosineAnnealingLR', T_max=12, by_epoch=False
                ),
                custom_imports=dict(imports=['cmae_mm']),
                custom_hooks=[dict(type='cmae_mm.PlainCheckpointHook')],
                default_hooks=dict(
                    runtime_info=dict(type='cmae_mm.DeferredRuntimeInfoHook'),
                    resume=dict(type='cmae_mm.ExactResumeHook'),
                    checkpoint=dict(type='cmae_mm.DurableCheckpointHook', interval=-1),
                    logger=dict(type='LoggerHook', interval=5),
                ),
                randomness=dict(seed=0),
                default_scope='mmpretrain',
                log_level='ERROR',
            )
        )
        self.cfg.merge_from_dict(settings)
        self.runs = 0

    def until(self, steps, resume=False):
        """Train on until so many steps are done; fingerprints of what was saved."""
        for forget in (random.seed, np.random.seed, torch.manual_seed):
            forget(1000 + self.runs)
        self.runs += 1
        cfg = copy.deepcopy(self.cfg)
        cfg.resume = resume
        cfg.experiment_name = f'{cfg.work_dir}-{self.runs}'.replace('/', '-')
        runner = Runner.from_cfg(cfg)
        runner.register_hook(StopAfterHook(steps))
        with pytest.raises(Enough):
            runner.train()
        return fingerprints(f'{cfg.work_dir}/iter_{steps}.pth')


CASES = [
    (FAST, 0),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in ((FAST, 2), (REFERENCE, 0), (REFERENCE, 1))
    ),
]


@pytest.mark.parametrize('stop', [EPOCH - 1, EPOCH, EPOCH + 2])
@pytest.mark.parametrize('pipeline, workers', CASES)
def test_a_resumed_run_is_the_unbroken_one(
    tiny_cfg, pictures, tmp_path, pipeline, workers, stop
):
    runs = (
        Train(tiny_cfg, pictures, tmp_path / name, pipeline, workers)
        for name in ('unbroken', 'resumed')
    )
    unbroken, resumed = runs
    whole = unbroken.until(2 * EPOCH + 1)
    resumed.until(stop)
    assert resumed.until(2 * EPOCH + 1, resume=True) == whole


@pytest.mark.slow
def test_the_number_of_workers_may_change(tiny_cfg, pictures, tmp_path):
    whole = Train(tiny_cfg, pictures, tmp_path / 'a', workers=0).until(EPOCH + 1)
    Train(tiny_cfg, pictures, tmp_path / 'b', workers=1).until(2)
    again = Train(
        tiny_cfg, pictures, tmp_path / 'b', workers=2, persistent=False
    ).until(EPOCH + 1, resume=True)
    assert again == whole


def test_without_the_hook_the_runs_differ(tiny_cfg, pictures, tmp_path):
    """The comparison can fail: it is the hook that makes them the same."""
    whole = Train(tiny_cfg, pictures, tmp_path / 'a').until(EPOCH + 1)
    runs = Train(tiny_cfg, pictures, tmp_path / 'b')
    runs.until(2)
    runs.cfg.default_hooks.resume = dict(type='cmae_mm.PlainCheckpointHook')
    assert runs.until(EPOCH + 1, resume=True)['state_dict'] != whole['state_dict']


def test_validation_in_between_does_not_move_the_generators(pictures, tmp_path):
    """Resumed after an epoch, a run does not validate that epoch again."""
    from mmengine.evaluator import BaseMetric
    from mmengine.model import BaseModel
    from mmengine.registry import METRICS, MODELS

    @MODELS.register_module(force=True)
    class Draws(BaseModel):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, inputs, data_samples=None, mode='tensor'):
            noise = torch.rand(1)
            if mode == 'predict':
                return data_samples
            return dict(loss=(self.weight * noise).sum())

    @METRICS.register_module(force=True)
    class Nothing(BaseMetric):
        def process(self, data_batch, data_samples):
            self.results.append(0)

        def compute_metrics(self, results):
            return dict(nothing=0.0)

    def run(name):
        train = Train(dict(type='Draws'), pictures, tmp_path / name)
        train.cfg.merge_from_dict(
            dict(
                val_dataloader=copy.deepcopy(train.cfg.train_dataloader),
                val_cfg=dict(),
                val_evaluator=dict(type='Nothing'),
            )
        )
        return train

    whole = run('a').until(2 * EPOCH)
    resumed = run('b')
    resumed.until(EPOCH)
    assert resumed.until(2 * EPOCH, resume=True) == whole


@pytest.mark.parametrize(
    'change, words',
    [
        (
            {'train_dataloader.batch_size': 4},
            'images per batch and process: 3 then, 4 now',
        ),
        (
            {'train_dataloader.dataset.indices': 9},
            'images in the data set: 12 then, 9 now',
        ),
        ({'randomness.seed': 1}, 'seed of the sampler: 0 then, 1 now'),
        (
            {'optim_wrapper.accumulative_counts': 2},
            'batches per optimiser step: 1 then, 2 now',
        ),
    ],
)
def test_another_run_is_not_resumed_unless_one_insists(
    tiny_cfg, pictures, tmp_path, change, words
):
    runs = Train(tiny_cfg, pictures, tmp_path)
    runs.until(2)
    runs.cfg.merge_from_dict(change)
    with pytest.raises(RuntimeError, match=words) as refusal:
        runs.until(3, resume=True)
    assert 'default_hooks.resume.accept_changes=True' in str(refusal.value)
    runs.cfg.default_hooks.resume.accept_changes = True
    assert runs.until(3, resume=True)


def test_a_batch_may_be_cut_into_parts_to_save_memory(tiny_cfg, pictures, tmp_path):
    runs = Train(tiny_cfg, pictures, tmp_path)
    runs.cfg.train_dataloader.drop_last = True
    runs.until(2)
    loop = dict(type='cmae_mm.MicroBatchTrainLoop', micro_batches=3)
    runs.cfg.train_cfg.update(loop)
    assert runs.until(3, resume=True)


def test_a_run_without_a_seed_takes_up_its_own(tiny_cfg, pictures, tmp_path):
    """Two runs without a seed differ, but one of them goes on as itself."""
    runs = Train(tiny_cfg, pictures, tmp_path, randomness=dict(seed=None))
    runs.until(2)
    checkpoint = torch.load(tmp_path / 'iter_2.pth', weights_only=True)
    found = []

    class Look(StopAfterHook):
        def before_train_iter(self, runner, *args, **kwargs):
            found.append(runner.train_dataloader.batch_sampler.sampler.seed)

    cfg = copy.deepcopy(runs.cfg)
    cfg.update(resume=True, experiment_name='without-seed')
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Look(3))
    with pytest.raises(Enough):
        runner.train()
    assert found == [checkpoint['meta']['seed']]


def test_weights_of_another_model_are_not_resumed(tiny_cfg, pictures, tmp_path):
    Train(tiny_cfg, pictures, tmp_path).until(2)
    tiny_cfg['feature_decoder'] = None
    other = Train(tiny_cfg, pictures, tmp_path)
    with pytest.raises(RuntimeError, match='unknown to the model.*feature_decoder'):
        other.until(3, resume=True)
