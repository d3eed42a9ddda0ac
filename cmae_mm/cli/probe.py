"""``cmae probe``: what a pre-trained encoder knows of labelled images."""

from pathlib import Path

import click

from .options import PATH, check_out


@click.command()
@click.argument('ckpt', type=PATH)
@click.argument('folder', metavar='DIR', type=PATH)
@click.option(
    '--out',
    type=PATH,
    help='Where results.json and config.py go. Of data/photos: '
    'work_dirs/probe_data_photos.',
)
def command(ckpt: Path, folder: Path, out: Path | None) -> None:
    """Test the frozen features of CKPT on the labelled images of DIR.

    CKPT is a checkpoint, or the folder of a pre-training, of which the newest valid one
    is taken. DIR holds train and val with one folder per class each, or the class
    folders themselves; then every fifth image is held out.

    Prints top-1 of 20 nearest neighbours and of a linear classifier, fitted to
    convergence. Beside it the same of an encoder of random weights, of raw pixels, and
    of chance: a number alone says little.

    Example: cmae probe work_dirs/pretrain data/scenes/classification
    """
    from rich.console import Console
    from rich.table import Table

    from cmae_mm.transfer.class_folders import read_class_folders
    from cmae_mm.transfer.encoder import read_encoder
    from cmae_mm.transfer.probe import probe

    out = out or Path('work_dirs', '_'.join(['probe', *folder.resolve().parts[-2:]]))
    check_out(out)
    data = read_class_folders(folder)
    encoder = read_encoder(ckpt)
    click.echo(f'Encoder: {encoder}')
    click.echo(
        f'Images: {len(data.train)} to learn from, {len(data.val)} to test on, '
        f'{len(data.classes)} classes ({data.how}).'
    )
    results = probe(encoder, data, out)
    table = Table('top-1 %', 'k-NN', 'linear')
    for column in table.columns[1:]:
        column.justify = 'right'
    for name, row in results['top1'].items():
        chance = row.get('always_the_largest_class')
        cells = (row.get('knn', chance), row.get('linear', chance))
        table.add_row(name, *('' if x is None else f'{x:.1f}' for x in cells))
    Console().print(table)
    click.echo(
        f'Results: {out / "results.json"}. The k-NN figure of the encoder is that of'
    )
    click.echo(
        f'  mim test mmpretrain {out / "config.py"} --checkpoint {encoder.checkpoint}'
    )
