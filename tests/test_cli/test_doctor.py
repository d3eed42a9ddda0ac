"""``cmae doctor``: good configs, broken ones, and environments that are broken."""

import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import pytest

from cmae_mm import cli
from cmae_mm.planning import environment, measure, speed
from cmae_mm.planning.finding import guarded

NANO = 'configs/scenes/cmae_vit-nano-p8_bs32-8e_scenes.py'
CONFIG = """
_base_ = {base!r}
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        _delete_=True,
        type='cmae_mm.UnlabelledImages',
        data_root='pictures',
        pipeline=_base_.train_dataloader.dataset.datasets[0].pipeline,
    ),
)
"""
DEVICE = speed.Device(1, 8, 40.0, 2**28, 2**24, 'cpu')


@pytest.fixture
def folder(tmp_path, monkeypatch, request):
    """A clean folder with pictures of noise and a config for them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'pictures').mkdir()
    noise = np.random.default_rng(0)
    for i in range(10):
        image = noise.integers(0, 256, (80, 90, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / 'pictures' / f'{i}.png'), image)
    base = str(request.config.rootpath / NANO)
    (tmp_path / 'mine.py').write_text(CONFIG.format(base=base))
    return tmp_path


@pytest.fixture
def doctor(folder, capsys):
    """Run ``cmae doctor``; exit code, and lines by what was looked at."""

    def run(*args):
        with pytest.raises(SystemExit) as stop:
            cli.main(['doctor', *args])
        return stop.value.code, read(capsys.readouterr().out)

    return run


@pytest.fixture
def no_step(monkeypatch):
    """As if steps had been measured."""
    monkeypatch.setattr(speed, 'measure_device', lambda cfg, images: DEVICE)


def read(out):
    found = {}
    for line in out.splitlines():
        status, _, rest = line.partition(' ')
        name, _, text = rest.strip().partition(': ')
        found.setdefault(name, (status, text))
    return found


@pytest.mark.slow
def test_a_good_config_is_well(doctor, folder):
    """With real steps, and a picture to look at."""
    code, found = doctor('mine.py', '--work-dir', 'out')
    assert code == 0, found
    for name in ('settings', 'data', 'views', 'first batch', 'one step', 'disk'):
        assert found[name][0] == 'ok', found[name]
    assert found['data'][1] == '10 images'
    assert 'of images of 80x90 (median of 10)' in found['views'][1]
    picture = cv2.imread(str(folder / 'out' / 'first-batch.png'))
    # Three rows of four views of 64 pixels, doubled, with gaps of 4.
    assert picture.shape == (3 * 132, 4 * 132, 3)
    rows = [picture[4 + 132 * i : 132 * (i + 1), 4:132] for i in range(3)]
    hidden = (rows[0] != rows[1]).any(-1)
    assert 0.5 < hidden.mean() < 0.8  # 65 % of the patches
    assert (rows[0] != rows[2]).any()


def test_a_misspelt_key_is_named(doctor, folder, no_step):
    file = folder / 'mine.py'
    file.write_text(file.read_text() + '\noptim_wraper = dict(type="OptimWrapper")\n')
    code, found = doctor('mine.py')
    assert code == 1
    status, text = found['settings']
    assert status == 'wrong' and 'optim_wraper: did you mean optim_wrapper' in text


def test_missing_data_are_wrong_and_the_rest_goes_on(doctor, folder, no_step):
    (folder / 'pictures').rename(folder / 'elsewhere')
    code, found = doctor('mine.py')
    assert code == 1
    status, text = found['data']
    assert status == 'wrong' and 'pictures' in text and 'data_root' in text
    assert found['disk'][0] == 'ok'
    assert not list(folder.rglob('first-batch.png'))


def test_a_full_disk_is_wrong(doctor, folder, no_step, monkeypatch):
    """3 checkpoints of 16 MiB: two are kept, one is being written."""
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr('shutil.disk_usage', lambda path: usage(2**30, 2**30, 2**20))
    code, found = doctor('mine.py')
    assert code == 1
    status, text = found['disk']
    assert status == 'wrong' and '0.03 are needed for 2 checkpoints' in text
    assert 'Free some' in text
    # 64 x 64 pixels, 2 views, 8 images, 2 batches: 0.4 MiB.
    assert found['shared memory'][0] == 'ok'


def test_a_batch_that_does_not_fit_is_wrong(doctor, monkeypatch):
    cut = DEVICE.__class__(2, 4, 40.0, 2**28, 2**24, 'cpu')
    monkeypatch.setattr(speed, 'measure_device', lambda cfg, images: cut)
    code, found = doctor('mine.py')
    assert code == 1 and found['one step'][0] == 'wrong'
    assert 'train_cfg.micro_batches=2' in found['one step'][1]


def test_a_step_that_fails_is_wrong(doctor, monkeypatch):
    def fail(cfg, images):
        raise RuntimeError('the reason\nof it')

    monkeypatch.setattr(speed, 'measure_device', fail)
    code, found = doctor('mine.py')
    assert code == 1 and found['one step'] == ('wrong', 'failed: the reason of it')
    assert found['disk'][0] == 'note'


TRANSFER = [
    'vit-nano-p8_upernet_bs8-600i_scenes-96x96.py',
    'mask-rcnn_vit-nano-p8_fpn_bs8-2e_scenes.py',
    'scenes/vit-nano-p8_linear-12e_scenes.py',
]


@pytest.fixture
def scenes(folder, few_scenes, nano_checkpoint):
    """Pictures and weights where the packaged configs of scenes look for them."""
    (folder / 'data').mkdir()
    (folder / 'data/scenes').symlink_to(few_scenes)
    weights = folder / 'work_dirs/cmae_vit-nano-p8_bs32-8e_scenes/epoch_8.pth'
    weights.parent.mkdir(parents=True)
    weights.symlink_to(nano_checkpoint)
    return weights


@pytest.mark.slow
@pytest.mark.parametrize('config', TRANSFER)
def test_a_config_of_another_library_takes_a_step_of_its_own(doctor, scenes, config):
    code, found = doctor(config)
    assert code == 0, found
    status, text = found['one step']
    assert status == 'ok' and text.startswith('2 images of the config trained on ')
    assert 'are needed for 1 checkpoints' in found['disk'][1]


@pytest.mark.slow
def test_weights_that_are_not_there_are_wrong(doctor, scenes):
    scenes.unlink()
    code, found = doctor(TRANSFER[0])
    assert code == 1 and found['one step'][0] == 'wrong'
    assert 'There is no checkpoint work_dirs/cmae_vit-nano' in found['one step'][1]


def test_without_data_there_is_no_step_of_its_own(doctor):
    code, found = doctor(TRANSFER[2])
    assert code == 1 and found['data'][0] == 'wrong'
    assert found['one step'] == ('note', 'not tried, for want of data')


def test_steps_of_a_training_by_iterations_count_its_checkpoints(
    doctor, scenes, monkeypatch
):
    """One at the end of 600 iterations."""
    cost = measure.StepCost(0.1, 2**28, 2**30, 'cpu')
    monkeypatch.setattr(measure, 'try_own_step', lambda cfg: cost)
    _, found = doctor(TRANSFER[0])
    assert '0.25 GiB; a whole batch' in found['one step'][1]
    assert '1.00 are needed for 1 checkpoints' in found['disk'][1]


def test_a_packaged_config_is_found_by_its_name(doctor, no_step):
    _, found = doctor(Path(NANO).name)
    assert found['config'] == ('ok', Path(NANO).name)


def test_a_config_that_is_not_there(doctor):
    code, found = doctor('no.py')
    assert code == 1 and found['config'][0] == 'wrong'
    assert 'no.py' in found['config'][1]


def test_without_a_config_missing_data_are_no_fault(doctor, no_step):
    code, found = doctor()
    assert code == 0
    assert 'smallest packaged one' in found['config'][1]
    assert found['data'][0] == 'note'


BLOCK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)

sys.meta_path.insert(0, Blocker())
"""


