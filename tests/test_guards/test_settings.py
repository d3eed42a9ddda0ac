"""Settings that nobody reads are named, and those that somebody reads are not."""

import copy
import functools
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.registry import RUNNERS, init_default_scope

from cmae_mm.guards import CheckedRunner, check_config
from cmae_mm.guards.settings import own_names

ROOT = Path(__file__).parents[2]
PRETRAIN = 'configs/pretrain/cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
LINEAR = 'configs/scenes/vit-nano-p8_linear-12e_scenes.py'
SEGMENT = 'configs/scenes/vit-nano-p8_upernet_bs8-600i_scenes-96x96.py'
# Dicts that name no type. Beside them, all dicts that do.
PLACES = {
    '',
    'auto_scale_lr',
    'default_hooks',
    'env_cfg',
    'env_cfg.mp_cfg',
    'optim_wrapper.paramwise_cfg',
    'randomness',
    'test_cfg',
    'test_cfg.bank_dataloader',
    'test_dataloader',
    'train_cfg',
    'train_dataloader',
    'val_cfg',
    'val_dataloader',
}
# What the check does not know: arguments handed on to another class, our own helpers.
UNKNOWN = {'keep_ratio', '_scope_'}


@functools.cache
def parse(name):
    return Config.fromfile(ROOT / name).to_dict()


@functools.cache
def keys_of(name):
    """Path and key of everything that is checked, found without the check."""
    found = []

    def look_into(value, path):
        if isinstance(value, dict):
            if path in PLACES or 'type' in value:
                found.extend((path, key) for key in value if key not in UNKNOWN)
            for key, child in value.items():
                look_into(child, f'{path}.{key}' if path else key)
        elif isinstance(value, (list, tuple)):
            for number, child in enumerate(value):
                look_into(child, f'{path}.{number}')

    helpers = own_names(parse(name))
    look_into({k: v for k, v in parse(name).items() if k not in helpers}, '')
    return found


def misspell(data, key):
    """Leave out a letter, double one, or swap two."""
    at = data.draw(st.integers(0, len(key) - 1))
    slip = data.draw(st.sampled_from(['drop', 'double', 'swap']))
    if slip == 'drop':
        return key[:at] + key[at + 1 :]
    if slip == 'double':
        return key[:at] + key[at] + key[at:]
    return key[:at] + key[at + 1 : at + 2] + key[at] + key[at + 2 :]


@pytest.mark.parametrize('name', [PRETRAIN, LINEAR, SEGMENT])
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_every_misspelt_key_is_named_with_the_right_one(name, data):
    cfg = copy.deepcopy(parse(name))
    path, key = data.draw(st.sampled_from(keys_of(name)))
    wrong = misspell(data, key)
    place = cfg
    for step in filter(None, path.split('.')):
        place = place[int(step) if step.isdigit() else step]
    assume(wrong and wrong not in place)
    place[wrong] = place.pop(key)
    full = f'{path}.{wrong}' if path else wrong
    said = [text for text in check_config(cfg) if text.startswith(f'{full}: ')]
    assert len(said) == 1
    # Of two that are equally near, both are named.
    assert key in said[0].replace('?', '').split()


@pytest.mark.parametrize('name', [PRETRAIN, LINEAR])
def test_a_config_passes_as_file_and_as_the_runner_writes_it_down(name, tmp_path):
    cfg = Config.fromfile(ROOT / name)
    assert check_config(cfg) == []
    cfg.dump(tmp_path / 'dumped.py')
    assert check_config(Config.fromfile(tmp_path / 'dumped.py')) == []


