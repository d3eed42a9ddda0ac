"""``cmae report``: a run on one page."""

from pathlib import Path

import click

from .options import PATH


@click.command(epilog='Example: cmae report work_dirs/demo/pretrain')
@click.argument('out', type=PATH)
@click.option(
    '--checkpoint',
    type=PATH,
    help='Weights to look inside. Default: the newest whole checkpoint in OUT.',
)
@click.option(
    '--data',
    type=PATH,
    help='Folder of pictures to look at; sub-folders count as classes. Default: those '
    'of the run.',
)
@click.option(
    '--compare',
    type=PATH,
    multiple=True,
    help='Another run, such as a segmentation that starts from this one, or the folder '
    'of a probe: its results and drawn pictures are shown, too. As often as needed.',
)
@click.option(
    '--html',
    type=PATH,
    help='The page to write. Default: OUT/report.html.',
)
def command(
    out: Path,
    checkpoint: Path | None,
    data: Path | None,
    compare: tuple[Path, ...],
    html: Path | None,
) -> None:
    """Write one page about the run in the folder OUT (its work_dir).

    Curves, time-lapse, what the weights see in a few pictures, and where the run comes
    from. The page is one file that loads nothing from elsewhere. It holds small copies
    of your pictures and the settings of the run.
    """
    from cmae_mm.report import write_report
    from cmae_mm.report.page import weigh

    if html is not None and html.is_dir():
        raise ValueError(
            f'{html} is a folder; the page is a file, such as {html / "report.html"}.'
        )
    page = write_report(out, checkpoint, data, html, compare)
    click.echo(f'Report: {page} ({weigh(page.stat().st_size)})')
