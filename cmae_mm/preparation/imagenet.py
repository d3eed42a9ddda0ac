"""ImageNet-1K (ILSVRC 2012): one folder of images per class, train and val.

.. code-block:: text

    data/imagenet
    ├── train/n01440764/n01440764_10026.JPEG
    └── val/n01440764/ILSVRC2012_val_00000293.JPEG

The training archive is a tar of one tar per class. The validation images come
without their classes: the development kit has them as numbers, and a MATLAB table
that gives the WordNet name of each number.
"""

import functools
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .archives import ArchiveError, Member, naming, open_archive, open_tar
from .checking import Finding, count, decoding_fault, examine, files_below
from .extraction import missing, require_space, unpack, write
from .progress import Progress

DEFAULT_OUT = Path('data/imagenet')
TRAIN, VAL = 'ILSVRC2012_img_train.tar', 'ILSVRC2012_img_val.tar'
DEVKIT = 'ILSVRC2012_devkit_t12.tar.gz'
ARCHIVES = dict.fromkeys((TRAIN, VAL, DEVKIT), 'image-net.org, after registration')
TRUTH, SYNSETS = 'ILSVRC2012_validation_ground_truth.txt', 'meta.mat'
VAL_NAME = re.compile(r'ILSVRC2012_val_(\d{8})\.JPEG')
ENDINGS = ('.jpeg',)


@dataclass(frozen=True)
class Expected:
    """The numbers of the official data set."""

    classes: int = 1000
    train: int = 1_281_167
    val: int = 50_000


EXPECTED = Expected()


def looks_like(folder: Path) -> bool:
    """Whether there are classes with names like n01440764 in train or val."""
    return any(
        re.fullmatch(r'n\d{8}', path.name)
        for split in ('train', 'val')
        if (folder / split).is_dir()
        for path in (folder / split).iterdir()
    )


def prepare(archives: Path, out: Path, expected: Expected) -> None:
    """Unpack what is missing, as far as the archives are there.

    Args:
        archives (Path): The folder with the official archives.
        out (Path): Gets ``train`` and ``val``.
        expected (Expected): The right numbers.

    Raises:
        ArchiveError: If an archive is damaged, or the disk too small.
    """
    if (archives / TRAIN).is_file():
        unpack_train(archives / TRAIN, out / 'train')
    if (archives / VAL).is_file() and (archives / DEVKIT).is_file():
        classes = validation_classes(archives / DEVKIT)
        if len(classes) != expected.val:
            raise ArchiveError(
                f'{DEVKIT} has the classes of {len(classes)} validation images, '
                f'{expected.val} are expected. Take the kit of task 1 and 2 of 2012.'
            )
        unpack(archives / VAL, out / 'val', functools.partial(_place, classes))


def unpack_train(path: Path, out: Path) -> None:
    """Unpack the tars in the training tar, each to a folder of its name."""
    with open_archive(path) as tars:
        total = sum(tar.size for tar in tars)
        require_space(out, total - _bytes_below(out), path.name)
        with Progress(path.name, total) as progress:
            for tar in tars:
                _unpack_class(tar, out / PurePosixPath(tar.name).stem)
                progress.advance(tar.size)


def _unpack_class(tar: Member, out: Path) -> None:
    label = f'{tar.name} in {tar.archive}'
    with tar.open() as file, open_tar(file, label) as members:
        for member in missing(members, out):
            write(member, out / member.name)


def _bytes_below(folder: Path) -> int:
    return sum(
        os.stat(os.path.join(root, file)).st_size
        for root, _, files in os.walk(folder)
        for file in files
    )


def validation_classes(devkit: Path) -> list[str]:
    """Read the class of each validation image from the development kit.

    Args:
        devkit (Path): The official tar.

    Returns:
        list[str]: WordNet names, the first for image 1.

    Raises:
        ArchiveError: If it lacks the two files, they are damaged, or they do not
            fit each other.
        ImportError: If scipy is missing, which reads MATLAB tables.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ImportError(
            f'{SYNSETS} in {devkit.name} is a MATLAB table, which scipy reads. Try: '
            'pip install scipy'
        ) from error
    with open_archive(devkit) as members:
        content = {}
        for member in members:
            if (name := PurePosixPath(member.name).name) in (TRUTH, SYNSETS):
                with naming(member):
                    content[name] = member.open().read()
    if len(content) != 2:
        raise ArchiveError(
            f'{devkit.name} should hold {TRUTH} and {SYNSETS}, and holds '
            f'{" and ".join(content) or "neither"}. Get the official kit again.'
        )
    file = SYNSETS
    try:
        table = loadmat(io.BytesIO(content[SYNSETS]), squeeze_me=True)['synsets']
        names = dict(zip(table['ILSVRC2012_ID'].tolist(), table['WNID'], strict=True))
        file = TRUTH
        numbers = [int(line) for line in content[TRUTH].split()]
    except Exception as error:  # what a damaged table makes scipy raise has no limit
        raise ArchiveError(
            f'{file} in {devkit.name} cannot be understood '
            f'({type(error).__name__}: {error}). Get the official kit again.'
        ) from error
    unknown = sorted(set(numbers) - set(names))
    if unknown:
        raise ArchiveError(
            f'{TRUTH} names the classes {unknown[:5]}, which {SYNSETS} does not '
            f'know. {devkit.name} is damaged; get it again.'
        )
    return [str(names[number]) for number in numbers]


def _place(classes: list[str], name: str) -> str:
    """'ILSVRC2012_val_00000293.JPEG' -> 'n01440764/ILSVRC2012_val_00000293.JPEG'."""
    file = PurePosixPath(name).name
    match = VAL_NAME.fullmatch(file)
    if not match or not 1 <= int(match[1]) <= len(classes):
        raise ArchiveError(
            f'{VAL} holds {name!r}; ILSVRC2012_val_00000001.JPEG to '
            f'ILSVRC2012_val_{len(classes):08}.JPEG are expected.'
        )
    return f'{classes[int(match[1]) - 1]}/{file}'


def check(out: Path, sample: int | None, expected: Expected) -> list[Finding]:
    """Count classes and images, and decode a sample.

    Args:
        out (Path): The folder with ``train`` and ``val``.
        sample (int, optional): Images to decode of each; None stands for all.
        expected (Expected): The right numbers.

    Returns:
        list[Finding]: The lines of the table.
    """
    again = f'python tools/prepare_data.py imagenet --archives DIR --out {out}'
    findings, classes = [], {}
    for split, number, needed in (
        ('train', expected.train, TRAIN),
        ('val', expected.val, f'{VAL} and {DEVKIT}'),
    ):
        mend = f'Put {needed} into a folder DIR, then: {again}'
        files = files_below(out / split, ENDINGS)
        classes[split] = {file.split('/')[0] for file in files if '/' in file}
        findings += [
            count(f'{split}: classes', len(classes[split]), expected.classes, mend),
            count(f'{split}: images', len(files), number, mend),
            examine(
                f'{split}: images decoded',
                files,
                functools.partial(decoding_fault, out / split),
                sample,
                mend,
            ),
        ]
    alone = sorted(classes['train'] ^ classes['val'])
    mend = f'These classes are incomplete, or not of ImageNet: {", ".join(alone[:5])}'
    return [*findings, count('classes in one split only', len(alone), 0, mend)]
