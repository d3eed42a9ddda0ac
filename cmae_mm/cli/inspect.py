"""``cmae inspect``: what a file of weights holds."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cmae_mm.bridge.contents import Contents, Part, look_into

from .options import PATH

_EXAMPLES = 8  # of many names


@click.command()
@click.argument('ckpt', type=PATH)
def command(ckpt: Path) -> int:
    """Tell what the file CKPT holds, without running anything in it.

    For checkpoints of torch and files of safetensors, of any origin. Exit code 1: it
    is damaged, has weights that are not finite, or asks for code.

    Example: cmae inspect work_dirs/photos/epoch_300.pth
    """
    found = look_into(ckpt)
    console = Console()
    console.print(_overview(ckpt, found))
    if found.parts:
        console.print(_parts(found.parts))
    return 0 if found.sound else 1


def _overview(path: Path, found: Contents) -> Table:
    """What the file is, line by line."""
    table = Table(show_header=False, box=None)
    lines = {
        'file': f'{path} ({found.size / 2**20:.2f} MiB)',
        'kind': found.kind,
        **found.facts,
        'damage': found.damage,
        'asks for code': _some(found.unsafe),
        'not finite': _some(found.not_finite),
        'resume': f'no, {found.obstacle}' if found.obstacle else 'yes',
    }
    for name, line in lines.items():
        if line is not None:
            table.add_row(_text(name, 'bold'), _text(line))
    return table


def _parts(parts: dict[str, Part]) -> Table:
    """The weights by part, and their sum."""
    table = Table('part', 'tensors', 'numbers', 'types')
    for column in table.columns[1:3]:
        column.justify = 'right'
    for name, part in parts.items():
        table.add_row(_text(name), *_counts(part))
    everything = Part(
        tensors=sum(part.tensors for part in parts.values()),
        numbers=sum(part.numbers for part in parts.values()),
        dtypes=set.union(*(part.dtypes for part in parts.values())),
    )
    table.add_section()
    table.add_row('together', *_counts(everything))
    return table


def _counts(part: Part) -> tuple[str, str, str]:
    """Cells of a row."""
    return str(part.tensors), f'{part.numbers:,}', ', '.join(sorted(part.dtypes))


def _some(names: list[str]) -> str | None:
    """How many there are, and the first of them."""
    if not names:
        return None
    more = ', ...' if len(names) > _EXAMPLES else ''
    return f'{len(names)}: {", ".join(names[:_EXAMPLES])}{more}'


def _text(value: Any, style: str = '') -> Text:
    """Of a file that nobody vouches for: no markup, no codes for the terminal."""
    shown = (c if c.isprintable() else repr(c)[1:-1] for c in str(value))
    return Text(''.join(shown), style)
