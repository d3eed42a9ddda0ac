"""Batch, rate and length of a training."""

import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

from cmae_mm.pretraining import choices
from cmae_mm.pretraining.pictures import Pictures
from cmae_mm.pretraining.recipes import load_recipe

CONFIGS = Path(__file__).parents[2] / 'configs'
GIB = 2**30


@pytest.fixture
def cfg():
    return load_recipe('vit-small')


@pytest.fixture
def memory(monkeypatch):
    """Set the free memory, in GiB."""

    def set_free(free):
        bytes_free = None if free is None else int(free * GIB)
        monkeypatch.setattr(choices, 'free_memory', lambda device: bytes_free)

    return set_free


def pictures(count):
    return Pictures('/photos', count, 300)


@pytest.mark.parametrize('epochs', [300, 800, 1600])
def test_lengths_are_those_of_the_packaged_configs(epochs):
    base, longer = (
        Config.fromfile(
            CONFIGS / f'pretrain/cmae_vit-base-p16_32xb128-amp-coslr-{e}e_in1k.py'
        )
        for e in (300, epochs)
    )
    choices.choose_epochs(base, epochs)
    assert base.param_scheduler == longer.param_scheduler
    assert base.train_cfg == longer.train_cfg


@pytest.mark.parametrize('epochs', [1, 2, 3, 5, 30])
def test_short_schedules_fill_the_training_without_a_gap(cfg, epochs):
    choices.choose_epochs(cfg, epochs)
    edges = [(s.begin, s.end) for s in cfg.param_scheduler]
    assert edges[0][0] == 0 and edges[-1][1] == epochs
    assert all(begin < end for begin, end in edges)
    assert all(a[1] == b[0] for a, b in zip(edges, edges[1:], strict=False))


@pytest.mark.parametrize(
    'settings, epochs, expected',
    [
        (dict(begin=40, end=300, T_max=260), 30, dict(begin=4, end=30, T_max=26)),
        (dict(begin=40, end=300, T_max=260), 800, dict(begin=40, end=800, T_max=760)),
        (dict(begin=40, end=300, T_max=130), 30, dict(begin=4, end=30, T_max=13)),
        (dict(T_max=300), 30, dict(T_max=30)),
        (dict(begin=0, end=300, T_max=None), 30, dict(begin=0, end=30, T_max=None)),
        (dict(begin=0, end=9000, T_max=9000, by_epoch=False), 30, dict(T_max=9000)),
    ],
)
def test_a_cosine_keeps_its_share_of_the_training(cfg, settings, epochs, expected):
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', **settings)]
    choices.choose_epochs(cfg, epochs)
    (moved,) = cfg.param_scheduler
    assert {name: moved[name] for name in expected} == expected


def test_a_shortened_cosine_falls_to_its_end(cfg):
    cosine = dict(type='CosineAnnealingLR', begin=40, end=300, T_max=260, eta_min=0.01)
    cfg.param_scheduler = [cosine]
    choices.choose_epochs(cfg, 30)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = PARAM_SCHEDULERS.build(
        cfg.param_scheduler[0], default_args=dict(optimizer=optimizer)
    )
    rates = []
    for _ in range(30):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        schedule.step()
    assert rates[:4] == [1.0] * 4 and rates[4 + 13] == pytest.approx(0.505, abs=0.06)
    assert rates[-1] == pytest.approx(0.01, abs=0.02)


def test_without_a_wish_the_recipe_holds(cfg):
    before = Config(cfg.to_dict())
    said = choices.choose_epochs(cfg, None)
    assert said.startswith('300, ') and cfg.param_scheduler == before.param_scheduler


def test_much_data_and_memory_give_the_recipe(cfg, memory):
    memory(1000)
    said = choices.choose_batch(
        cfg, pictures(10**6), None, 4096, measure=lambda images: images * GIB // 10
    )
    assert cfg.train_dataloader.batch_size == 4096
    assert said.startswith('4096 images, 244 steps per epoch: the batch of the recipe')


