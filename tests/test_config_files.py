"""Configs by path and by name, and those that cannot be read."""

import re
from pathlib import Path

import pytest

from cmae_mm.config_files import find_config
from cmae_mm.zoo import find_root

NANO = 'cmae_vit-nano-p8_bs32-8e_scenes'
CONFIGS = [*(find_root() / 'configs').resolve().glob('[!_]*/*.py')]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder without any config."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_no_two_packaged_configs_have_one_name():
    assert CONFIGS and len({file.name for file in CONFIGS}) == len(CONFIGS)


@pytest.mark.parametrize(
    'name', [NANO, f'{NANO}.py', f'scenes/{NANO}.py', f'configs/scenes/{NANO}']
)
def test_a_packaged_config_is_found_by_its_name(name):
    file = find_config(name)
    assert file in CONFIGS and file.stem == NANO


def test_a_file_comes_first(elsewhere):
    Path(f'{NANO}.py').write_text('mine = 1')
    assert find_config(f'{NANO}.py') == Path(f'{NANO}.py')


@pytest.mark.parametrize(
    'name', [f'mine/{NANO}.py', f'/configs/scenes/{NANO}.py', '_base_/plugin.py', '.']
)
def test_another_place_is_not_taken_for_the_packaged_one(name):
    """A slip in the folder of an own copy."""
    with pytest.raises(FileNotFoundError, match=f'There is no config {name} '):
        find_config(name)


def test_a_slip_is_told():
    with pytest.raises(FileNotFoundError, match=f'did you mean {NANO}.py') as error:
        find_config(NANO.replace('nano', 'nona'))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    'text, why',
    [
        ('a = 1\nmodel = dict(', "no Python: '(' was never closed, in line 2: model ="),
        ('a = b', "cannot be read as a config: NameError: name 'b' is not defined"),
        ("_base_ = './no.py'", 'cannot be read as a config: FileNotFoundError: '),
    ],
)
def test_a_file_that_cannot_be_read_is_named(text, why):
    Path('mine.py').write_text(text)
    with pytest.raises(ValueError, match=f'^mine.py.*{re.escape(why)}'):
        find_config('mine.py')


def test_so_is_one_of_another_kind():
    Path('photo.jpg').write_bytes(b'\xff\xd8')
    with pytest.raises(ValueError, match='photo.jpg cannot be read as a config'):
        find_config('photo.jpg')
