"""`mim train cmae_mm`: which library's tool runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from cmae_mm.dependencies import mim_name
from cmae_mm.stock_tools import find_tool, run_tool, scope_of

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ('config', 'scope'),
    [
        ('scenes/cmae_vit-nano-p8_bs32-8e_scenes.py', 'mmpretrain'),
        ('ade20k/vit-base-p16_upernet_8xb2-amp-160k_ade20k-512x512.py', 'mmseg'),
        ('coco/mask-rcnn_vitdet-base-p16_32xb2-amp-lsj-100e_coco.py', 'mmdet'),
    ],
)
def test_a_config_names_its_library(config, scope):
    assert scope_of(str(ROOT / 'configs' / config)) == scope
    for name in ('train.py', 'test.py'):
        assert find_tool(scope, name).is_file()


def test_its_tool_gets_the_command_line(monkeypatch, tmp_path):
    import cmae_mm.stock_tools as stock_tools

    tool = tmp_path / 'tool.py'
    tool.write_text(
        'import sys; from pathlib import Path; '
        'Path(sys.argv[2]).write_text(f"{__name__} {sys.argv}")'
    )
    config = tmp_path / 'config.py'
    config.write_text("default_scope = 'mmdet'")
    asked = []
    monkeypatch.setattr(
        stock_tools, 'find_tool', lambda *names: asked.append(names) or tool
    )
    words = [str(config), str(tmp_path / 'said'), '--tta']
    monkeypatch.setattr(sys, 'argv', ['train.py', *words])
    run_tool('train.py')
    assert asked == [('mmdet', 'train.py')]
    assert (tmp_path / 'said').read_text() == f'__main__ {[str(tool), *words]}'


def test_what_is_wrong_is_one_line(monkeypatch, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text('a = 1')
    monkeypatch.setattr(sys, 'argv', ['train.py', str(config)])
    with pytest.raises(SystemExit, match='default_scope = None; expected one of'):
        run_tool('train.py')
    config.write_text("default_scope = 'mmdet'")
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(SystemExit, match='Try: mim install mmdet'):
        run_tool('train.py')
    monkeypatch.setattr(sys, 'argv', ['train.py', str(tmp_path / 'none.py')])
    with pytest.raises(SystemExit, match='none.py'):
        run_tool('train.py')


@pytest.mark.slow
def test_mim_trains_a_config_by_its_name(tmp_path):
    """As far as the first thing that is missing here: the pictures."""
    if mim_name('mim') == 'onedl-mim':
        pytest.skip('onedl-mim takes the folder of the repository for the package')
    done = subprocess.run(
        [
            *(sys.executable, '-W', 'ignore', '-m', 'mim', 'train', 'cmae_mm'),
            *('vit-nano-p8_upernet_bs8-600i_scenes-96x96.py', '--gpus', '0'),
            *('--work-dir', str(tmp_path / 'out')),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert 'we find the config file in codebase cmae_mm' in said
    assert done.returncode
    assert 'FileNotFoundError' in said
