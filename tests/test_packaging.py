"""What is shipped: the wheel, and the files for people around it."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from cmae_mm.dependencies import mim_name

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def tracked():
    """The files that git knows, or would add."""
    listed = subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard'],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip('not a git checkout')
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope='module')
def wheel(tracked, tmp_path_factory):
    """A wheel built from the source distribution, as from a package index."""
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    code = "from setuptools.build_meta import build_sdist; build_sdist('..')"
    subprocess.run(
        [sys.executable, '-c', code], cwd=source, check=True, capture_output=True
    )
    (sdist,) = folder.glob('*.tar.gz')
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-index']
    command += ['--no-build-isolation', '--wheel-dir', str(folder), str(sdist)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (file,) = folder.glob('*.whl')
    return file


@pytest.mark.slow
def test_the_wheel_holds_configs_tools_and_types(wheel, tracked):
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {name for name in tracked if name.startswith(('configs/', 'tools/'))}
    held = {name.removeprefix('cmae_mm/.mim/') for name in names if '/.mim/' in name}
    assert shipped ^ held == {'model-index.yml'}
    assert {'cmae_mm/py.typed', 'cmae_mm/.mim/model-index.yml'} <= names
    assert {'cmae_mm/report/page.css', 'cmae_mm/report/page.js'} <= names
    assert not [name for name in names if name.startswith('tests/')]


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory):
    """Folder of programs of a fresh environment with the wheel.

    The libraries around it are those that run this test; to install them anew would
    take half an hour.
    """
    home = tmp_path_factory.mktemp('environment')
    venv.create(home, with_pip=False)
    (site,) = home.glob('lib/python*/site-packages')
    command = [sys.executable, '-m', 'pip', 'install', '--no-deps', '--no-index']
    command += ['--prefix', str(home), '--ignore-installed', str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    (site / 'others.pth').write_text(sysconfig.get_path('purelib'))
    script = home / 'bin/cmae'
    first, rest = script.read_text().split('\n', 1)
    script.write_text(f'#!{home / "bin/python"}\n{rest}')
    return home / 'bin'


def run(folder, *command, **options):
    """Run a program of an environment, outside of the repository."""
    environment = {**os.environ, 'PATH': f'{folder}:{os.environ["PATH"]}'}
    environment.pop('PYTHONPATH', None)
    return subprocess.Popen(
        [str(folder / command[0]), *command[1:]],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


@pytest.mark.slow
def test_the_wheel_works_outside_the_repository(installed, tmp_path):
    """Its console script, and a config with all that it inherits."""
    done = run(installed, 'cmae', '--version', cwd=tmp_path)
    assert done.communicate()[0].startswith('cmae, version') and not done.returncode
    code = (
        'import cmae_mm; from mmengine.config import Config; '
        "folder = cmae_mm.__file__.replace('__init__.py', '.mim/configs/pretrain/'); "
        "name = 'cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'; "
        'kind = Config.fromfile(folder + name).model.type; '
        'from cmae_mm.pretraining.recipes import load_recipe; '
        "width = load_recipe('vit-tiny').model.backbone.arch.embed_dims; "
        'from cmae_mm.config_files import find_config; '
        "print('told', cmae_mm.__file__, find_config(name), kind, width)"
    )
    done = run(installed, 'python', '-W', 'ignore', '-c', code, cwd=tmp_path)
    said = re.search(r'^told (.*)$', done.communicate()[0], re.M)
    *files, kind, width = said[1].split()
    assert all(Path(file).is_relative_to(installed.parent) for file in files)
    assert (kind, width) == ('cmae_mm.CMAE', '192')


@pytest.mark.slow
def test_mim_finds_the_configs_of_the_wheel(installed, tmp_path):
    if mim_name('mim') == 'onedl-mim':
        pytest.skip('onedl-mim takes the folder of scripts for the package')
    name = 'vit-nano-p8_upernet_bs8-600i_scenes-96x96.py'
    command = ['python', '-W', 'ignore', '-m', 'mim', 'train', 'cmae_mm', name]
    done = run(installed, *command, '--gpus', '0', cwd=tmp_path)
    said = done.communicate()[0]
    used = re.search(r'will use (\S+) instead', said)
    assert used and Path(used[1]).is_relative_to(installed.parent), said
    assert 'FileNotFoundError' in said  # no pictures here


@pytest.mark.slow
def test_the_demo_of_the_wheel_gets_going(installed, tmp_path):
    """Until the pre-training has written its first line."""
    done = run(installed, 'cmae', 'demo', cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 600
    try:
        while not (logs := list(tmp_path.glob('work_dirs/demo/**/*.log'))) or not any(
            'Epoch(train)' in log.read_text() for log in logs
        ):
            assert done.poll() is None, done.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(1)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(done.pid, signal.SIGKILL)
        done.communicate()


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
