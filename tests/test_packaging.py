"""What is shipped: the wheel, and the files for people around it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """A wheel built from the files that git knows, or would add."""
    folder = tmp_path_factory.mktemp('wheel')
    listed = subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard'],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip('not a git checkout')
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / 'source' / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / 'source' / name)
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-index']
    command += ['--no-build-isolation', '--wheel-dir', str(folder), './source']
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (file,) = folder.glob('*.whl')
    return file


@pytest.mark.slow
def test_the_wheel_holds_configs_tools_and_types(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ('configs', 'tools'):
        for file in (ROOT / folder).rglob('*.py'):
            assert f'cmae_mm/.mim/{file.relative_to(ROOT)}' in names
    assert {'cmae_mm/py.typed', 'cmae_mm/.mim/model-index.yml'} <= names
    assert {'cmae_mm/report/page.css', 'cmae_mm/report/page.js'} <= names
    assert not [name for name in names if name.startswith('tests/')]


@pytest.mark.slow
def test_the_wheel_works_outside_the_repository(wheel, tmp_path):
    """Its console script, and a config with all that it inherits."""
    target = tmp_path / 'site'
    command = [sys.executable, '-m', 'pip', 'install', '--no-deps', '--no-index']
    subprocess.run(
        [*command, '--target', str(target), str(wheel)], check=True, capture_output=True
    )
    code = (
        'import cmae_mm; from mmengine.config import Config; '
        'from cmae_mm.cli import main; print(cmae_mm.__file__); '
        "folder = cmae_mm.__file__.replace('__init__.py', '.mim/configs/pretrain/'); "
        "name = 'cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'; "
        'print(Config.fromfile(folder + name).model.type); '
        'from cmae_mm.cli.demo import load_demo; print(load_demo().PRETRAIN); '
        'from cmae_mm.pretraining.recipes import load_recipe; '
        "print(load_recipe('vit-tiny').model.backbone.arch.embed_dims); "
        "main(['--version'])"
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        cwd=tmp_path,
        env={'PYTHONPATH': str(target), 'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    file, kind, demo, width, version = done.stdout.splitlines()
    assert Path(file).is_relative_to(target)
    assert Path(demo).is_relative_to(target) and Path(demo).is_file()
    assert width == '192'
    assert kind == 'cmae_mm.CMAE'
    assert version.startswith('cmae, version')


@pytest.mark.parametrize(
    'file', ['CITATION.cff', *(f'.github/{f}' for f in ('workflows', 'ISSUE_TEMPLATE'))]
)
def test_files_for_people_are_well_formed(file):
    path = ROOT / file
    for part in [path] if path.is_file() else sorted(path.iterdir()):
        assert isinstance(yaml.safe_load(part.read_text()), dict)


def test_continuous_integration_runs_what_everybody_runs():
    text = (ROOT / '.github/workflows/ci.yml').read_text()
    workflow = yaml.safe_load(text)
    steps = workflow['jobs']['run']['steps']
    assert steps[-1]['run'] == '.ci/run'
    assert (ROOT / '.ci/run').stat().st_mode & 0o100
