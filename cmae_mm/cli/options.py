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


class _Place(click.Path):
    """A path, as a Path. Refuses '', for which Python takes the current folder."""

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Read it."""
        if value == '':
            self.fail('is empty; expected is a path.', param, ctx)
        return super().convert(value, param, ctx)


PATH = _Place(path_type=Path)

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

_LABELLED = (
    click.argument('ckpt', type=PATH),
    click.argument('data', type=PATH),
    click.option(
        '--out',
        type=PATH,
        required=True,
        help='Folder of the run: new, empty, or of the same run.',
    ),
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


def check_out(out: Path) -> None:
    """See that a folder can be made or is there, before any work.

    Args:
        out (Path): Where a command is to write.

    Raises:
        ValueError: If it is a file, or lies below one.
    """
    for place in (out, *out.parents):
        if place.is_dir():
            return
        if place.exists():
            raise ValueError(
                f'{place} is a file; a folder for the results is expected. Give '
                'another one.'
            )


def check_folder(folder: Path) -> None:
    """See that a folder of images is there.

    Args:
        folder (Path): What a command is to read.

    Raises:
        FileNotFoundError: If there is nothing of that name.
        ValueError: If it is a file.
    """
    if folder.expanduser().is_dir():
        return
    if folder.expanduser().exists():
        raise ValueError(f'{folder} is a file; a folder with images is expected.')
    raise FileNotFoundError(f'There is no folder {folder} (looked in {Path.cwd()}).')


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
