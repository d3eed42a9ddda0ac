"""What pages are made of: tables, rows of pictures, sentences.

Everything that is not a number comes from outside, and is escaped.
"""

import html
from dataclasses import dataclass

import numpy as np

from .encoding import data_url

_SMALL = 100  # pixels of height; smaller pictures are enlarged with sharp edges


@dataclass
class Table:
    """Numbers side by side.

    Args:
        header (list[str]): Names of the columns.
        rows (list[list]): Cells: texts; numbers, which are shown with two digits; or
            pairs of a text and its mark, 'best' or 'warn'.
        best (str, optional): 'max' marks the largest number of each row.
    """

    header: list[str]
    rows: list[list[str | float | tuple[str, str]]]
    best: str | None = None


@dataclass
class Panel:
    """Pictures in rows and columns.

    Args:
        title (str): Heading.
        caption (str): What is to be seen.
        columns (list[str]): A name for each column.
        rows (list[list[ndarray]]): RGB pictures, uint8 (H, W, 3).
        notes (list[list[str]], optional): A word below each picture.
    """

    title: str
    caption: str
    columns: list[str]
    rows: list[list[np.ndarray]]
    notes: list[list[str]] | None = None


def text(value: object) -> str:
    """Make a text safe inside HTML and its attributes."""
    return html.escape(str(value))


def sentence(words: str) -> str:
    """A sentence, for instance on what is left out and why."""
    return f'<p class="note">{text(words)}</p>'


def table(content: Table) -> str:
    """A table, in a frame of its own that can be moved sideways."""
    head = ''.join(f'<th scope="col">{text(name)}</th>' for name in content.header)
    head = f'<thead><tr>{head}</tr></thead>' if any(content.header) else ''
    body = ''.join(f'<tr>{_row(row, content.best)}</tr>' for row in content.rows)
    return (
        '<div class="wide" tabindex="0" role="group" aria-label="table">'
        f'<table>{head}<tbody>{body}</tbody></table></div>'
    )


def _row(row: list, best: str | None) -> str:
    numbers = [cell for cell in row if isinstance(cell, float)]
    cells = []
    for place, cell in enumerate(row):
        if isinstance(cell, float):
            mark = ' best' if best == 'max' and cell == max(numbers) else ''
            cells.append(f'<td class="number{mark}">{cell:.2f}</td>')
        elif isinstance(cell, tuple):
            cells.append(f'<td class="{text(cell[1])}">{text(cell[0])}</td>')
        elif place == 0:
            cells.append(f'<th scope="row">{text(cell)}</th>')
        else:
            cells.append(f'<td>{text(cell)}</td>')
    return ''.join(cells)


def panel(content: Panel) -> str:
    """Pictures in a grid, the names of the columns above."""
    names = ''.join(f'<span class="name">{text(n)}</span>' for n in content.columns)
    cells = ''
    for i, row in enumerate(content.rows):
        for j, (name, image) in enumerate(zip(content.columns, row, strict=True)):
            note = content.notes[i][j] if content.notes else ''
            below = f'<span class="word">{text(note)}</span>' if note else ''
            alt = f'{name}, row {i + 1}' + (f': {note}' if note else '')
            cells += f'<div>{picture(image, alt)}{below}</div>'
    return f'<div class="panel columns-{len(content.columns)}">{names}{cells}</div>'


def picture(image: np.ndarray, alt: str) -> str:
    """One picture.

    Args:
        image (ndarray): RGB, uint8 (H, W, 3).
        alt (str): What it shows, for those who do not see it.
    """
    height, width = image.shape[:2]
    sharp = ' class="pixels"' if height <= _SMALL else ''
    return (
        f'<img{sharp} src="{data_url(image)}" width="{width}" height="{height}" '
        f'alt="{text(alt)}">'
    )