@pytest.mark.parametrize('count', [2, 9, 17, 100, 1000, 20000])
def test_few_images_still_make_steps(cfg, memory, count):
    memory(1000)
    choices.choose_batch(cfg, pictures(count), None, 4096, measure=lambda images: 0)
    batch = cfg.train_dataloader.batch_size
    assert 2 <= batch <= count
    assert batch <= 16 or count // batch >= 16


def test_memory_has_the_last_word(cfg, memory):
    memory(10)
    cost = lambda images: GIB + images * GIB // 8  # noqa: E731
    said = choices.choose_batch(cfg, pictures(10**5), None, 4096, measure=cost)
    batch = cfg.train_dataloader.batch_size
    assert cost(batch) <= 8 * GIB < cost(batch + 8) and batch % 8 == 0
    assert 'more would not fit into 80 % of the 10.0 GiB free (cpu)' in said


def test_a_real_step_is_measured(cfg, memory, monkeypatch):
    asked = []

    def measure_step(config, batch_size, steps):
        asked.append((config is cfg, batch_size, steps))
        return SimpleNamespace(peak_bytes=batch_size * GIB)

    module = ModuleType('cmae_mm.planning.measure')
    module.measure_step = measure_step
    monkeypatch.setitem(sys.modules, module.__name__, module)
    memory(20)
    cost = partial(choices.step_bytes, cfg)
    choices.choose_batch(cfg, pictures(10**4), None, 4096, cost)
    assert asked == [(True, 2, 1), (True, 8, 1)]
    assert cfg.train_dataloader.batch_size == 16


def test_where_the_memory_is_unknown_nothing_is_measured(cfg, memory):
    memory(None)
    said = choices.choose_batch(cfg, pictures(10**6), None, 4096, measure=None)
    assert cfg.train_dataloader.batch_size == 4096 and 'not known' in said


def test_a_wish_is_taken_if_it_can_be(cfg):
    said = choices.choose_batch(cfg, pictures(100), 30, 4096, None)
    assert cfg.train_dataloader.batch_size == 30
    assert said == '30 images, 3 steps per epoch: as asked'
    with pytest.raises(ValueError, match='--batch 1: InfoNCE compares'):
        choices.choose_batch(cfg, pictures(100), 1, 4096, None)
    with pytest.raises(ValueError, match='--batch 101: there are 100 images'):
        choices.choose_batch(cfg, pictures(100), 101, 4096, None)


def test_the_rate_is_that_of_mim_train_with_auto_scale_lr(cfg):
    """MMEngine's own rule: rate x batch / base batch."""
    base, recipe = cfg.optim_wrapper.optimizer.lr, cfg.auto_scale_lr.base_batch_size
    cfg.train_dataloader.batch_size = 64
    said = choices.choose_rate(cfg)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(base * 64 / recipe)
    assert said.startswith('3.75e-05 = 0.00015 x 64 / 256')
    assert cfg.auto_scale_lr.base_batch_size == 64, 'not twice'


@pytest.mark.parametrize(
    'count, batch, epochs, logger, checkpoint',
    [(10**6, 100, 300, 100, 1), (400, 10, 300, 40, 5), (20, 10, 3, 2, 3)],
)
def test_intervals(cfg, count, batch, epochs, logger, checkpoint):
    cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs = batch, epochs
    choices.choose_intervals(cfg, pictures(count))
    assert cfg.default_hooks.logger.interval == logger
    assert cfg.default_hooks.checkpoint.interval == checkpoint


@pytest.mark.parametrize(
    'capability, kind',
    [
        (None, 'OptimWrapper'),
        ((7, 5), 'AmpOptimWrapper'),
        ((9, 0), 'cmae_mm.AutocastOptimWrapper'),
    ],
)
def test_precision_is_that_of_the_device(cfg, monkeypatch, capability, kind):
    monkeypatch.setattr('torch.cuda.is_available', lambda: capability is not None)
    monkeypatch.setattr('torch.cuda.get_device_capability', lambda: capability)
    choices.choose_precision(cfg)
    assert cfg.optim_wrapper.type == kind


@pytest.mark.parametrize('gpu, arch', [(True, 'vit-small'), (False, 'vit-tiny')])
def test_the_network_is_one_for_the_device(monkeypatch, gpu, arch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: gpu)
    assert choices.choose_arch()[0] == arch
