"""The frame of a page: one file, nothing loaded from elsewhere.

The policy in its head forbids every request; style and script are allowed by their
hashes, pictures as ``data:`` only.
"""

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from .blocks import text

_WEIGHT = '@@weight@@'


@dataclass
class Section:
    """A part of the page under its own heading.

    Args:
        name (str): Its anchor, of letters and dashes.
        title (str): Its heading.
        body (str): HTML.
        lead (str): A sentence or two below the heading. Defaults to ''.
    """

    name: str
    title: str
    body: str
    lead: str = ''


def write_page(
    path: str | Path, title: str, header: str, sections: list[Section], footer: str = ''
) -> Path:
    """Write a page.

    Args:
        path (str | Path): The HTML file; its folder is made if need be.
        title (str): Of the window.
        header (str): HTML above the sections, with the ``h1``.
        sections (list[Section]): In their order.
        footer (str): A sentence at the end. Defaults to ''.

    Returns:
        Path: The file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    style, script = _part('page.css'), _part('page.js')
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    links = ''.join(
        f'<a href="#{section.name}">{text(section.title)}</a>' for section in sections
    )
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        # Without this, browsers ask the server for an icon.
        '<link rel="icon" href="data:,">'
        f'<title>{text(title)}</title><style>{style}</style></head>\n'
        f'<body><header>{header}</header>'
        f'<nav aria-label="Sections">{links}</nav>\n'
        f'<main>{"".join(map(_section, sections))}</main>\n'
        f'<footer><p>{text(footer)} One file of {_WEIGHT} that loads nothing from '
        f'elsewhere.</p></footer><script>{script}</script></body></html>\n'
    )
    page = page.replace(_WEIGHT, weigh(len(page.encode())))
    path.write_text(page, encoding='utf-8')
    return path


def weigh(size: int) -> str:
    """Bytes in words: 12 kB, 3.4 MB."""
    return f'{size / 1e3:.0f} kB' if size < 1e6 else f'{size / 1e6:.1f} MB'


def _section(section: Section) -> str:
    lead = f'<p class="lead">{text(section.lead)}</p>' if section.lead else ''
    return (
        f'<section id="{section.name}"><h2>{text(section.title)}</h2>{lead}'
        f'{section.body}</section>\n'
    )


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding='utf-8')


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return 'sha256-' + base64.b64encode(digest).decode()
