"""Impossible combinations explain themselves before the first step."""

import copy
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

from cmae_mm.guards import CheckedRunner
from cmae_mm.guards.batches import check_batches

# Runners of one process want names of their own.
NUMBERS = itertools.count()


class CountSteps(Hook):
    """How many steps were taken."""

    steps = 0

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        CountSteps.steps += 1


@pytest.fixture
def pictures(tmp_path):
    """Two folders of six pictures, with the classes 'a' and 'b'."""
    for split, kind, number in itertools.product(('train', 'val'), 'ab', range(3)):
        file = tmp_path / f'pictures/{split}/{kind}/{number}.png'
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8)
        Image.fromarray(pixels).save(file)
    return tmp_path / 'pictures'


def loader(dataset, **options):
    return {
        'batch_size': 2,
        'num_workers': 0,
        'sampler': dict(type='DefaultSampler', shuffle=True),
        'collate_fn': dict(type='default_collate'),
        'dataset': dataset,
        **options,
    }


def run_cfg(tmp_path, model, dataset):
    """As much of a config as a run needs."""
    return Config(
        dict(
            model=model,
            work_dir=str(tmp_path / 'work'),
            train_dataloader=loader(dataset, drop_last=True),
            train_cfg=dict(by_epoch=True, max_epochs=2),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            custom_hooks=[dict(type='cmae_mm.CheckSettingsHook')],
            default_scope='mmpretrain',
            experiment_name=f'start-{next(NUMBERS)}',
            log_level='WARNING',
        )
    )


@pytest.fixture
def pretraining(tmp_path, pictures, tiny_cfg):
    """A pre-training of six steps."""
    pipeline = [
        dict(type='cmae_mm.FastMasterCrop', scale=20),
        dict(type='cmae_mm.TwoViews', size=16, shift_range=(0, 5)),
        dict(type='PackInputs'),
    ]
    dataset = dict(
        type='cmae_mm.UnlabelledImages', data_root=str(pictures), pipeline=pipeline
    )
    return run_cfg(tmp_path, tiny_cfg, dataset)


