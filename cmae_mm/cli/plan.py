"""``cmae plan``: what a pre-training will take, before it starts."""

from pathlib import Path

import click

from .options import PATH


@click.command()
@click.argument('config', required=False, type=PATH)
@click.option(
    '--images',
    required=True,
    metavar='N|DIR',
    help='How many, or a folder in which they are counted.',
)
@click.option('--gpus', type=int, required=True, help='1 for a machine without any.')
@click.option('--hours', type=float, required=True, help='Of the clock.')
@click.option(
    '--epochs', type=int, help="Default: the config's; without one, as many as fit."
)
@click.option(
    '--batch',
    type=int,
    help="Images of a step over all GPUs. Default: the recipe's, or less so that an "
    'epoch has 16 steps.',
)
@click.option(
    '--images-per-second',
    type=float,
    help="Of one GPU, from a run's log (batch per GPU / time), in place of a "
    'measurement on this machine.',
)
def command(
    config: Path | None,
    images: str,
    gpus: int,
    hours: float,
    epochs: int | None,
    batch: int | None,
    images_per_second: float | None,
) -> int:
    """Plan a pre-training: batch, negatives, epochs, memory, disk and time.

    Trains a few steps on random images to measure speed and memory. CONFIG is a file,
    or the name of a packaged config; without one, a packaged recipe is proposed. Exit
    code 1: the wish does not fit; it is said what would have to change, and by how
    much.

    Example: cmae plan cmae_vit-nano-p8_bs32-8e_scenes.py --images 4000 --gpus 1
    --hours 0.1
    """
    from cmae_mm.config_files import find_config
    from cmae_mm.planning.make import make_plan
    from cmae_mm.planning.plan import Wish
    from cmae_mm.planning.report import start_command
    from cmae_mm.pretraining.pictures import look_at

    if not images.strip():
        raise ValueError('--images is empty; expected is a number, or a folder.')
    if config is not None:
        config = find_config(config)
    count, short_side, folder = images, None, 'DIR'
    if not images.lstrip('-').isdigit():
        found = look_at(Path(images))
        count, short_side, folder = found.count, found.short_side, images
    wish = Wish(int(count), gpus, hours, epochs, batch)
    plan = make_plan(wish, config, short_side, images_per_second)
    show(plan.rows())
    click.echo(f'start: {start_command(plan, folder)}')  # whole, to be copied
    remedies = plan.schedule.remedies()
    if remedies:
        click.echo(f'{plan.schedule.epochs} epochs do not fit. Change one of these:')
        for remedy in remedies:
            click.echo(f'  {remedy}')
    return 1 if remedies else 0


def show(rows: list[tuple[str, str]]) -> None:
    """A table on a terminal, plain lines elsewhere."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        for name, text in rows:
            click.echo(f'{name}: {text}')
        return
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(overflow='fold')  # no name is cut off
    for name, text in rows:
        table.add_row(Text(name, 'bold'), Text(text))
    console.print(table)
