"""Options that several commands share."""

import argparse

import click
from mmengine.config import DictAction


def _parse(
    ctx: click.Context, param: click.Parameter, items: tuple[str, ...]
) -> dict[str, object]:
    """Read every "key=value" as mim does."""
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
