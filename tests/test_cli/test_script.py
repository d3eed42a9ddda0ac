"""The installed console script, in processes of their own and a clean folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == 'torch':
            raise ModuleNotFoundError("No module named 'torch'", name=name)

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture
def script(tmp_path):
    """Run ``cmae`` in an empty folder; code, stdout, stderr without warnings.

    A folder ``path`` beside it comes first where Python looks for modules.
    """
    place = tmp_path / 'here'
    place.mkdir()
    environment = {**os.environ, 'PYTHONWARNINGS': 'ignore'}
    environment['PYTHONPATH'] = str(tmp_path / 'path')

    def run(*args):
        done = subprocess.run(
            [str(Path(sys.executable).with_name('cmae')), *args],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture(params=['missing', 'old'])
def no_torch(request, tmp_path):
    """Environments without torch, and with one of long ago; what is said of it."""
    folder = tmp_path / 'path'
    (folder / 'torch').mkdir(parents=True)
    if request.param == 'missing':
        (folder / 'sitecustomize.py').write_text(BLOCK)
        return "cmae: No module named 'torch'. "
    (folder / 'torch/__init__.py').touch()
    (folder / 'torch/version.py').write_text("__version__ = '1.0'")
    return 'cmae: cmae_mm cannot start: torch 1.0 is too old (needed: '


@pytest.mark.parametrize(
    'args', [['--version'], ['--help'], ['inspect', 'a.pth'], ['embed', '--help']]
)
def test_a_library_that_does_not_do_is_one_line(script, no_torch, args):
    code, out, err = script(*args)
    assert (code, out) == (1, '')
    assert err.startswith(no_torch) and len(err.splitlines()) == 1
    assert '`cmae doctor` looks' in err and 'docs/install.md' in err
    assert 'Traceback' in script('--debug', *args)[2]
