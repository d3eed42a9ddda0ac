"""ADE20K as in the scene parsing challenge: images, and maps of 150 classes.

.. code-block:: text

    data/ade/ADEChallengeData2016
    ├── images/{training,validation}/ADE_train_00000001.jpg
    └── annotations/{training,validation}/ADE_train_00000001.png

In a map 0 means "none of the classes", and 1 to 150 are the classes.
"""

from dataclasses import dataclass
from pathlib import Path

from .checking import Finding, count, examine, files_below, open_image
from .extraction import unpack

DEFAULT_OUT = Path('data/ade')
ARCHIVE = 'ADEChallengeData2016.zip'
ARCHIVES = {ARCHIVE: 'data.csail.mit.edu/places/ADEchallenge'}
FOLDER = 'ADEChallengeData2016'


@dataclass(frozen=True)
class Expected:
    """The numbers of the official data set."""

    training: int = 20_210
    validation: int = 2_000
    classes: int = 150


EXPECTED = Expected()


def looks_like(folder: Path) -> bool:
    """Whether the folder of the archive is in it."""
    return (folder / FOLDER).is_dir()


def prepare(archives: Path, out: Path, expected: Expected) -> None:
    """Unpack what is missing, if the archive is there.

    Args:
        archives (Path): The folder with the official archive.
        out (Path): Gets ``ADEChallengeData2016``.
        expected (Expected): Not needed here.

    Raises:
        ArchiveError: If the archive is damaged, or the disk too small.
    """
    if (archives / ARCHIVE).is_file():
        unpack(archives / ARCHIVE, out)


def check(out: Path, sample: int | None, expected: Expected) -> list[Finding]:
    """Count images and maps, and decode a sample of pairs.

    Args:
        out (Path): The folder with ``ADEChallengeData2016``.
        sample (int, optional): Pairs to decode of each split; None stands for all.
        expected (Expected): The right numbers.

    Returns:
        list[Finding]: The lines of the table.
    """
    mend = (
        f'Put {ARCHIVE} into a folder DIR, then: '
        f'python tools/prepare_data.py ade20k --archives DIR --out {out}'
    )
    findings = []
    for split in ('training', 'validation'):
        number = getattr(expected, split)
        images = out / FOLDER / 'images' / split
        maps = out / FOLDER / 'annotations' / split
        image_names = _stems(images, '.jpg')
        map_names = _stems(maps, '.png')
        pairs = [
            (images / f'{name}.jpg', maps / f'{name}.png')
            for name in sorted(image_names & map_names)
        ]
        alone = len(image_names ^ map_names)
        findings += [
            count(f'{split}: images', len(image_names), number, mend),
            count(f'{split}: maps', len(map_names), number, mend),
            count(f'{split}: images or maps alone', alone, 0, mend),
            examine(
                f'{split}: pairs decoded',
                pairs,
                lambda pair: pair_fault(*pair, expected.classes),
                sample,
                mend,
            ),
        ]
    return findings


def _stems(folder: Path, ending: str) -> set[str]:
    return {name.removesuffix(ending) for name in files_below(folder, (ending,))}


def pair_fault(image_path: Path, map_path: Path, classes: int) -> str | None:
    """What is wrong with an image and its map, if anything is.

    Args:
        image_path (Path): An image.
        map_path (Path): A map of 8 bits and one channel.
        classes (int): The highest value that a map may have.

    Returns:
        str | None: A sentence that names the file.
    """
    try:
        image, labels = open_image(image_path), open_image(map_path)
    except ValueError as error:
        return str(error)
    if image.size != labels.size:
        return f'{map_path} measures {labels.size}, its image {image.size}'
    if labels.mode not in ('L', 'P'):
        return f'{map_path} is of mode {labels.mode}; L or P is expected'
    highest = labels.getextrema()[1]
    if highest > classes:
        return f'{map_path} has the value {highest}, beyond {classes}'
    return None