@pytest.mark.slow
@pytest.mark.parametrize('missing', ['torch', 'mmcv'])
def test_it_survives_a_missing_library(folder, missing, request):
    """In a process that cannot import it, nor can its children."""
    blocker = folder / 'blocker'
    blocker.mkdir()
    (blocker / 'sitecustomize.py').write_text(BLOCK.format(name=missing))
    paths = [str(blocker), str(request.config.rootpath)]
    script = 'import sys; sys.argv[0] = "cmae"; from cmae_mm.cli import main; main()'
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', script, 'doctor', 'mine.py'],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    found = read(done.stdout)
    assert done.returncode == 1, done.stderr
    assert found[missing][0] == 'wrong' and 'Try: ' in found[missing][1]
    assert 'Traceback' not in done.stderr
    for name in ('python', 'families', 'extras'):
        assert found[name][0] in ('ok', 'note')
    assert {'cores', 'memory', 'one step', 'disk'} <= {*found}


@pytest.mark.parametrize(
    'installed, status',
    [
        ({'mmengine', 'mmcv'}, 'ok'),
        ({'onedl-mmengine', 'onedl-mmcv'}, 'ok'),
        ({'mmengine', 'onedl-mmengine'}, 'wrong'),
        ({'mmengine', 'onedl-mmcv'}, 'note'),
    ],
)
def test_families_of_openmmlab_do_not_mix(installed, status):
    (finding,) = environment.check_families(installed)
    assert finding.status == status


def test_a_driver_without_a_gpu_for_torch_is_wrong(monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.setattr(environment, '_driver', lambda: '550.1')
    (finding,) = environment.check_device()
    assert finding.status == 'wrong' and '550.1' in finding.text


def test_a_check_that_fails_is_a_line():
    def fail():
        yield 'first'
        raise OSError('broken\nlibrary')

    def lack():
        raise ImportError('no torch')
        yield

    assert [*guarded('a', fail)][1].text.endswith('broken library')
    assert [*guarded('a', fail)][1].status == 'wrong'
    assert [*guarded('b', lack)][0].status == 'note'
