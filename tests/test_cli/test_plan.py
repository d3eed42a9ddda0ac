"""``cmae plan``: what it says, and its exit code."""

import cv2
import numpy as np
import pytest

from cmae_mm.cli.plan import show
from cmae_mm.planning import make
from cmae_mm.planning.measure import StepCost

NANO = 'configs/scenes/cmae_vit-nano-p8_bs32-8e_scenes.py'
MIB = 2**20
RUN = [NANO, '--images', 99, '--gpus', 1, '--hours', 1]


@pytest.fixture
def plan(cmae, monkeypatch):
    """Run ``cmae plan`` in a clean folder; steps take 25 ms per image, as if."""

    def measure(cfg, images, steps=3):
        return StepCost(images / 40, (50 + images) * MIB, 16 * MIB, 'cpu')

    made = make.make_plan
    monkeypatch.setattr(
        make,
        'make_plan',
        lambda wish, config, side, rate: made(wish, config, side, rate, measure),
    )

    def run(*args):
        code, out, err = cmae('plan', *args)
        said = dict(line.split(': ', 1) for line in out.splitlines() if ': ' in line)
        notes = [line for line in out.splitlines() if line.startswith('note')]
        return code, {**said, 'first note': (notes or [''])[0]}, err

    return run


@pytest.fixture
def nano(request):
    """A packaged config of toy size."""
    return request.config.rootpath / NANO


def test_a_wish_that_fits(plan, nano):
    """8 epochs of 125 steps of 32 images, at 40 per second."""
    code, said, _ = plan(nano, '--images', 4000, '--gpus', 1, '--hours', 1)
    assert code == 0
    assert said['batch'] == '32' and said['negatives'] == '31 per image'
    assert said['steps'] == '1,000 (125 in an epoch)'
    assert said['epochs'] == '8 (36 fit into the hours)'
    assert said['time'] == '13 min of 1 h 0 min'
    assert said['disk'] == '0.03 GiB (2 checkpoints of 0.016)'
    assert 'measured now on this machine (cpu)' in said['speed from']
    assert said['start'].startswith('cmae pretrain DIR --out OUT --config')


def test_a_wish_that_does_not_fit(plan, nano):
    """8 epochs take 800 s."""
    code, said, _ = plan(nano, '--images', 4000, '--gpus', 1, '--hours', 0.1)
    assert code == 1
    assert said['  hours'] == '0.23 in place of 0.1'
    assert said['  GPUs'].startswith('3 in place of 1')
    assert said['  images'] == '1792 in place of 4000'
    assert said['  epochs'] == '3 in place of 8'


def test_a_folder_is_counted_and_a_recipe_proposed(plan, tmp_path):
    folder = tmp_path / 'photos' / 'deep'
    folder.mkdir(parents=True)
    for i in range(40):
        cv2.imwrite(str(folder / f'{i}.png'), np.zeros((40, 30, 3), np.uint8))
    code, said, _ = plan('--images', 'photos', '--gpus', 1, '--hours', 0.5)
    assert code == 0
    assert said['images'] == '40' and said['model'] == 'vit-nano'
    assert said['batch'] == '16'
    assert 'vit-nano is proposed' in said['first note']
    assert said['start'].startswith('cmae pretrain photos --out OUT --arch vit-nano')


def test_a_packaged_config_is_found_by_its_name(plan, nano):
    code, said, _ = plan(nano.name, '--images', 4000, '--gpus', 1, '--hours', 1)
    assert code == 0 and said['model'] == str(nano)
    assert said['start'].startswith(f'cmae pretrain DIR --out OUT --config {nano} ')


def test_several_gpus_get_a_config_that_is_there_and_their_images(
    plan, tmp_path, request
):
    """The path of the proposal leads somewhere from any folder."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    for i in range(2):
        cv2.imwrite(str(folder / f'{i}.png'), np.zeros((40, 30, 3), np.uint8))
    name = 'configs/pretrain/cmae_vit-small-p16_32xb128-amp-coslr-300e_in1k.py'
    file = request.config.rootpath / name
    args = [name, '--images', 'photos', '--gpus', 2, '--hours', 1]
    said = plan(*args, '--batch', 2)[1]
    assert said['start'].startswith(f'mim train mmpretrain {file} --launcher pytorch')
    assert 'train_dataloader.dataset.data_root=photos ' in said['start']


def test_a_given_speed_is_named_as_given(plan, nano):
    args = ['--images', 6400, '--gpus', 2, '--hours', 1, '--batch', 64, '--epochs', 10]
    code, said, _ = plan(nano, *args, '--images-per-second', 80)
    assert code == 0
    assert said['speed'] == '160.0 images per second'
    assert said['speed from'] == 'given: 80 per second and GPU'
    assert said['memory per GPU'] == 'not measured here'
    assert said['batch'] == '64 (32 on each of 2 GPUs)'


def test_a_terminal_gets_a_table_in_which_no_name_is_cut(monkeypatch, capsys):
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setenv('COLUMNS', '40')
    show([('model', 'a' * 60), ('note', '[red]')])
    out = capsys.readouterr().out
    assert out.count('a') == 60 and '[red]' in out and 'model:' not in out


def test_several_gpus_are_marked_as_derived(plan, nano):
    said = plan(nano, '--images', 6400, '--gpus', 2, '--hours', 1)[1]
    assert 'derived and not measured' in said['speed from']


def test_a_config_that_repeats_its_images_is_noted(plan, request):
    config = request.config.rootpath / 'configs/camvid'
    file = config / 'cmae_vit-tiny-p16_bs32-6e_camvid.py'
    said = plan(file, '--images', 6606, '--gpus', 1, '--hours', 1)[1]
    assert '18 times in an epoch' in said['first note']


@pytest.mark.parametrize(
    'args, word',
    [
        (['--images', 0, '--gpus', 1, '--hours', 1], 'Got 0 images'),
        (['--images', -5, '--gpus', 1, '--hours', 1], 'Got -5 images'),
        (['--images', 'nowhere', '--gpus', 1, '--hours', 1], 'There is no folder'),
        (['--images', 99, '--gpus', 0, '--hours', 1], 'Got 0 GPUs'),
        (['--images', 99, '--gpus', 1, '--hours', 'nan'], 'nan hours'),
        (['--images', '', '--gpus', 1, '--hours', 1], '--images is empty'),
        (['no.py', '--images', 99, '--gpus', 1, '--hours', 1], 'There is no config'),
        (
            ['--images', 99, '--gpus', 1, '--hours', 1, '--images-per-second', 5],
            'name its CONFIG',
        ),
        ([*RUN, '--images-per-second', 'nan'], '--images-per-second nan is no speed'),
        ([*RUN, '--images-per-second', 'inf'], '--images-per-second inf is no speed'),
        ([*RUN, '--images-per-second', 0], '--images-per-second 0 is no speed'),
    ],
)
def test_bad_input_is_one_plain_line(plan, args, word):
    code, _, err = plan(*args)
    assert code == 1 and word in err and len(err.splitlines()) == 1


def test_a_config_that_is_no_python_is_named(plan, tmp_path):
    (tmp_path / 'mine.py').write_text('model = dict(')
    code, _, err = plan('mine.py', '--images', 99, '--gpus', 1, '--hours', 1)
    assert code == 1 and len(err.splitlines()) == 1
    assert err.startswith(
        "cmae: mine.py, or a file that it inherits, is no Python: '('"
    )


def test_what_is_missing_is_a_matter_of_usage(plan):
    assert plan('--images', 5)[0] == 2
