"""``cmae scan``: which images of a folder a run would refuse."""

import os
import time
from pathlib import Path

import click

from .options import PATH, check_folder, check_out


@click.command()
@click.argument('folder', type=PATH)
@click.option(
    '--out',
    type=PATH,
    help='Where lists and state go. Of data/photos: work_dirs/scan_data_photos.',
)
@click.option(
    '--workers',
    type=click.IntRange(min=1),
    default=len(os.sched_getaffinity(0))
    if hasattr(os, 'sched_getaffinity')
    else os.cpu_count(),
    show_default=True,
    help='Processes.',
)
@click.option(
    '--max-pixels',
    type=click.IntRange(min=1),
    default=2**27,
    show_default=True,
    help='Larger images are refused, as max_pixels of cmae_mm.LoadImage does.',
)
@click.option(
    '--value-range',
    type=(float, float),
    help='What is black and white in images of floating point, signed or 32-bit '
    'numbers, as value_range of cmae_mm.LoadImage.',
)
def command(
    folder: Path,
    out: Path | None,
    workers: int,
    max_pixels: int,
    value_range: tuple[float, float] | None,
) -> int:
    """Decode every image below FOLDER, and say which ones a run would refuse.

    With class folders or without. A second scan looks at new and changed files only;
    one that was stopped goes on. Lists go to bad.csv, duplicates.csv and good.json,
    which cmae_mm.UnlabelledImages takes as ann_file. Exit code 1 if images are refused.

    Example: cmae scan photos --out work_dirs/photos_scan
    """
    from cmae_mm.datasets.decoder import ImageDecoder
    from cmae_mm.guards.scan import scan_folder
    from cmae_mm.guards.scan_report import describe, write_lists

    out = out or Path('work_dirs', '_'.join(['scan', *folder.resolve().parts[-2:]]))
    check_folder(folder)
    check_out(out)
    start = time.perf_counter()
    scan = scan_folder(
        folder, out / 'state.jsonl', ImageDecoder(max_pixels, value_range), workers
    )
    seconds = time.perf_counter() - start
    write_lists(scan, out)
    for line in describe(scan):
        click.echo(line)
    fresh = len(scan.records) - scan.known
    click.echo(
        f'{fresh} images in {seconds:.1f} s ({fresh / seconds:.0f} per second; '
        f'--workers {workers}). Lists: {out}'
    )
    return 1 if scan.refused else 0
