"""A run on one page: a self-contained HTML file that needs no network."""

import base64
import html
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5c667a; --line: #d9dee8;
  --paper: #fff; --tint: #f3f6fb; --best: #0b6e4f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9f0; --soft: #9aa4b8;
  --line: #333b4d; --paper: #12161f; --tint: #1a2030; --best: #4fd1a5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  background: var(--paper); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { margin: 2.4rem 0 .4rem; }
p { color: var(--soft); margin: .2rem 0 1rem; max-width: 48rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { padding: .4rem .9rem .4rem 0; text-align: left; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.best { color: var(--best); font-weight: 600; }
.panel { display: grid; gap: .5rem; margin: .6rem 0; }
.panel span { color: var(--soft); font-size: .85rem; align-self: end; }
.panel img { width: 100%; image-rendering: pixelated; border-radius: 4px;
  display: block; background: var(--tint); }
.curves { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); }
figure { margin: 0; background: #fff; border: 1px solid var(--line);
  border-radius: 6px; padding: .4rem; }
figure svg { width: 100%; height: auto; display: block; }
"""


@dataclass
class Table:
    """Numbers side by side.

    Args:
        header (list[str]): Names of the columns.
        rows (list[list[str | float]]): Cells; numbers are shown with two digits.
        best (str, optional): 'max' marks the largest number of each row.
    """

    header: list[str]
    rows: list[list[str | float]]
    best: str | None = None


@dataclass
class Panel:
    """Pictures in rows and columns.

    Args:
        title (str): Heading.
        caption (str): What is to be seen.
        columns (list[str]): A name for each column.
        rows (list[list[ndarray]]): RGB pictures, uint8 (H, W, 3).
    """

    title: str
    caption: str
    columns: list[str]
    rows: list[list[np.ndarray]]


@dataclass
class Curve:
    """A number over training.

    Args:
        title (str): What it is.
        lines (dict[str, tuple[list[float], list[float]]]): x and y by name.
        xlabel (str): Name of the x axis. Defaults to 'step'.
    """

    title: str
    lines: dict[str, tuple[list[float], list[float]]]
    xlabel: str = 'step'


@dataclass
class Report:
    """All that stands on the page, in this order.

    Args:
        title (str): Heading.
        lead (str): A sentence or two below it.
        tables (list[tuple[str, str, Table]]): Heading, caption and numbers.
        curves (list[Curve]): Curves of the training.
        panels (list[Panel]): Pictures.
        facts (dict[str, str]): Commands, versions, seeds: how to do it again.
    """

    title: str
    lead: str
    tables: list[tuple[str, str, Table]] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def write(self, path: str | Path) -> Path:
        """Write the page.

        Args:
            path (str | Path): The HTML file; its folder is made if need be.

        Returns:
            Path: The file.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        parts = [f'<h1>{_text(self.title)}</h1><p>{_text(self.lead)}</p>']
        parts += [_section(title, text, _table(t)) for title, text, t in self.tables]
        if self.curves:
            drawn = ''.join(f'<figure>{_svg(curve)}</figure>' for curve in self.curves)
            parts.append(_section('Training', '', f'<div class="curves">{drawn}</div>'))
        parts += [_section(p.title, p.caption, _panel(p)) for p in self.panels]
        if self.facts:
            facts = Table(['', ''], [[k, v] for k, v in self.facts.items()])
            parts.append(_section('How to do it again', '', _table(facts)))
        path.write_text(
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            # Without this, browsers ask the server for an icon.
            '<link rel="icon" href="data:,">'
            f'<title>{_text(self.title)}</title><style>{STYLE}</style></head>'
            f'<body>{"".join(parts)}</body></html>\n',
            encoding='utf-8',
        )
        return path


def _text(value: object) -> str:
    return html.escape(str(value))


def _section(title: str, caption: str, body: str) -> str:
    caption = f'<p>{_text(caption)}</p>' if caption else ''
    return f'<section><h2>{_text(title)}</h2>{caption}{body}</section>'


def _table(table: Table) -> str:
    head = ''.join(f'<th>{_text(name)}</th>' for name in table.header)
    body = ''.join(f'<tr>{_row(row, table.best)}</tr>' for row in table.rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _row(row: list[str | float], best: str | None) -> str:
    numbers = [cell for cell in row if isinstance(cell, float)]
    cells = []
    for cell in row:
        if isinstance(cell, float):
            mark = ' best' if best == 'max' and cell == max(numbers) else ''
            cells.append(f'<td class="number{mark}">{cell:.2f}</td>')
        else:
            cells.append(f'<td>{_text(cell)}</td>')
    return ''.join(cells)


def _panel(panel: Panel) -> str:
    names = ''.join(f'<span>{_text(name)}</span>' for name in panel.columns)
    pictures = ''.join(
        f'<img src="{data_url(image)}" alt="{_text(name)}">'
        for row in panel.rows
        for name, image in zip(panel.columns, row, strict=True)
    )
    columns = f'grid-template-columns: repeat({len(panel.columns)}, 1fr)'
    width = f'max-width: {11 * len(panel.columns)}rem'
    return f'<div class="panel" style="{columns}; {width}">{names}{pictures}</div>'


def data_url(image: np.ndarray) -> str:
    """Put a picture into a URL.

    Args:
        image (ndarray): RGB, uint8 (H, W, 3).

    Returns:
        str: ``data:image/png;base64,...``.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format='PNG', optimize=True)
    return 'data:image/png;base64,' + base64.b64encode(buffer.getvalue()).decode()


def _svg(curve: Curve) -> str:
    """Draw a curve with matplotlib, as inline SVG."""
    # Figure, not pyplot: no display, no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 2.7), layout='constrained')
    axes = figure.subplots()
    for name, (x, y) in curve.lines.items():
        axes.plot(x, y, label=name, linewidth=1.6)
    axes.set_title(curve.title, fontsize=10, loc='left')
    axes.set_xlabel(curve.xlabel, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.spines[['top', 'right']].set_visible(False)
    if len(curve.lines) > 1:
        axes.legend(fontsize=8, frameon=False)
    buffer = io.StringIO()
    figure.savefig(buffer, format='svg')
    text = buffer.getvalue()
    return text[text.index('<svg') :]  # without the XML header
