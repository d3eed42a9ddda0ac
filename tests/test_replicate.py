"""The replication of the paper's claims: its variants, its records, its table."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / 'tools'))

import replicate  # noqa: E402
import replicate_runs  # noqa: E402
from replicate_table import write_markdown  # noqa: E402


def config(experiment, variant):
    cfg = Config.fromfile(
        replicate_runs.CONFIGS / replicate_runs.EXPERIMENTS[experiment].pretrain
    )
    change = replicate_runs.LADDER[variant]
    if change:
        change(cfg)
    return cfg


@pytest.mark.parametrize('experiment', ['cifar10', 'camvid'])
def test_each_rung_adds_one_thing(experiment):
    def facts(variant):
        cfg = config(experiment, variant)
        views = replicate_runs._two_views(cfg).transforms
        return dict(
            weight=cfg.model.contrastive_weight > 0,
            shift=len(views) > 1 and views[1][0].shift_range[1] > 1,
            decoder=cfg.model.feature_decoder is not None,
            colour=len(views) > 1 and len(views[1]) > 1,
        )

    rungs = ['mae', 'contrastive', 'pixel_shift', 'feature_decoder', 'cmae']
    found = [facts(rung) for rung in rungs]
    # MAE keeps the config of its unused decoder; it is not built.
    found[0]['decoder'] = False
    for (below, above), added in zip(
        zip(found, found[1:], strict=False),
        ['weight', 'shift', 'decoder', 'colour'],
        strict=True,
    ):
        changed = {name for name in above if above[name] != below[name]}
        assert changed == {added}
        assert above[added]


def test_length_stretches_the_schedule():
    cfg = config('cifar10', 'cmae')
    replicate_runs._stretch(cfg, 4)
    assert cfg.train_cfg.max_epochs == 8
    assert cfg.param_scheduler[1].end == 8
    with pytest.raises(SystemExit, match='are a length of 0.5'):
        replicate_runs._stretch(config('cifar10', 'cmae'), 0.2)


def test_a_larger_batch_gets_a_larger_rate_and_the_same_warm_up():
    cfg = config('cifar10', 'cmae')
    before = cfg.optim_wrapper.optimizer.lr
    replicate_runs._resize_batch(cfg, 128)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(2 * before)
    assert cfg.param_scheduler[0].end == 75


@pytest.mark.parametrize('variant', ['mae', 'cmae'])
def test_gpu_scale_builds(variant):
    cfg = Config.fromfile(
        replicate_runs.CONFIGS / replicate_runs.EXPERIMENTS['cifar10'].pretrain
    )
    replicate_runs.gpu(cfg)
    replicate_runs.LADDER[variant](cfg)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert model.backbone.embed_dims == 384
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[1].end == 200
    finetune = Config.fromfile(
        replicate_runs.CONFIGS / 'cifar10/vit-nano-p4_bs64-4e_cifar10.py'
    )
    replicate_runs.gpu(finetune)
    assert finetune.model.head.in_channels == 384


def record(variant, seed, knn, experiment='cifar10', length=1.0):
    run = dict(
        experiment=experiment,
        scale='cpu',
        variant=variant,
        length=length,
        batch=None,
        seed=seed,
    )
    numbers = dict(knn=knn, linear=1.0, partial_1=2.0, full=3.0, pretrain_seconds=9)
    return dict(run=run, numbers=numbers, seconds=10)


def test_table_gives_mean_and_deviation():
    table = write_markdown(
        [record('mae', seed, knn) for seed, knn in enumerate((1, 3))]
    )
    assert '| MAE | 2 | 2.00 ± 1.41 | 1.00 ± 0.00 |' in table


def test_cmae_is_a_rung_only_above_the_others():
    below = [record('feature_decoder', 0, 1.0)]
    assert '| CMAE | 1 |' in write_markdown([record('cmae', 0, 1.0)])
    assert '| + colour = CMAE | 1 |' in write_markdown([record('cmae', 0, 1.0), *below])


def test_curve_pairs_the_seeds_of_both_experiments():
    records = [
        record('mae', 0, 10),
        record('mae', 1, 20),
        record('mae', 2, 99),  # no CMAE of this seed
        record('cmae', 0, 11),
        record('cmae', 1, 23),
    ]
    assert 'over length and batch' not in write_markdown(records)
    for variant, knn in (('mae', 30), ('cmae', 35)):
        records.append(record(variant, 0, knn, 'cifar10_frozen', 4.0))
    rows = write_markdown(records).splitlines()
    assert any(
        row.startswith(
            '| 1 | as in the config | 2 | 15.00 ± 7.07 | 17.00 ± 8.49 | 2.00 ± 1.41 |'
        )
        for row in rows
    )
    assert any(row.startswith('| 4 | as in the config | 1 | 30.00 |') for row in rows)
    assert sum('scale cpu' in row for row in rows) == 2  # no table of its own


def test_what_is_recorded_is_not_run_again(tmp_path, monkeypatch):
    monkeypatch.setattr(replicate, 'RECORDS', tmp_path / 'records.json')
    monkeypatch.setattr(replicate, 'WORK_DIR', tmp_path / 'runs')
    replicate.save_record(record('mae', 0, 1.0))
    replicate.save_record(record('cmae', 0, 1.0))
    parsed = type(
        'Args',
        (),
        dict(
            experiment='cifar10',
            variants=['mae', 'cmae'],
            scale='cpu',
            seeds=[0, 1],
            lengths=[1.0],
            batch=None,
        ),
    )
    left = replicate.wanted_runs(parsed)
    assert [(run['variant'], run['seed']) for run in left] == [('mae', 1), ('cmae', 1)]
    assert len(json.loads(replicate.RECORDS.read_text())) == 2


def test_document_is_what_the_records_say():
    """No number in docs/replication.md is written by hand."""
    document = ROOT / 'docs/replication.md'
    assert document.read_text() == write_markdown(replicate.load_records())


@pytest.fixture
def few_photos(tmp_path, monkeypatch):
    """A CIFAR-10 of 40 pictures of noise, and configs that use it."""
    import mmcv

    for part in ('train', 'test'):
        for kind in 'ab':
            for number in range(10):
                picture = np.random.default_rng(number).integers(0, 256, (32, 32, 3))
                file = tmp_path / 'cifar10' / part / kind / f'{number}.jpg'
                mmcv.imwrite(picture.astype('uint8'), str(file))
    original = Config.fromfile

    def small(file, **kwargs):
        cfg = original(file, **kwargs)
        for name in ('train_dataloader', 'test_dataloader', 'val_dataloader'):
            _point_to(cfg.get(name), tmp_path)
        _point_to(cfg.test_cfg.get('bank_dataloader'), tmp_path)
        cfg.train_dataloader.batch_size = 10
        return cfg

    monkeypatch.setattr(replicate_runs.Config, 'fromfile', small)


def _point_to(loader, root):
    if loader:
        loader.dataset.data_root = str(root / loader.dataset.data_root[5:])
        loader.dataset.indices = None


@pytest.mark.slow
def test_frozen_features_alone(few_photos, tmp_path):
    run = record('mae', 0, 0, 'cifar10_frozen')['run']
    numbers = replicate_runs.measure(run, tmp_path / 'runs')
    assert set(numbers) == {'knn', 'linear', 'pretrain_seconds'}


@pytest.mark.slow
@pytest.mark.parametrize('variant', ['random', 'mae', 'cmae'])
def test_a_run_gives_every_number(variant, few_photos, tmp_path):
    run = record(variant, 0, 0)['run']
    numbers = replicate_runs.measure(run, tmp_path / 'runs')
    assert set(numbers) == {'knn', 'linear', 'partial_1', 'full', 'pretrain_seconds'}
    assert all(0 <= numbers[name] <= 100 for name in ('knn', 'linear', 'full'))


def test_numbers_of_any_metric_can_be_kept():
    numbers = replicate_runs.rounded(dict(miou=np.float32(21.114), box_ap=3.196))
    assert json.loads(json.dumps(numbers)) == dict(miou=21.11, box_ap=3.2)