def with_options(name, **options):
    cfg = Config.fromfile(ROOT / name)
    cfg.merge_from_dict({key.replace('__', '.'): v for key, v in options.items()})
    return check_config(cfg)


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (
            dict(train_cfg__max_epoch=3),
            'train_cfg.max_epoch: did you mean max_epochs?',
        ),
        (
            dict(max_epoch=3),
            'max_epoch: no config file has it, and nothing reads it. '
            'Did you mean train_cfg.max_epochs?',
        ),
        (
            dict(lr=1e-3),
            'lr: no config file has it, and nothing reads it. '
            'Did you mean optim_wrapper.optimizer.lr?',
        ),
        (dict(optim_wraper__optimizer__lr=1), 'optim_wraper: did you mean optim_wrap'),
        (
            dict(optim_wrapper__paramwise_cfg__dwconv_decay=0),
            'optim_wrapper.paramwise_cfg.dwconv_decay: nothing reads it.',
        ),
        (
            dict(optim_wrapper__paramwise_cfg__custom_keys__pos_embed__lr_mul=0),
            'optim_wrapper.paramwise_cfg.custom_keys.pos_embed.lr_mul: did you mean',
        ),
        (dict(env_cfg__benchmark=True), 'env_cfg.benchmark: nothing reads it.'),
        (dict(model__backbone__arhc='s'), 'model.backbone.arhc: did you mean arch?'),
        (
            dict(default_hooks__checkpont__interval=2),
            'default_hooks.checkpont: did you mean checkpoint?',
        ),
        (
            dict(train_dataloader__num_workers=0),
            'train_dataloader: persistent_workers=True needs num_workers of 1 or more.',
        ),
        (
            dict(data_root='elsewhere/'),
            'data_root: changed after the config files had used it, which changes '
            'nothing. Set train_dataloader.dataset.data_root, ',
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_options_of_the_command_line(options, said):
    (complaint,) = with_options(PRETRAIN, **options)
    assert complaint.startswith(said)


def test_options_that_somebody_reads_pass():
    assert not with_options(
        PRETRAIN,
        train_cfg__max_epochs=3,
        train_dataloader__batch_size=2,
        model__backbone__drop_path_rate=0.1,
        optim_wrapper__clip_grad=dict(max_norm=1.0),
        load_from='mae.pth',
        find_unused_parameters=True,
    )


def user_file(tmp_path, text):
    file = tmp_path / 'mine.py'
    file.write_text(f"_base_ = '{ROOT / PRETRAIN}'\n{text}")
    return Config.fromfile(file)


def test_a_file_of_the_user(tmp_path):
    """A helper passes, a slip does not."""
    text = "my_root = 'photos'\noptim_wraper = dict(optimizer=dict(lr=1e-3))\n"
    text += 'train_dataloader = dict(dataset=dict(data_root=my_root))\n'
    (complaint,) = check_config(user_file(tmp_path, text))
    assert complaint.startswith('optim_wraper: did you mean optim_wrapper?')
    cfg = user_file(tmp_path, text.replace('optim_wraper', 'optim_wrapper'))
    assert check_config(cfg) == []
    assert 'my_root' in own_names(cfg)
    cfg.my_root = 'drawings'
    assert 'Set train_dataloader.dataset.data_root instead' in check_config(cfg)[0]


def test_the_runner_of_mim_refuses_before_it_builds_anything(tmp_path):
    """No data set is there, and the model would take a while."""
    cfg = Config.fromfile(ROOT / PRETRAIN)
    cfg.work_dir = str(tmp_path / 'work')
    cfg.merge_from_dict({'train_cfg.max_epoch': 3, 'optim_wraper.type': 'Optim'})
    with pytest.raises(ValueError, match='max_epoch: did you mean') as error:
        RUNNERS.build(cfg)
    assert 'optim_wraper: did you mean optim_wrapper?' in str(error.value)
    assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'mmdet'])
def test_the_runner_is_found_from_every_library(scope):
    init_default_scope(scope)
    assert RUNNERS.get('cmae_mm.CheckedRunner') is CheckedRunner


@pytest.mark.slow
def test_mim_train_refuses_a_misspelt_option(tmp_path):
    # The script that `mim train mmpretrain` starts.
    script = Path(find_spec('mmpretrain').origin).parent / '.mim/tools/train.py'
    done = subprocess.run(
        [
            *(sys.executable, '-W', 'ignore', script, ROOT / PRETRAIN),
            *('--cfg-options', 'train_cfg.max_epoch=3'),
        ],
        cwd=tmp_path,
        env={**os.environ, 'CUDA_VISIBLE_DEVICES': '-1'},
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode != 0
    assert 'train_cfg.max_epoch: did you mean max_epochs?' in done.stdout + done.stderr
    assert not (tmp_path / 'work_dirs').exists()
