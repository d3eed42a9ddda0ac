"""What a scan says: lines for people, lists for programs."""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from cmae_mm.datasets import jpeg
from cmae_mm.datasets.refused import printable

from .scan import SUSPECT, Record, Scan

_ENDINGS = {
    'JPEG': ('.jpg', '.jpeg'),
    'PNG': ('.png',),
    'BMP': ('.bmp',),
    'WebP': ('.webp',),
    'TIFF': ('.tif', '.tiff'),
    'PNM': ('.pgm', '.ppm'),
}
_SHOWN = 3  # sizes of each end


def write_lists(scan: Scan, out: Path) -> None:
    """Write what is bad, what is good, and what is there twice.

    Args:
        scan (Scan): What was found.
        out (Path): A folder, for ``bad.csv`` (refused and suspect images),
            ``good.json`` (a list for ``ann_file`` of ``cmae_mm.UnlabelledImages``) and
            ``duplicates.csv``.
    """
    bad = [record for record in scan.records if record.kind]
    rows = [(r.name, r.kind, r.reason, r.size) for r in bad]
    _write_csv(out / 'bad.csv', ('path', 'kind', 'reason', 'bytes'), rows)
    good = [record.name for record in scan.records if not record.refused]
    (out / 'good.json').write_text(json.dumps(good, indent=0) + '\n')
    rows = [(r.digest, r.name) for group in duplicates(scan.records) for r in group]
    _write_csv(out / 'duplicates.csv', ('content', 'path'), rows)


def _write_csv(file: Path, columns: Iterable[str], rows: Iterable[tuple]) -> None:
    # Names that are no UTF-8 keep their bytes.
    with file.open('w', newline='', encoding='utf-8', errors='surrogateescape') as text:
        csv.writer(text, lineterminator='\n').writerows([columns, *rows])


def duplicates(records: Iterable[Record]) -> list[list[Record]]:
    """Group images with the same content, two or more each."""
    groups = defaultdict(list)
    for record in records:
        if record.digest:
            groups[record.digest].append(record)
    return [group for group in groups.values() if len(group) > 1]


def describe(scan: Scan) -> list[str]:
    """Say what was found.

    Args:
        scan (Scan): What was found.

    Returns:
        list[str]: Lines.
    """
    records, refused = scan.records, scan.refused
    suspect = [record for record in records if record.kind == SUSPECT]
    images = [record for record in records if record.format and not record.refused]
    lying = [
        r for r in images if not r.name.lower().endswith(_ENDINGS.get(r.format, ()))
    ]
    groups = duplicates(records)
    lines = [
        f'{len(records)} images below {scan.folder} ({scan.known} known from before): '
        f'{len(records) - len(refused)} can be used, {len(refused)} are refused.',
        f'Formats: {_counts(record.format for record in images)}',
    ]
    if refused:
        lines.append(f'Refused: {_counts(record.kind for record in refused)}')
        lines += [_line(record) for record in refused[:_SHOWN]]
    if suspect:
        lines.append(f'Suspect, decoded with warnings: {len(suspect)}')
        lines += [_line(record) for record in suspect[:_SHOWN]]
    if jpeg.simplejpeg is None:
        lines.append('Suspect: not looked for; pip install simplejpeg')
    if lying:
        name, kind = printable(lying[0].name), lying[0].format
        lines.append(
            f'Of another format than they say: {len(lying)} ({name} is {kind})'
        )
    if groups:
        extra = sum(map(len, groups)) - len(groups)
        lines.append(f'Duplicates: {extra}, of {len(groups)} images')
    if scan.others:
        lines.append(f'Not looked at: {_counts(scan.others.elements())}')
    images.sort(key=lambda record: record.height * record.width)
    lines.append(f'Smallest: {_sizes(images[:_SHOWN])}')
    lines.append(f'Largest: {_sizes(images[: -_SHOWN - 1 : -1])}')
    return lines


def _counts(words: Iterable[str]) -> str:
    found = Counter(words).most_common()
    return ', '.join(f'{count} {word}' for word, count in found) or 'none'


def _line(record: Record) -> str:
    return f'  {printable(record.name)}: {record.reason}'


def _sizes(records: list[Record]) -> str:
    sizes = (f'{r.width}x{r.height} {printable(r.name)}' for r in records)
    return ', '.join(sizes) or 'none'
