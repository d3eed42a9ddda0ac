"""COCO 2017: images, and JSON files with boxes and masks of 80 classes.

.. code-block:: text

    data/coco
    ├── train2017/000000000009.jpg
    ├── val2017/000000000139.jpg
    └── annotations/instances_{train,val}2017.json
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

from .checking import Finding, count, examine, files_below, open_image
from .extraction import unpack

DEFAULT_OUT = Path('data/coco')
ARCHIVES = dict.fromkeys(
    ('train2017.zip', 'val2017.zip', 'annotations_trainval2017.zip'), 'cocodataset.org'
)


@dataclass(frozen=True)
class Expected:
    """The numbers of the official data set."""

    train2017: int = 118_287
    val2017: int = 5_000
    categories: int = 80


EXPECTED = Expected()


def looks_like(folder: Path) -> bool:
    """Whether one of the folders of the archives is in it."""
    return any((folder / name).is_dir() for name in ('train2017', 'val2017'))


def prepare(archives: Path, out: Path, expected: Expected) -> None:
    """Unpack what is missing, as far as the archives are there.

    Args:
        archives (Path): The folder with the official archives.
        out (Path): Gets ``train2017``, ``val2017`` and ``annotations``.
        expected (Expected): Not needed here.

    Raises:
        ArchiveError: If an archive is damaged, or the disk too small.
    """
    for name in ARCHIVES:
        if (archives / name).is_file():
            unpack(archives / name, out)


def check(out: Path, sample: int | None, expected: Expected) -> list[Finding]:
    """Count images, hold them against the JSON files, and decode a sample.

    Args:
        out (Path): The folder with ``train2017``, ``val2017`` and ``annotations``.
        sample (int, optional): Images to decode of each split; None stands for all.
        expected (Expected): The right numbers.

    Returns:
        list[Finding]: The lines of the table.
    """
    findings = []
    for split in ('train2017', 'val2017'):
        findings += _check_split(out, split, sample, expected)
    return findings


def _check_split(
    out: Path, split: str, sample: int | None, expected: Expected
) -> list[Finding]:
    again = f'python tools/prepare_data.py coco --archives DIR --out {out}'
    mend = f'Put {split}.zip into a folder DIR, then: {again}'
    mend_json = f'Put annotations_trainval2017.zip into a folder DIR, then: {again}'
    number = getattr(expected, split)
    there = set(files_below(out / split, ('.jpg',)))
    findings = [count(f'{split}: images', len(there), number, mend)]

    file = out / 'annotations' / f'instances_{split}.json'
    try:
        content = json.loads(file.read_bytes())
        images = {image['id']: image for image in content['images']}
        categories = {category['id'] for category in content['categories']}
        lost = sum(
            entry['image_id'] not in images or entry['category_id'] not in categories
            for entry in content['annotations']
        )
        known = [entry for entry in images.values() if entry['file_name'] in there]
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f'{type(error).__name__}: {error}'
        return [*findings, Finding(file.name, found, 'readable', False, mend_json)]
    return [
        *findings,
        count(f'{split}: images in the JSON', len(images), number, mend_json),
        count(f'{split}: of these without file', len(images) - len(known), 0, mend),
        count(f'{split}: categories', len(categories), expected.categories, mend_json),
        count(f'{split}: objects of no image or category', lost, 0, mend_json),
        examine(
            f'{split}: images decoded',
            known,
            functools.partial(image_fault, out / split),
            sample,
            mend,
        ),
    ]


def image_fault(folder: Path, entry: dict) -> str | None:
    """What is wrong with an image of the JSON, if anything is.

    Args:
        folder (Path): Where the image is.
        entry (dict): With ``file_name``, ``width`` and ``height``.

    Returns:
        str | None: A sentence that names the file.
    """
    path = folder / entry['file_name']
    try:
        image = open_image(path)
    except ValueError as error:
        return str(error)
    told = (entry.get('width'), entry.get('height'))
    if image.size != told:
        return f'{path} measures {image.size}, {told} in the JSON'
    return None
