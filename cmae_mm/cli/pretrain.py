"""``cmae pretrain``: a folder of images in, a pre-trained network out."""

from pathlib import Path

import click

from .options import PATH, cfg_options


@click.command()
@click.argument('folder', metavar='DIR', type=PATH)
@click.option(
    '--out',
    required=True,
    type=PATH,
    help='Folder of the run: new, empty, or of the same run.',
)
@click.option(
    '--arch',
    metavar='NAME',
    help='vit-nano, vit-tiny, vit-small, vit-base, vit-large, vit-huge or hybrid. '
    'Default: vit-small with a GPU, vit-tiny without.',
)
@click.option(
    '--epochs', type=click.IntRange(min=1), help='Default: those of the recipe, 300.'
)
@click.option(
    '--batch',
    type=click.IntRange(min=1),
    help="Images of a step. Default: the recipe's, or what images and free memory "
    'allow.',
)
@click.option(
    '--config',
    type=PATH,
    help='A pre-training config in the place of --arch: a file, or the name of a '
    'packaged one.',
)
@click.option(
    '--load-from',
    metavar='FILE',
    help='Weights to start from, such as those of cmae convert.',
)
@cfg_options
def command(
    folder: Path,
    out: Path,
    arch: str | None,
    epochs: int | None,
    batch: int | None,
    config: Path | None,
    load_from: str | None,
    cfg_options: dict,
) -> int:
    """Pre-train on the images below DIR, at any depth; no labels are needed.

    Views, batch and learning rate are chosen from images and memory, and said. The
    config goes to OUT/config.py, checkpoints beside it. The same command once more goes
    on where the run stopped. Exit code 75: a signal ended it, after a checkpoint.

    Example: cmae pretrain photos --out work_dirs/photos --arch vit-small
    """
    import warnings

    from cmae_mm.config_files import find_config
    from cmae_mm.pretraining import pretrain

    # The libraries' own deprecations are nothing to act on here.
    warnings.filterwarnings('ignore', module=r'(mm|torch|timm).*')
    if config is not None:
        config = find_config(config)
    checkpoint = pretrain(
        folder,
        out,
        arch=arch,
        config=config,
        epochs=epochs,
        batch=batch,
        load_from=load_from,
        cfg_options=cfg_options,
        say=click.echo,
    )
    click.echo(f'Checkpoint: {checkpoint}')
    click.echo(f'Next: cmae report {out}, or cmae probe {out} LABELLED_DIR')
    return 0
