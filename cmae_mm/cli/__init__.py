"""The console script ``cmae``: a thin door over the package's functions.

Each command is a module of its own with a ``command`` (click), imported only when it
is asked for: one that lacks an optional library does not take the others with it.
"""

import importlib
import sys
import traceback
from typing import NoReturn

import click

from cmae_mm import start_error
from cmae_mm.version import __version__

# Name -> module. Help lists them in this order.
COMMANDS: dict[str, str] = {
    'pretrain': 'cmae_mm.cli.pretrain',
    'probe': 'cmae_mm.cli.probe',
    'segment': 'cmae_mm.cli.segment',
    'detect': 'cmae_mm.cli.detect',
    'report': 'cmae_mm.cli.report',
    'doctor': 'cmae_mm.cli.doctor',
    'plan': 'cmae_mm.cli.plan',
    'scan': 'cmae_mm.cli.scan',
    'inspect': 'cmae_mm.cli.inspect',
    'verify-resume': 'cmae_mm.cli.verify_resume',
    'convert': 'cmae_mm.cli.convert',
    'export': 'cmae_mm.cli.export',
    'embed': 'cmae_mm.cli.embed',
    'demo': 'cmae_mm.cli.demo',
}


class LazyGroup(click.Group):
    """Finds commands in :data:`COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command, or None if there is none of that name."""
        if name not in COMMANDS:
            return None
        return importlib.import_module(COMMANDS[name]).command


@click.group(
    cls=LazyGroup,
    context_settings=dict(help_option_names=['-h', '--help']),
    epilog='With --debug, an error shows its traceback. Exit codes: 0 all is well, '
    '1 something is wrong and said, 2 the command line was not understood, 75 a signal '
    'ended a training in order, and the same command goes on with it.',
)
@click.version_option(__version__, prog_name='cmae')
def cmae() -> None:
    """Contrastive masked autoencoders: pre-train, check, take along."""


def main(args: list[str] | None = None) -> None:
    """Run the console script; exits with its code.

    Args:
        args (list[str], optional): Defaults to those of the command line. ``--debug``
            may stand anywhere.
    """
    args = sys.argv[1:] if args is None else list(args)
    debug = '--debug' in args
    args = [arg for arg in args if arg != '--debug']
    words = [arg for arg in args if not arg.startswith('-')]
    if start_error is not None and words[:1] != ['doctor']:
        _fail(_advise(start_error), debug)
    try:
        # False: click returns a command's value instead of exiting with 0.
        sys.exit(cmae(args, prog_name='cmae', standalone_mode=False) or 0)
    except click.exceptions.Abort:
        sys.exit('cmae: interrupted.')
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        _fail(error, debug)


def _fail(error: Exception, debug: bool) -> NoReturn:
    """Exit with 1: an error in one line, or with --debug its traceback."""
    if debug:
        traceback.print_exception(error)
        sys.exit(1)
    text = ' '.join(str(error).split()) or type(error).__name__
    sys.exit(f'cmae: {text} (--debug shows where)')


def _advise(error: Exception) -> ImportError:
    """Why the package cannot start, one library after the other, and where help is."""
    head, *libraries = str(error).rstrip('.').splitlines() or [type(error).__name__]
    advised = ImportError(
        ' '.join([head, '; '.join(libraries)]).rstrip()
        + '. `cmae doctor` looks at every library; docs/install.md tells how to '
        'install them.'
    )
    advised.__cause__ = error
    return advised
