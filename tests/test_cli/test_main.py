"""The console script itself: help, errors in one line, exit codes."""

import sys
from types import ModuleType

import click
import pytest

from cmae_mm import cli


@pytest.fixture
def run(cmae, monkeypatch):
    """Run ``cmae`` with one more command, ``try``; exit code, stdout, stderr."""
    module = ModuleType('tried')

    @click.command()
    @click.argument('what')
    def command(what):
        """Try something."""
        if what == 'fail':
            raise ValueError('a reason\nin two lines')
        if what == 'unhappy':
            return 1
        click.echo('done')

    module.command = command
    monkeypatch.setitem(sys.modules, 'tried', module)
    monkeypatch.setitem(cli.COMMANDS, 'try', 'tried')

    return cmae


def test_a_command_runs(run):
    assert run('try', 'well')[:2] == (0, 'done\n')


def test_a_command_says_by_its_value_that_something_is_wrong(run):
    assert run('try', 'unhappy')[0] == 1


def test_an_error_is_one_line(run):
    code, _, err = run('try', 'fail')
    assert code == 1
    assert err == 'cmae: a reason in two lines (--debug shows where)'


@pytest.mark.parametrize(
    'args', [('--debug', 'try', 'fail'), ('try', 'fail', '--debug')]
)
def test_debug_shows_where(run, args):
    code, _, err = run(*args)
    assert code == 1 and 'Traceback' in err


def test_an_unknown_command_is_a_matter_of_usage(run):
    code, _, err = run('fly')
    assert code == 2 and 'fly' in err


def test_help_lists_every_command_and_exit_code(run):
    code, out, _ = run('--help')
    assert code == 0
    assert all(name in out for name in cli.COMMANDS)
    codes = ' '.join(out.split()).partition('Exit codes: ')[2]
    assert all(f'{code} ' in codes for code in (0, 1, 2, 75))


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_help_has_an_example_and_tells_of_every_option(cmae, name):
    code, out, _ = cmae(name, '--help')
    assert code == 0 and f'Example: cmae {name} ' in out
    options = cli.cmae.get_command(None, name).params
    assert not [
        option.name
        for option in options
        if isinstance(option, click.Option) and not option.help
    ]