@pytest.fixture
def classification(tmp_path, pictures):
    """Training of a classifier for two classes."""
    arch = dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16)
    model = dict(
        type='ImageClassifier',
        backbone=dict(type='VisionTransformer', arch=arch, img_size=24, patch_size=8),
        head=dict(type='VisionTransformerClsHead', num_classes=2, in_channels=16),
    )
    dataset = dict(
        type='CustomDataset',
        data_root=str(pictures),
        data_prefix='train',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    cfg = run_cfg(tmp_path, model, dataset)
    cfg.val_dataloader = loader({**dataset, 'data_prefix': 'val'})
    cfg.update(val_cfg=dict(), val_evaluator=dict(type='Accuracy'))
    return cfg


def test_the_runs_of_these_tests_are_possible(pretraining, classification):
    for cfg, steps in ((pretraining, 12), (classification, 6)):
        assert train(cfg) == steps


def train(cfg):
    """Train, and count the steps."""
    CountSteps.steps = 0
    runner = Runner.from_cfg(cfg)
    runner.register_hook(CountSteps())
    runner.train()
    return CountSteps.steps


def refused(cfg, said, options, error=ValueError):
    """Train with options; expect the message, and no step."""
    cfg.merge_from_dict(options)
    with pytest.raises(error, match=said):
        train(cfg)
    assert CountSteps.steps == 0


BATCH_NORM = dict(type='BN1d')
PIPELINE = 'train_dataloader.dataset.pipeline'


@pytest.mark.parametrize(
    ('said', 'options'),
    [
        ('InfoNCE compares an image', {'train_dataloader.batch_size': 1}),
        (
            r'The last batch of an epoch \(12 images in batches of 11;.*InfoNCE',
            {'train_dataloader.batch_size': 11, 'train_dataloader.drop_last': False},
        ),
        (
            'BatchNorm in the projector or predictor would see one image',
            {
                'train_dataloader.batch_size': 1,
                'model.projector.norm_cfg': BATCH_NORM,
                'model.contrastive_head.type': 'cmae_mm.PositivePairHead',
            },
        ),
        (
            'BatchNorm in the projector or predictor would see one image',
            {
                'train_cfg': dict(
                    _delete_=True,
                    type='cmae_mm.MicroBatchTrainLoop',
                    max_epochs=2,
                    micro_batches=2,
                ),
                'model.projector.norm_cfg': BATCH_NORM,
            },
        ),
        (
            '12 images of each process make no whole',
            {'train_dataloader.batch_size': 64},
        ),
        ('PixelShift got an image of 20x20', {f'{PIPELINE}.1.shift_range': (0, 9)}),
        ('Images of 12x12 came into a backbone', {f'{PIPELINE}.1.size': 12}),
        ('leaves none of the 4 cells visible', {'model.backbone.mask_ratio': 0.9}),
        ('masks no patch', {'model.backbone.mask_ratio': 0.0}),
        ('does not divide the patch grid', {'model.backbone.block_size': 3}),
        (
            r'img_size=18 is not a multiple of patch_size=4',
            {'model.backbone.img_size': 18},
        ),
        ('optim_wraper: did you mean', {'optim_wraper.type': 'AmpOptimWrapper'}),
    ],
)
def test_a_pretraining_that_cannot_be_is_refused(pretraining, said, options):
    refused(pretraining, said, options)


def test_a_folder_without_images_is_refused(pretraining, tmp_path):
    folder = {'train_dataloader.dataset.data_root': str(tmp_path / 'empty')}
    refused(copy.deepcopy(pretraining), 'There is no folder', folder, FileNotFoundError)
    (tmp_path / 'empty').mkdir()
    pretraining.experiment_name += 'empty'
    refused(pretraining, 'There are no images below .*: no files', folder)


def test_an_empty_set_is_refused(pretraining):
    """Also where an endless sampler would wait for its first image forever."""
    for sampler in ('DefaultSampler', 'InfiniteSampler'):
        cfg = copy.deepcopy(pretraining)
        cfg.experiment_name += sampler
        options = {
            'train_dataloader.dataset.indices': 0,
            'train_dataloader.dataset.serialize_data': False,
            'train_dataloader.sampler': dict(type=sampler),
        }
        refused(cfg, 'the data set is empty', options)


def test_an_endless_sampler_fills_any_batch(pretraining):
    pretraining.train_dataloader.update(
        batch_size=13, sampler=dict(type='InfiniteSampler')
    )
    pretraining.train_cfg = dict(by_epoch=False, max_iters=1)
    assert train(pretraining) == 1


def test_mae_and_byol_take_single_images(pretraining):
    mae = copy.deepcopy(pretraining)
    mae.model.contrastive_weight = 0
    byol = pretraining
    byol.experiment_name += 'byol'
    byol.model.contrastive_head.type = 'cmae_mm.PositivePairHead'
    for cfg in (mae, byol):
        cfg.train_dataloader.batch_size = 1
        assert train(cfg) == 24


@pytest.mark.parametrize(
    ('norm', 'complaints'), [('LN', 0), ('BN1d', 1), ('SyncBN', 0)]
)
def test_two_processes_with_an_image_each(pretraining, build, norm, complaints):
    """Each has the other as its negative; BatchNorm does not know of the other."""
    pretraining.model.projector.norm_cfg = dict(type=norm)
    pretraining.train_dataloader.batch_size = 1
    runner = SimpleNamespace(
        model=build(pretraining.model),
        train_dataloader=Runner.build_dataloader(pretraining.train_dataloader),
        train_loop=None,
        world_size=2,
    )
    assert len(check_batches(runner)) == complaints
    runner.world_size = 1
    assert 'InfoNCE' in check_batches(runner)[0]


def test_workers_that_persist_without_being_there(pretraining):
    pretraining.train_dataloader.persistent_workers = True
    with pytest.raises(ValueError, match='set train_dataloader.persistent_workers=Fal'):
        CheckedRunner.from_cfg(pretraining)


@pytest.mark.parametrize(
    ('said', 'options'),
    [
        (
            'train_dataloader: the images have no labels',
            {'train_dataloader.dataset.with_label': False},
        ),
        (
            'val_dataloader: the images have no labels',
            {'val_dataloader.dataset.with_label': False},
        ),
        ('2 classes, the head tells 1 apart', {'model.head.num_classes': 1}),
    ],
)
def test_a_probe_without_labels_is_refused(classification, said, options):
    refused(classification, said, options)


def test_a_folder_of_one_class_is_refused(classification, pictures):
    (pictures / 'train').rename(pictures / 'one')
    (pictures / 'train').mkdir()
    (pictures / 'one').rename(pictures / 'train/images')
    refused(classification, "all images are of one class, 'images'", {})


def test_a_missing_class_would_shift_the_others(classification, pictures):
    (pictures / 'val/a').rename(pictures / 'val/c')
    said = 'Only in train_dataloader: a. Only in val_dataloader: c'
    refused(classification, said, {})


def test_knn_wants_the_same_labels_on_both_sides(pretraining, pictures):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='CenterCrop', crop_size=16),
        dict(type='PackInputs'),
    ]
    bank, queries = (
        loader(
            dict(
                type='CustomDataset',
                data_root=str(pictures),
                data_prefix=split,
                pipeline=pipeline,
            )
        )
        for split in ('train', 'val')
    )
    cfg = pretraining
    cfg.test_dataloader = queries
    cfg.test_cfg = dict(type='cmae_mm.KNNTestLoop', bank_dataloader=bank)
    cfg.test_evaluator = dict(type='cmae_mm.KNNAccuracy')
    runner = Runner.from_cfg(cfg)
    assert 'knn/top1' in runner.test()
    for loader_of, name in (
        (cfg.test_cfg.bank_dataloader, 'bank_dataloader'),
        (cfg.test_dataloader, 'test_dataloader'),
    ):
        loader_of.dataset.with_label = False
        cfg.experiment_name += name
        with pytest.raises(ValueError, match=f'{name}: the images have no labels'):
            Runner.from_cfg(cfg).test()
        loader_of.dataset.with_label = True


def test_a_schedule_of_another_length_is_remarked_on(pretraining, capsys):
    """In two epochs of six steps, which are trained nevertheless."""

    def said(*schedulers):
        pretraining.param_scheduler = [*schedulers]
        pretraining.experiment_name += 'w'
        assert train(pretraining) == 12
        lines = capsys.readouterr().out.splitlines()
        return [line for line in lines if 'param_scheduler: ' in line]

    cosine = dict(type='CosineAnnealingLR', by_epoch=True)
    warm_up = dict(type='LinearLR', start_factor=0.1, by_epoch=True)
    by_iter = dict(convert_to_iter_based=True)
    assert (
        said({**warm_up, 'end': 1}, {**cosine, **by_iter, 'begin': 1, 'end': 2}) == []
    )
    assert said({**warm_up, 'end': 1}) == []
    (text,) = said({**cosine, **by_iter, 'end': 4})
    assert 'ends at iteration 24 (epoch 4), the training at iteration 12 (ep' in text
    (text,) = said({**cosine, 'end': 1})
    assert 'ends at epoch 1, the training at epoch 2: between the two' in text
    late = said({**warm_up, 'end': 4}, {**cosine, 'begin': 4, 'end': 8})
    assert 'LinearLR of lr ends at epoch 4' in late[0]
    assert 'begins at epoch 4, but the training ends at epoch 2' in late[1]
