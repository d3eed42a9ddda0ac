"""``cmae embed``: the features of all images of a folder."""

import time
from pathlib import Path

import click

from .options import PATH, check_folder, heads, matter_of_usage

_SHOWN = 3  # of the images that could not be read


@click.command()
@click.argument('folder', type=PATH)
@click.option(
    '--checkpoint',
    required=True,
    type=PATH,
    help='A checkpoint, or the folder of a run.',
)
@click.option(
    '--out',
    required=True,
    type=PATH,
    help='.parquet, .npz or .csv.',
)
@click.option(
    '--batch-size',
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help='Images at once.',
)
@click.option(
    '--workers',
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help='Processes that read images.',
)
@click.option('--device', help='Default: cuda where there is a GPU, otherwise cpu.')
@heads
@click.option('--force', is_flag=True, help='Replace OUT.')
@matter_of_usage
def command(
    folder: Path,
    checkpoint: Path,
    out: Path,
    batch_size: int,
    workers: int,
    device: str | None,
    heads: int | None,
    force: bool,
) -> int:
    """Write the feature vector of every image below FOLDER into a file.

    A row per image: its path, its class (the first folder of the path, if all images
    lie in folders) and the mean over its patches. Images that cannot be read are named
    in OUT.refused.csv. Exit code 1 if none could be read.

    Example: cmae embed my/photos --checkpoint work_dirs/my_run --out features.parquet
    """
    import torch

    from cmae_mm.datasets.refused import printable
    from cmae_mm.features import load
    from cmae_mm.features.embedding import embed

    check_folder(folder)
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    net = load(checkpoint, device, heads=heads)
    click.echo(f'{net.size}, from {net.path}')
    for note in net.notes:
        click.echo(f'note: {note}')
    start = time.perf_counter()
    options = dict(batch_size=batch_size, workers=workers, force=force)
    done = embed(net, folder, out, **options)
    seconds = time.perf_counter() - start
    for name, _, reason in done.refused[:_SHOWN]:
        click.echo(f'not read: {printable(name)}: {reason}')
    if done.refused:
        click.echo(f'{len(done.refused)} not read; all of them: {out}.refused.csv')
    if not done.written:
        click.echo(f'None of the images below {folder} could be read.')
        return 1
    classes = f' of {done.classes} classes' if done.classes else ''
    rate = (done.written + len(done.refused)) / seconds
    click.echo(
        f'{done.written} images{classes}, {net.width} numbers each, in {seconds:.1f} s '
        f'({rate:.0f} per second on {device}). Written to {out}'
    )
    return 0
