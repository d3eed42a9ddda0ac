"""Findings about a data set, and the decoding of a sample of it."""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image

from .progress import Progress

Item = TypeVar('Item')


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Args:
        what (str): What was looked at.
        found (str | int): What there is.
        expected (str | int): What there should be.
        good (bool): Whether the two agree.
        mend (str): What to do if they do not.
    """

    what: str
    found: str | int
    expected: str | int
    good: bool
    mend: str


def count(what: str, found: int, expected: int, mend: str) -> Finding:
    """A finding about a number that must be right."""
    return Finding(what, found, expected, found == expected, mend)


def files_below(folder: Path, endings: tuple[str, ...]) -> list[str]:
    """List files at any depth by their ends; what is hidden does not count.

    Args:
        folder (Path): Where to look; need not exist.
        endings (tuple[str, ...]): Ends of file names in lower case.

    Returns:
        list[str]: Paths relative to the folder, with '/', sorted.
    """
    found = []
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith('.')]
        relative = Path(root).relative_to(folder).as_posix()
        prefix = '' if relative == '.' else f'{relative}/'
        found += [
            prefix + name
            for name in files
            if name.lower().endswith(endings) and not name.startswith('.')
        ]
    return sorted(found)


def examine(
    what: str,
    items: Sequence[Item],
    fault: Callable[[Item], str | None],
    sample: int | None,
    mend: str,
) -> Finding:
    """Look closely at some of many things.

    Args:
        what (str): What is looked at.
        items (Sequence): The things.
        fault (Callable): Says what is wrong with one of them, or None.
        sample (int, optional): How many are drawn, always the same ones; None
            stands for all.
        mend (str): How to get what is missing, or was removed.

    Returns:
        Finding: Names up to five faults in ``mend``; not good if there is nothing.
    """
    if not items:
        return Finding(what, 'none', 'all', False, mend)
    if sample is not None and sample < len(items):
        items = random.Random(0).sample(items, sample)
    with Progress(what, len(items), 'files') as progress:
        faults = [each for each in _examined(items, fault, progress) if each]
    named = '; '.join(faults[:5]) + (' ...' if len(faults) > 5 else '.')
    return Finding(
        what,
        f'{len(items) - len(faults)} of {len(items)}',
        'all',
        not faults,
        f'{named} Remove what is damaged. {mend}',
    )


def _examined(
    items: Sequence[Item], fault: Callable[[Item], str | None], progress: Progress
) -> Iterator[str | None]:
    """Call ``fault`` in threads; Pillow decodes without holding the others up."""
    step = 1000  # the pool would take a million items at once
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(items), step):
            for answer in pool.map(fault, items[start : start + step]):
                progress.advance()
                yield answer


def open_image(path: Path) -> Image.Image:
    """Decode a whole image.

    Raises:
        ValueError: If it is missing or damaged; the message names the file.
    """
    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # what a damaged file makes Pillow raise has no limit
        raise ValueError(f'{path}: {error}') from error
    return image


def decoding_fault(folder: Path, name: str) -> str | None:
    """What hinders an image from being decoded, if anything does."""
    try:
        open_image(folder / name)
    except ValueError as error:
        return str(error)
    return None
