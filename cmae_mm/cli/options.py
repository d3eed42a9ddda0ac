"""Options that several commands share."""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path

import click


def _parse(
    ctx: click.Context, param: click.Parameter, items: tuple[str, ...]
) -> dict[str, object]:
    """Read every "key=value" as mim does."""
    from mmengine.config import DictAction

    for item in items:
        if '=' not in item:
            raise click.BadParameter(f'{item!r} is not of the form key=value.')
    parser = argparse.ArgumentParser()
    parser.add_argument('--items', nargs='*', action=DictAction, default={})
    return parser.parse_args(['--items', *items]).items


# ``--cfg-options model.mask_ratio=0.5``, as often as needed; gives a dict.
cfg_options = click.option(
    '--cfg-options',
    multiple=True,
    callback=_parse,
    metavar='KEY=VALUE',
    help='Change a setting of the config; as often as needed.',
)

# ``--heads N``, of files that do not tell it.
heads = click.option(
    '--heads',
    type=int,
    help='Attention heads; default: what the file says, or those of ViT-S, B, L, H.',
)

_PATH = click.Path(path_type=Path)
_LABELLED = (
    click.argument('ckpt', type=_PATH),
    click.argument('data', type=_PATH),
    click.option('--out', type=_PATH, required=True),
    click.option(
        '--batch-size',
        type=click.IntRange(min=1),
        help='Images per step; the learning rate follows. Default: that of the recipe '
        'per GPU.',
    ),
    click.option(
        '--config-only',
        is_flag=True,
        help='Check the data, write OUT/config.py and stop: for mim, on many GPUs.',
    ),
)


def labelled_training(run: Callable) -> Callable:
    """What every training on labelled data is asked: CKPT, DATA, --out and so on.

    Args:
        run (Callable): The function of the command, with parameters ``ckpt``, ``data``,
            ``out``, ``batch_size`` and ``config_only``.
    """
    for parameter in reversed(_LABELLED):
        run = parameter(run)
    return run


class _Misfit(click.ClickException):
    """Arguments that do not fit, in one line."""

    exit_code = 2


def matter_of_usage(run: Callable) -> Callable:
    """Let a command exit with 2 where :mod:`cmae_mm.bridge` asks for other arguments.

    Args:
        run (Callable): The function of the command.
    """

    @functools.wraps(run)
    def checked(*args, **kwargs):
        from cmae_mm.bridge import UsageError

        try:
            return run(*args, **kwargs)
        except UsageError as error:
            raise _Misfit(str(error)) from error

    return checked
