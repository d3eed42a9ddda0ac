"""Make the folders that the configs expect out of official archives, and check them.

.. code-block:: bash

    python tools/prepare_data.py imagenet --archives DIR [--out data/imagenet]
    python tools/prepare_data.py ade20k --archives DIR [--out data/ade]
    python tools/prepare_data.py coco --archives DIR [--out data/coco]
    python tools/prepare_data.py check imagenet|ade20k|coco|FOLDER

Broken off at any point, the same command goes on where it was. Counts and a sample
of the images are checked at the end (``--sample N``, ``--all``). Exit status: 0 if
all is there and sound, 1 if something is missing or damaged, 2 for a wrong call.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cmae_mm.preparation import DATASETS, ArchiveError
from cmae_mm.preparation.checking import Finding


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line (``sys.argv`` by default)."""
    parser = argparse.ArgumentParser(
        description='Make the folders that the configs expect out of official '
        'archives on this disk, and check them.'
    )
    closer = argparse.ArgumentParser(add_help=False)
    number = closer.add_mutually_exclusive_group()
    number.add_argument(
        '--sample', type=int, default=200, help='images to decode of each split'
    )
    number.add_argument('--all', action='store_true', help='decode every image')
    commands = parser.add_subparsers(dest='command', required=True)
    for name, dataset in DATASETS.items():
        command = commands.add_parser(
            name, parents=[closer], help=f'from {", ".join(dataset.ARCHIVES)}'
        )
        command.add_argument(
            '--archives', type=Path, required=True, help='the folder they are in'
        )
        command.add_argument('--out', type=Path, default=dataset.DEFAULT_OUT)
    check = commands.add_parser('check', parents=[closer], help='look at what is there')
    check.add_argument('what', help=f'{", ".join(DATASETS)}, or a folder')

    args = parser.parse_args(argv)
    if args.command == 'check':
        args.dataset, args.out = _recognise(args.what, parser)
    else:
        args.dataset = DATASETS[args.command]
        if not args.archives.is_dir():
            parser.error(f'--archives {args.archives} is no folder')
    if args.sample < 0:
        parser.error(f'--sample {args.sample} is below 0')
    return args


def _recognise(what: str, parser: argparse.ArgumentParser) -> tuple[ModuleType, Path]:
    """The data set and the folder that a word stands for."""
    if what in DATASETS:
        return DATASETS[what], DATASETS[what].DEFAULT_OUT
    for dataset in DATASETS.values():
        if dataset.looks_like(Path(what)):
            return dataset, Path(what)
    parser.error(
        f'{what} is none of {", ".join(DATASETS)}, and no folder that looks like one '
        'of them (as data/imagenet, data/ade or data/coco)'
    )


def show(findings: list[Finding]) -> None:
    """Print the table, and below it what to do."""
    table = Table('what', 'found', 'expected', '')
    for line in findings:
        state = Text('ok', 'green') if line.good else Text('WRONG', 'bold red')
        table.add_row(line.what, _cell(line.found), _cell(line.expected), state)
    console = Console()
    console.print(table)
    for mend in dict.fromkeys(line.mend for line in findings if not line.good):
        console.print(f'- {mend}', markup=False, highlight=False, soft_wrap=True)


def _cell(value: str | int) -> Text:
    return Text(f'{value:,}' if isinstance(value, int) else value)


def run(args: argparse.Namespace) -> int:
    """Do what the command line asks.

    Returns:
        int: The exit status, 0 or 1.
    """
    dataset = args.dataset
    if args.command != 'check':
        for name, source in dataset.ARCHIVES.items():
            if not (args.archives / name).is_file():
                print(f'{name} is not in {args.archives} (it comes from {source}).')
        dataset.prepare(args.archives, args.out, dataset.EXPECTED)
    sample = None if args.all else args.sample
    findings = dataset.check(args.out, sample, dataset.EXPECTED)
    show(findings)
    return 0 if all(line.good for line in findings) else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = parse_args(argv)
    try:
        return run(args)
    except (ArchiveError, ImportError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('interrupted; the same command goes on from here', file=sys.stderr)
        return 130


if __name__ == '__main__':
    sys.exit(main())
