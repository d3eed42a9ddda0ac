"""``cmae verify-resume``."""

import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from .options import PATH, cfg_options, check_out


@click.command(name='verify-resume')
@click.argument('config', type=PATH)
@click.option(
    '--steps',
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help='N, the steps before the interruption, and after it.',
)
@click.option(
    '--processes',
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help='Processes that train together.',
)
@cfg_options
@click.option(
    '--work-dir',
    type=PATH,
    help='Keep the files here; default: a temporary folder.',
)
def command(
    config: Path,
    steps: int,
    processes: int,
    cfg_options: dict,
    work_dir: Path | None,
) -> int:
    """Prove that a resumed run of CONFIG is the same run.

    CONFIG is a file, or the name of a packaged config.

    Trains 2N steps in one process; then N steps, a new process that resumes, and N
    steps; and compares weights, optimiser, schedules, random generators and logged
    numbers bit by bit. Exit code 1 if a bit differs (on GPUs some operations are not
    deterministic).

    Example: cmae verify-resume cmae_vit-nano-p8_bs32-8e_scenes.py --steps 20
    """
    from cmae_mm.config_files import find_config
    from cmae_mm.guards.verify_resume import verify_resume

    config = find_config(config)
    if work_dir is not None:
        check_out(work_dir)
    with tempfile.TemporaryDirectory(prefix='cmae-verify-') as temporary:
        folder = work_dir or Path(temporary)
        parts = verify_resume(str(config), folder, steps, cfg_options, processes)
    table = Table('part', f'{2 * steps} steps', f'{steps} + {steps} steps', 'same')
    for part in parts:
        answer = 'yes' if part.same else '[red]NO'
        table.add_row(part.part, part.unbroken[:16], part.resumed[:16], answer)
    Console().print(table)
    exact = all(part.same for part in parts)
    click.echo('Exact: not a bit differs.' if exact else 'Not exact: see above.')
    return 0 if exact else 1
