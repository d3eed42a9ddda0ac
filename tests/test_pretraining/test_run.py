"""Folders that are known again, and configs that are whole."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope

from cmae_mm.guards import check_config
from cmae_mm.pretraining import choices
from cmae_mm.pretraining.pictures import Pictures
from cmae_mm.pretraining.recipes import RECIPES
from cmae_mm.pretraining.run import find_run, write_config

ASKED = dict(
    folder='/photos',
    arch=None,
    config=None,
    epochs=None,
    batch=32,
    load_from=None,
    cfg_options={},
)


def write(out, say=lambda line: None, short_side=300, **asked):
    write_config(out, ASKED | asked, Pictures('/photos', 1000, short_side), say)
    return Config.fromfile(out / 'config.py')


@pytest.mark.parametrize('arch', RECIPES)
def test_every_config_is_whole_and_builds(arch, tmp_path):
    said = []
    cfg = write(tmp_path / 'run', said.append, arch=arch)
    assert '_base_' not in (tmp_path / 'run/config.py').read_text()
    assert check_config(cfg.to_dict()) == []
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        MODELS.build(cfg.model)
    names = [line.split()[0] for line in said]
    assert names == 'pictures network views precision epochs batch rate'.split()
    size = cfg.model.backbone.img_size
    assert f'{size} x {size} pixels' in said[2]
    dataset = cfg.train_dataloader.dataset
    assert (dataset.type, dataset.data_root) == ('cmae_mm.UnlabelledImages', '/photos')
    assert f'{cfg.optim_wrapper.optimizer.lr:.3g} = ' in said[-1]


def test_the_views_fit_the_network(tmp_path):
    import cv2
    import numpy as np

    noise = np.random.default_rng(0).integers(0, 255, (50, 60, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), noise)
    for side in (32, 64, 128, 224):
        cfg = write(tmp_path / str(side), short_side=side, arch='vit-small')
        cfg.train_dataloader.dataset.data_root = str(tmp_path)
        init_default_scope(cfg.default_scope)
        views = DATASETS.build(cfg.train_dataloader.dataset)[0]['inputs']
        assert [tuple(view.shape) for view in views] == [(3, side, side)] * 2


def test_wishes_come_last_and_misspelt_ones_are_refused(tmp_path):
    options, said = {'model.backbone.mask_ratio': 0.5}, []
    cfg = write(tmp_path / 'a', said.append, cfg_options=options)
    assert cfg.model.backbone.mask_ratio == 0.5
    assert said[-1] == 'wishes     model.backbone.mask_ratio=0.5'
    with pytest.raises(ValueError, match='mask_ratoi: did you mean mask_ratio'):
        write(tmp_path / 'b', cfg_options={'model.backbone.mask_ratoi': 0.5})
    with pytest.raises(ValueError, match='epoch: no config file has it'):
        write(tmp_path / 'b', cfg_options={'epoch': 3})
    assert not (tmp_path / 'b').exists()


def test_the_memory_is_that_of_the_wishes(tmp_path, monkeypatch):
    """What comes last has its part in the cost of a step."""
    seen = []
    monkeypatch.setattr(
        choices, 'step_bytes', lambda cfg, images: seen.append(cfg.model) or images
    )
    monkeypatch.setattr(choices, 'free_memory', lambda device: 2**30)
    options = {'model.backbone.mask_ratio': 0.5}
    cfg = write(tmp_path / 'a', arch='vit-nano', batch=None, cfg_options=options)
    assert seen == [cfg.model, cfg.model]
    assert cfg.train_dataloader.batch_size == 32


def test_a_config_of_a_user_keeps_its_own(tmp_path):
    first = write(tmp_path / 'a', arch='vit-nano', epochs=7)
    file = str(tmp_path / 'a/config.py')
    cfg = write(tmp_path / 'b', config=file, batch=64)
    assert cfg.model == first.model and cfg.train_cfg == first.train_cfg
    rates = [c.optim_wrapper.optimizer.lr for c in (first, cfg)]
    assert rates[1] == pytest.approx(2 * rates[0])
    assert cfg.asked == ASKED | dict(config=file, batch=64)


def test_the_recipe_stands_in_the_config(tmp_path):
    """By it the report finds what others reached."""
    first = write(tmp_path / 'a', arch='vit-small')
    name = 'cmae_vit-small-p16_32xb128-amp-coslr-300e_in1k'
    assert first.composed_from == name
    again = write(tmp_path / 'b', config=str(tmp_path / 'a/config.py'))
    assert again.composed_from == name
    own = tmp_path / 'own.py'
    own.write_text(f"_base_ = '{tmp_path / 'a/config.py'}'\ncomposed_from = None\n")
    assert write(tmp_path / 'c', config=str(own)).composed_from == 'own'


def test_a_run_is_known_again(tmp_path):
    assert find_run(tmp_path / 'new', ASKED) is None
    assert find_run(tmp_path, ASKED) is None, 'an empty folder is as good'
    asked = ASKED | dict(arch='vit-nano', cfg_options={'model.ema_decay': 0.9})
    write(tmp_path / 'run', **asked)
    assert find_run(tmp_path / 'run', asked).model.ema_decay == 0.9
    with pytest.raises(ValueError, match=r'another run \(epochs: None then, 9 now\)'):
        find_run(tmp_path / 'run', asked | dict(epochs=9))


def test_folders_that_are_no_run_are_left_alone(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ValueError, match='file is a file'):
        find_run(tmp_path / 'file', ASKED)
    with pytest.raises(ValueError, match='is not empty, and'):
        find_run(tmp_path, ASKED)
    (tmp_path / 'config.py').write_text('1 / 0  # nobody runs it')
    with pytest.raises(ValueError, match='is not empty, and'):
        find_run(tmp_path, ASKED)
    inside = ASKED | dict(folder=str(tmp_path))
    with pytest.raises(ValueError, match='lies in the folder of the images'):
        find_run(tmp_path / 'deep/run', inside)
