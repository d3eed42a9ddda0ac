"""``cmae verify-resume``: real processes, on one rank and on two."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cmae_mm import cli
from cmae_mm.guards import verify_resume as guard

NANO = 'cmae_vit-nano-p8_bs32-8e_scenes.py'
CONFIG = """
_base_ = {config!r}
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root={pictures!r},
        with_label=False,
        pipeline=_base_.train_dataloader.dataset.datasets[0].pipeline,
    ),
)
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory, request):
    """The demo's pre-training on ten pictures of noise."""
    folder = tmp_path_factory.mktemp('verify')
    noise = np.random.default_rng(0)
    (folder / 'pictures').mkdir()
    for i in range(10):
        img = noise.integers(0, 256, (80, 90, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / 'pictures' / f'{i}.jpg'), img)
    base = request.config.rootpath / 'configs/scenes' / NANO
    file = folder / 'config.py'
    pictures = str(folder / 'pictures')
    file.write_text(CONFIG.format(config=str(base), pictures=pictures))
    return str(file)


def run(*args):
    with pytest.raises(SystemExit) as stop:
        cli.main(['verify-resume', *args])
    return stop.value.code


@pytest.mark.slow
@pytest.mark.parametrize('processes', [1, 2])
def test_a_config_of_ours_resumes_exactly(config, processes, capsys):
    """Two steps and two, from the middle of one epoch to that of the next."""
    assert run(config, '--steps', '2', '--processes', str(processes)) == 0
    assert 'not a bit differs' in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_is_not_exact_is_found_out(config, capsys):
    """A hook less: without it the generators start anew."""
    option = 'default_hooks.resume.type=PlainCheckpointHook'
    assert run(
        config, '--steps', '2', '--cfg-options', option.replace('=', '=cmae_mm.')
    )
    assert 'NO' in capsys.readouterr().out


def test_a_file_that_is_not_there_is_one_line():
    assert run('no.py').startswith('cmae: There is no config no.py')


def test_a_packaged_config_is_found_by_its_name(tmp_path, monkeypatch):
    """The run itself is another matter."""
    asked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        guard, 'verify_resume', lambda config, *rest: asked.append(config) or []
    )
    run(NANO)
    assert Path(asked[0]).is_file() and Path(asked[0]).name == NANO
    (tmp_path / 'file').touch()
    assert 'file is a file; a folder' in run(NANO, '--work-dir', 'file')
    assert len(asked) == 1


def test_an_option_without_a_value_is_a_matter_of_usage(config, capsys):
    assert run(config, '--cfg-options', 'model.mask_ratio') == 2
    assert 'key=value' in capsys.readouterr().err
