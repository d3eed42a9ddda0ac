"""The installed console script, in processes of their own and a clean folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cmae_mm.cli import COMMANDS

# For every command a line that cannot be meant.
BAD = {
    'pretrain': 'nowhere --out a',
    'probe': 'none.pth nowhere',
    'segment': 'none.pth nowhere --out a',
    'detect': 'none.pth nowhere --out a',
    'report': 'nowhere',
    'doctor': 'one.py two.py',
    'plan': 'none.py --images 9 --gpus 1 --hours 1',
    'scan': 'nowhere',
    'inspect': 'none.pth',
    'verify-resume': 'none.py',
    'convert': 'none.pth b.pth --from mae',
    'export': 'none.pth --to onnx --out a.onnx',
    'embed': 'nowhere --checkpoint none.pth --out a.npz',
    'demo': '--out /dev/null',
}
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
    place = tmp_path / 'clean'
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


@pytest.mark.slow
@pytest.mark.parametrize('name', COMMANDS)
def test_every_command_starts_helps_and_refuses(script, name, tmp_path):
    code, out, err = script(name, '--help')
    assert code == 0 and f'Example: cmae {name} ' in out and not err
    code, _, err = script(name, *BAD[name].split())
    # click tells the usage before what is wrong with it.
    lines = [x for x in err.splitlines() if x and not x.startswith(('Usage:', 'Try '))]
    assert code in (1, 2) and len(lines) == 1, err
    assert lines[0].startswith(('cmae: ', 'Error: ')) and 'Traceback' not in err
    assert not [*(tmp_path / 'clean').iterdir()], 'nothing is left behind'
