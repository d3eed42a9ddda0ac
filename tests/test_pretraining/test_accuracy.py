"""Accuracies are measured where there are labels, and it is said where they are not."""

import json

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from cmae_mm.guards import check_config
from cmae_mm.pretraining import pretrain
from cmae_mm.pretraining.accuracy import keep_labelled, measure_by_folder
from cmae_mm.pretraining.choices import choose_views
from cmae_mm.pretraining.pictures import Pictures
from cmae_mm.pretraining.recipes import RECIPES, load_recipe
from cmae_mm.report import write_report
from cmae_mm.zoo import find_root

SCENES = 'configs/scenes/cmae_vit-nano-p8_bs32-8e_scenes.py'
QUICK = {
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'model.backbone.arch.num_layers': 1,
}


@pytest.fixture
def quick_pretrain(tmp_path, monkeypatch, forget_runners):
    """Train one epoch; what was said, and the folder of the run."""
    monkeypatch.setenv('OMP_NUM_THREADS', '1')

    def run(folder, **options):
        forget_runners()
        said = []
        pretrain(
            folder,
            tmp_path / 'run',
            epochs=1,
            batch=8,
            cfg_options=QUICK,
            say=said.append,
            **options,
        )
        return [line for line in said if line.startswith('accuracy')], tmp_path / 'run'

    return run


def last_record(folder):
    """The last line of the numbers of a run."""
    (file,) = folder.glob('*/vis_data/scalars.json')
    return json.loads(file.read_text().splitlines()[-1])


def test_class_folders_in_train_and_val_are_measured_by(few_scenes, quick_pretrain):
    folder = few_scenes / 'classification'
    said, run = quick_pretrain(folder, arch='vit-nano')
    assert said == [
        'accuracy   k-NN and linear, of 6 classes in train and val; these images are '
        'pre-trained on, too, without their labels'
    ]
    found = last_record(run)
    assert 0 <= found['monitor/knn_top1'] <= 100
    assert 0 <= found['monitor/linear_top1'] <= 100
    page = write_report(run).read_text()
    header = page[: page.index('</header>')]
    assert 'k-NN, top-1 %' in header and 'linear probe, top-1 %' in header
    assert 'of the 12 pictures of its test data' in page


@pytest.mark.parametrize('arch', RECIPES)
def test_every_recipe_looks_at_them_in_the_size_of_its_views(arch, few_scenes):
    cfg = load_recipe(arch)
    folder = few_scenes / 'classification'
    choose_views(cfg, arch, Pictures(str(folder), 36, 64))
    assert measure_by_folder(cfg, folder)
    assert check_config(cfg) == []
    init_default_scope('mmpretrain')
    side = cfg.model.backbone.get('img_size', 224)
    for loader, count in (
        (cfg.test_dataloader, 12),
        (cfg.test_cfg.bank_dataloader, 24),
    ):
        dataset = DATASETS.build(loader.dataset)
        assert len(dataset) == count and dataset[0]['inputs'].shape == (3, side, side)
        assert sorted(set(dataset.get_gt_labels())) == list(range(6))


def test_other_folders_are_left_alone_or_told(tmp_path, few_scenes):
    cfg = load_recipe('vit-nano')
    assert measure_by_folder(cfg, few_scenes / 'classification' / 'train') is None
    assert cfg.test_dataloader is cfg.test_cfg is cfg.test_evaluator is None
    for part in ('train', 'test'):
        (tmp_path / part / 'some').mkdir(parents=True)
    said = measure_by_folder(load_recipe('vit-nano'), tmp_path)
    assert said.startswith('not measured: ') and 'one folder with images per' in said


def test_a_config_keeps_its_labelled_images(few_scenes, quick_pretrain, tmp_path):
    config = tmp_path / 'own.py'
    root = f"data_root='{few_scenes / 'classification'}'"
    config.write_text(
        f"_base_ = '{find_root() / SCENES}'\n"
        f'test_dataloader = dict(dataset=dict({root}))\n'
        f'test_cfg = dict(bank_dataloader=dict(dataset=dict({root})))\n'
    )
    said, run = quick_pretrain(few_scenes / 'scenes/images', config=config)
    assert said == [
        'accuracy   by test_dataloader of the config: 12 images against 24 images'
    ]
    assert {'monitor/knn_top1', 'monitor/linear_top1'} <= last_record(run).keys()


def test_what_a_config_has_not_there_is_left_out_and_told(few_scenes, tmp_path):
    there = few_scenes / 'classification'
    cfg = Config.fromfile(find_root() / SCENES)
    cfg.val_dataloader = cfg.test_dataloader.copy()
    cfg.val_dataloader.dataset = dict(cfg.val_dataloader.dataset, data_root=str(there))
    cfg.val_cfg, cfg.val_evaluator = dict(), dict(type='cmae_mm.KNNAccuracy')
    cfg.test_dataloader.dataset.data_root = str(tmp_path / 'nowhere')
    kept, gone = keep_labelled(cfg)
    assert kept == 'by val_dataloader of the config: 12 images'
    place = tmp_path / 'nowhere/val'
    why = f'which is left out: there is no {place} (looked in'
    assert gone.startswith(f'not by test_dataloader, {why}')
    assert cfg.test_dataloader is cfg.test_cfg is cfg.test_evaluator is None
    assert cfg.val_dataloader.dataset.data_root == str(there)
