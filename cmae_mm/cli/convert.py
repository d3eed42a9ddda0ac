"""``cmae convert``: weights between cmae_mm and the formats of others."""

from pathlib import Path

import click

from .options import PATH, heads, matter_of_usage

# The READERS and WRITERS of cmae_mm.bridge, whose import takes seconds.
SOURCES = ('cmae-released', 'mae', 'timm', 'hf', 'cmae-mm')
TARGETS = ('cmae-mm', 'timm', 'hf', 'safetensors')


@click.command()
@click.argument('src', type=PATH)
@click.argument('dst', type=PATH)
@click.option(
    '--from',
    'source',
    required=True,
    type=click.Choice([*SOURCES, 'mmengine']),
    help='Format of SRC; mmengine: any checkpoint with objects in it.',
)
@click.option(
    '--to',
    'target',
    type=click.Choice(TARGETS),
    help='Format of DST; not for mmengine.',
)
@heads
@click.option(
    '--grid',
    type=(int, int),
    metavar='ROWS COLUMNS',
    help='Patches per image; default: what SRC says, or a square.',
)
@click.option(
    '--channels',
    type=click.Choice(['bgr', 'rgb']),
    help='Input of cmae-released; bgr (default) is turned to rgb.',
)
@click.option('--trust', is_flag=True, help='Run code from SRC, for --from mmengine.')
@click.option('--force', is_flag=True, help='Replace DST.')
@matter_of_usage
def command(
    src: Path,
    dst: Path,
    source: str,
    target: str | None,
    heads: int | None,
    grid: tuple[int, int] | None,
    channels: str | None,
    trust: bool,
    force: bool,
) -> None:
    """Convert the weights in SRC, and prove where every tensor went.

    SRC is a file (a folder for hf, too), DST a file .pth or .safetensors, or a folder
    for hf. What was written is loaded strictly and compared with the source on random
    images; only then it gets its name. The comparison cannot prove the number of heads
    and the eps of the norms: both sides are built with the same.

    --from mmengine --trust turns a checkpoint with objects in it, as MMEngine writes
    them by itself, into one that can be read safely. It runs code from SRC.

    Exit code 1: it failed, and nothing was written; 2: the arguments do not fit.

    Example: cmae convert mae_pretrain_vit_base.pth mae.pth --from mae --to cmae-mm
    """
    from cmae_mm.bridge import UsageError, convert, describe, make_plain

    if (source == 'mmengine') == (target is not None):
        raise UsageError('--from mmengine takes no --to; every other needs one.')
    if trust and source != 'mmengine':
        raise UsageError(f'--trust is for --from mmengine; {source} needs none.')
    if source == 'mmengine':
        names = make_plain(src, dst, trust=trust, force=force)
        lines = [f'called from the file: {", ".join(names) or "nothing"}']
    else:
        options = dict(heads=heads, grid=grid, channels=channels, force=force)
        lines = describe(convert(src, dst, source, target, **options))
    click.echo('\n'.join([*lines, f'written to {dst}']))
