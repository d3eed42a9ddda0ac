from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config

from cmae_mm.bridge.images import (
    IMAGENET,
    default_rules,
    default_steps,
    rules_of_file,
    rules_of_run,
    shaping,
)
from cmae_mm.engine.config_text import read_settings

SIZE = SimpleNamespace(channels=3, image=(16, 16))
RESIZE = dict(type='Resize', scale=16)


def settings(pipeline, **preprocessor):
    how = dict(type='X', mean=[1, 2, 3], std=[4, 5, 6], to_rgb=True) | preprocessor
    dataset = dict(pipeline=[dict(type='cmae_mm.LoadImage'), *pipeline])
    return dict(
        model=dict(data_preprocessor=how), test_dataloader=dict(dataset=dataset)
    )


def test_a_run_tells_all():
    rules = rules_of_run(settings([RESIZE, dict(type='PackInputs')]), SIZE)
    assert (rules.mean, rules.std) == ((1, 2, 3), (4, 5, 6))
    assert rules.steps == (RESIZE,) and rules.order == 'rgb' and not rules.notes
    assert rules_of_file(rules.said(), SIZE) == rules


@pytest.mark.parametrize('missing', [None, {}])
def test_a_run_without_a_test_tells_mean_and_std_all_the_same(missing):
    told = settings([RESIZE]) | dict(test_dataloader=missing)
    rules = rules_of_run(told, SIZE)
    assert (rules.mean, rules.std) == ((1, 2, 3), (4, 5, 6))
    assert len(rules.notes) == 1 and 'way to the size' in rules.notes[0]
    assert rules.steps == default_rules(SIZE).steps


CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize(
    'name',
    [
        'pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k',
        'scenes/cmae_vit-nano-p8_bs32-8e_scenes',
        *(f'cifar10/{file.stem}' for file in (CONFIGS / 'cifar10').glob('cmae_*_ci*')),
    ],
)
def test_our_configs_tell_all(name):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    settings = read_settings(cfg.pretty_text, 'model', 'test_dataloader')
    side = cfg.model.backbone.img_size
    rules = rules_of_run(settings, SimpleNamespace(channels=3, image=(side, side)))
    assert not rules.notes and rules.order == 'rgb' and not rules.bands
    kinds = [step['type'] for step in cfg.test_dataloader.dataset.pipeline]
    assert kinds[0] == 'cmae_mm.LoadImage' and kinds[-1] == 'PackInputs'
    # CIFAR's images have their size already.
    assert [step['type'] for step in rules.steps] == (kinds[1:-1] or ['Resize'])


def test_images_that_have_their_size_already_stay_as_they_are():
    rules = rules_of_run(settings([dict(type='PackInputs')]), SIZE)
    assert not rules.notes
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    results = {'img': image.copy()}
    for step in shaping(rules.steps):
        results = step(results)
    assert (results['img'] == image).all()


def test_without_a_swap_the_network_saw_bgr():
    assert rules_of_run(settings([RESIZE], to_rgb=False), SIZE).order == 'bgr'
    bands = settings([RESIZE], to_rgb=False, type='cmae_mm.MultibandDataPreprocessor')
    rules = rules_of_run(bands, SIZE)
    assert rules.order == 'rgb' and rules.bands


@pytest.mark.parametrize(
    'pipeline',
    [
        [dict(type='Resize', scale=20)],  # another size
        [dict(type='RandomFlip', prob=0.5), RESIZE],
        [dict(type='os.system', command='x')],
        [dict(type='Resize', nothing=3)],
        [dict(type='Resize', scale=-4)],
        ['Resize'],
    ],
)
def test_a_way_that_cannot_be_followed_is_noted(pipeline):
    rules = rules_of_run(settings(pipeline), SIZE)
    assert rules.steps == default_steps((16, 16), bands=False)
    (note,) = rules.notes
    assert 'not from the run' in note


@pytest.mark.parametrize(
    'wrong',
    [
        {},
        dict(model=3),
        dict(model=dict(data_preprocessor=['x'])),
        settings([RESIZE], std=[0, 1, 1]),
        settings([RESIZE], mean=[1, 2]),
        settings([RESIZE], mean=None),
    ],
)
def test_statistics_that_make_no_sense_are_those_of_imagenet(wrong):
    rules = rules_of_run(wrong, SIZE)
    assert (rules.mean, rules.std) == IMAGENET
    assert 'ImageNet' in rules.notes[0]


@pytest.mark.parametrize(
    'change', [dict(steps=[]), dict(order='gbr'), dict(bands=1), dict(mean=['x'] * 3)]
)
def test_what_a_file_says_may_be_wrong(change):
    said = rules_of_run(settings([RESIZE]), SIZE).said()
    assert rules_of_file(said, SIZE) is not None
    assert rules_of_file(said | change, SIZE) is None
    for odd in (None, 'x', [], 3):
        assert rules_of_file(odd, SIZE) is None


@pytest.mark.parametrize('size', [(16, 16), (224, 224), (96, 192), (32, 32)])
@pytest.mark.parametrize('bands', [False, True])
def test_the_usual_way_leads_to_any_size(size, bands):
    for shape in ((50, 300, 3), (301, 40, 3), (10, 10, 3)):
        results = {'img': np.zeros(shape, np.float32 if bands else np.uint8)}
        for step in shaping(default_steps(size, bands)):
            results = step(results)
        assert results['img'].shape == (*size, 3)
