"""Pictures of noise, and small real runs on them."""

import copy
import json
import random

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from cmae_mm.guards.partial_run import Enough, StopAfterHook
from cmae_mm.guards.verify_resume import fingerprints

EPOCH = 4  # iterations: twelve pictures, batches of three
PIPELINE = [
    dict(type='cmae_mm.FastMasterCrop', scale=20),
    dict(type='cmae_mm.TwoViews', size=16, shift_range=(0, 5)),
    dict(type='PackInputs'),
]
TEST_PIPELINE = [
    dict(type='cmae_mm.LoadImage'),
    dict(type='Resize', scale=16),
    dict(type='PackInputs'),
]
PREPROCESSOR = dict(
    type='SelfSupDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3, to_rgb=True
)


@pytest.fixture(scope='session')
def pictures(tmp_path_factory):
    """Two classes of six pictures of noise, 24x30."""
    folder = tmp_path_factory.mktemp('pictures')
    noise = np.random.default_rng(0)
    for i in range(12):
        (folder / f'class{i % 2}').mkdir(exist_ok=True)
        img = noise.integers(0, 256, (24, 30, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'class{i % 2}/{i}.png'), img)
    return folder


def labelled(folder):
    """A loader of the same pictures with their classes."""
    return dict(
        batch_size=4,
        num_workers=0,
        persistent_workers=False,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
        dataset=dict(
            type='CustomDataset', data_root=str(folder), pipeline=TEST_PIPELINE
        ),
    )


def config(model, pictures, work_dir, monitor, **settings):
    """A run of three epochs; ``monitor`` are the settings of the hook, or None."""
    hooks = dict(
        runtime_info=dict(type='cmae_mm.DeferredRuntimeInfoHook'),
        resume=dict(type='cmae_mm.ExactResumeHook'),
        checkpoint=dict(type='cmae_mm.DurableCheckpointHook', interval=-1),
        logger=dict(type='LoggerHook', interval=2),
    )
    if monitor is not None:
        hooks['monitor'] = dict(type='cmae_mm.LearningMonitor', **monitor)
    cfg = Config(
        dict(
            model={'data_preprocessor': PREPROCESSOR, **copy.deepcopy(model)},
            work_dir=str(work_dir),
            train_dataloader=dict(
                batch_size=3,
                num_workers=0,
                persistent_workers=False,
                collate_fn=dict(type='default_collate'),
                sampler=dict(type='cmae_mm.SeededSampler'),
                dataset=dict(
                    type='CustomDataset',
                    data_root=str(pictures),
                    with_label=False,
                    pipeline=copy.deepcopy(PIPELINE),
                ),
            ),
            train_cfg=dict(type='cmae_mm.EndlessEpochLoop', max_epochs=3),
            test_dataloader=labelled(pictures),
            test_cfg=dict(
                type='cmae_mm.KNNTestLoop', bank_dataloader=labelled(pictures)
            ),
            test_evaluator=dict(type='cmae_mm.KNNAccuracy'),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-2)),
            custom_imports=dict(imports=['cmae_mm']),
            custom_hooks=[dict(type='cmae_mm.PlainCheckpointHook')],
            default_hooks=hooks,
            visualizer=dict(
                type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]
            ),
            randomness=dict(seed=0),
            default_scope='mmpretrain',
            log_level='WARNING',
        )
    )
    cfg.merge_from_dict(settings)
    return cfg


class Seen:
    """What a run has written."""

    def __init__(self, work_dir):
        self.images = {file.stem: file for file in work_dir.glob('*/vis_data/*/*.png')}
        lines = [
            json.loads(line)
            for file in sorted(work_dir.glob('*/vis_data/scalars.json'))
            for line in file.read_text().splitlines()
        ]
        self.figures = {
            line['step']: {
                k.removeprefix('monitor/'): v for k, v in line.items() if k != 'step'
            }
            for line in lines
            if any(name.startswith('monitor/') for name in line)
        }

    @property
    def last(self):
        return self.figures[max(self.figures)]


@pytest.fixture
def make_config(pictures):
    """:func:`config` for the pictures of noise."""
    return lambda model, work_dir, monitor, **settings: config(
        model, pictures, work_dir, monitor, **settings
    )


@pytest.fixture
def read_run():
    """What a run has written, by its folder."""
    return Seen


@pytest.fixture
def pipeline():
    """The fast pipeline of views of 16 px; free to be changed."""
    return copy.deepcopy(PIPELINE)


@pytest.fixture
def train(pictures, tmp_path):
    """Run a config until a step (None: to the end), as if in a new process."""
    runs = []

    def run(model, monitor, name='run', until=None, resume=False, **settings):
        for forget in (random.seed, np.random.seed, torch.manual_seed):
            forget(1000 + len(runs))
        runs.append(name)
        cfg = config(model, pictures, tmp_path / name, monitor, **settings)
        cfg.resume = resume
        cfg.experiment_name = f'{cfg.work_dir}-{len(runs)}'.replace('/', '-')
        runner = Runner.from_cfg(cfg)
        if until is None:
            runner.train()
            return Seen(tmp_path / name)
        runner.register_hook(StopAfterHook(until))
        with pytest.raises(Enough):
            runner.train()
        return fingerprints(f'{cfg.work_dir}/iter_{until}.pth')

    return run
