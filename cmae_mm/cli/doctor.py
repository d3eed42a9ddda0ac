"""``cmae doctor``: what is wrong before a run starts. Imports nothing heavy."""

from pathlib import Path

import click

_COLOURS = {'ok': 'green', 'note': 'yellow', 'wrong': 'red'}


@click.command()
@click.argument('config', required=False, type=click.Path(path_type=Path))
@click.option(
    '--work-dir',
    type=click.Path(path_type=Path),
    help='Of the run to be. Default: as the config or mim train has it.',
)
def command(config: Path | None, work_dir: Path | None) -> int:
    """Check environment, device, settings, data and disk, and train a few steps.

    The steps are those of CONFIG on random images, of the smallest packaged config
    without one. If the data are there, WORK_DIR/first-batch.png shows input, mask and
    target view. Every line is ok, note or wrong; exit code 1 if one is wrong.

    Example: cmae doctor configs/scenes/cmae_vit-nano-p8_bs32-8e_scenes.py
    """
    from cmae_mm.planning.doctor import examine

    wrong = 0
    for status, name, text in examine(config, work_dir):
        click.echo(f'{click.style(f"{status:<5}", fg=_COLOURS[status])} {name}: {text}')
        wrong += status == 'wrong'
    click.echo(f'{wrong} wrong.' if wrong else 'Nothing is wrong.')
    return 1 if wrong else 0
