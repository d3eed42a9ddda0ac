"""``cmae doctor``: what is wrong before a run starts. Imports nothing heavy."""

from pathlib import Path

import click

from .options import PATH

_COLOURS = {'ok': 'green', 'note': 'yellow', 'wrong': 'red'}


@click.command()
@click.argument('config', required=False, type=PATH)
@click.option(
    '--work-dir',
    type=PATH,
    help='Of the run to be. Default: as the config or mim train has it.',
)
def command(config: Path | None, work_dir: Path | None) -> int:
    """Check environment, device, settings, data and disk, and train a few steps.

    CONFIG is a file, or the name of a packaged config; without one it is the smallest
    packaged one. A pre-training is measured on random images; any other training takes
    one step on 2 images of its own, if they are there. Of a pre-training whose images
    are there, it says how crop and pixel shift suit them, and WORK_DIR/first-batch.png
    shows input, mask and target view. Every line is ok, note or wrong; exit code 1 if
    one is wrong.

    Example: cmae doctor cmae_vit-nano-p8_bs32-8e_scenes.py
    """
    from cmae_mm.planning.doctor import examine

    wrong = 0
    for status, name, text in examine(config, work_dir):
        click.echo(f'{click.style(f"{status:<5}", fg=_COLOURS[status])} {name}: {text}')
        wrong += status == 'wrong'
    click.echo(f'{wrong} wrong.' if wrong else 'Nothing is wrong.')
    return 1 if wrong else 0
