"""Runs as they lie on the disk, made without training."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

SCALES = dict(mean=[120.0, 120.0, 120.0], std=[60.0, 60.0, 60.0])


def _write_part(folder, stamp, records=(), pictures=(), log='', results=None):
    """Write what MMEngine leaves of one start."""
    part = folder / stamp
    images = part / 'vis_data' / 'vis_image'
    images.mkdir(parents=True)
    lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
    (part / 'vis_data' / 'scalars.json').write_text('\n'.join(lines) + '\n')
    for name in pictures:
        strip = np.random.default_rng(len(name)).integers(0, 256, (16, 64, 3))
        Image.fromarray(strip.astype(np.uint8)).save(images / f'{name}.png')
    if log:
        (part / f'{stamp}.log').write_text(log)
    if results:
        (part / f'{stamp}.json').write_text(json.dumps(results))
    return part


def _steps(first, last, scale=1.0):
    """Records of training, one per iteration."""
    return [
        dict(loss=scale / i, lr=0.1, time=0.5, iter=i, epoch=1 + i // 10, step=i)
        for i in range(first, last + 1)
    ]


@pytest.fixture
def write_part():
    """Write what MMEngine leaves of one start."""
    return _write_part


@pytest.fixture
def steps():
    """Records of training, one per iteration."""
    return _steps


@pytest.fixture
def resumed(tmp_path):
    """A training that died at iteration 6 and went on after iteration 4."""
    folder = tmp_path / 'run'
    views = [f'monitor_view_0_{i}' for i in (2, 4, 6)]
    _write_part(folder, '20260101_100000', _steps(1, 6), views)
    views = [f'monitor_view_0_{i}' for i in (6, 8)]
    _write_part(folder, '20260101_120000', _steps(5, 8, scale=2.0), views)
    return folder


@pytest.fixture
def trained(tmp_path, tiny_cfg, build):
    """A run of a toy CMAE: records, pictures, config, data and a checkpoint."""
    folder, data = tmp_path / 'run', tmp_path / 'data'
    dice = np.random.default_rng(0)
    for name in ('ant', 'bee'):
        (data / name).mkdir(parents=True)
        for i in range(4):
            pixels = dice.integers(0, 256, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(data / name / f'{i}.png')
    preprocessor = dict(type='SelfSupDataPreprocessor', to_rgb=True, **SCALES)
    model = tiny_cfg | dict(data_preprocessor=preprocessor)
    dataset = dict(
        type='CustomDataset',
        data_root=str(data),
        pipeline=[dict(type='cmae_mm.LoadImage'), dict(type='PackInputs')],
    )
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            model=model,
            train_dataloader=dict(batch_size=4),
            test_dataloader=dict(dataset=dataset),
            randomness=dict(seed=3),
        )
    )
    names = ['monitor_view_0_2', 'monitor_view_0_4', 'monitor_match_0_4', 'val_a.jpg_4']
    part = _write_part(folder, '20260101_100000', _steps(1, 4), names)
    cfg.dump(part / 'vis_data' / 'config.py')
    cfg.dump(folder / 'toy.py')
    checkpoint = dict(
        state_dict=build(model).state_dict(),
        optimizer={},
        message_hub={},
        meta=dict(
            epoch=1,
            iter=4,
            seed=3,
            versions=dict(cmae_mm='9.9'),
            run=dict(names='0123456789abcdef', images=8, batch_size=4, world_size=2),
        ),
    )
    torch.save(checkpoint, folder / 'epoch_1.pth')
    return folder
