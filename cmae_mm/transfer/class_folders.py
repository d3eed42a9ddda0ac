"""Labelled images: one folder per class."""

import random
from dataclasses import dataclass
from pathlib import Path

from cmae_mm.datasets.image_folder import EXTENSIONS

SHARE_HELD_OUT = 0.2
# What people call the part that is tested on.
_TEST_NAMES = ('val', 'validation', 'test')


@dataclass(frozen=True)
class ClassFolders:
    """Images and their classes.

    Args:
        root (Path): Folder that the paths are relative to.
        classes (tuple[str, ...]): Names; a label is an index into them.
        train (list[tuple[str, int]]): Path and label of what is learnt from.
        val (list[tuple[str, int]]): Of what is tested on.
        how (str): Where the two parts come from, for people.
    """

    root: Path
    classes: tuple[str, ...]
    train: list[tuple[str, int]]
    val: list[tuple[str, int]]
    how: str

    @property
    def chance(self) -> float:
        """Share of ``val`` that is right if one always names its largest class."""
        labels = [label for _, label in self.val]
        return max(map(labels.count, set(labels))) / len(labels)


def read_class_folders(folder: str | Path, seed: int = 0) -> ClassFolders:
    """Find the labelled images of a folder.

    Args:
        folder (str | Path): With ``train`` and ``val`` (or ``validation`` or ``test``),
            which hold one folder per class each; or with the class folders themselves,
            of which every fifth image, chosen by the seed, is then held out.
        seed (int): Of that choice. Defaults to 0.

    Returns:
        ClassFolders: Paths are absolute or relative to its ``root``.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there are no two classes with images, the two parts differ in
            their classes, or a class is too small to be split.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f'There is no folder {root} (looked in {Path.cwd()}).')
    root = root.resolve()
    if (root / 'train').is_dir():
        return _two_parts(root)
    images = _images_by_class(root, root)
    parts = _split(images, seed)
    return ClassFolders(
        root,
        tuple(images),
        *parts,
        how=f'a stratified split by seed {seed}: {SHARE_HELD_OUT:.0%} of each class '
        'are held out',
    )


def has_parts(root: Path) -> bool:
    """Whether a folder holds ``train`` and one of ``val``, ``validation``, ``test``."""
    return (root / 'train').is_dir() and any(
        (root / name).is_dir() for name in _TEST_NAMES
    )


def _two_parts(root: Path) -> ClassFolders:
    """Where ``train`` and ``val`` are given."""
    names = [name for name in _TEST_NAMES if (root / name).is_dir()]
    if not names:
        raise ValueError(
            f'{root} has a folder train, but none of {", ".join(_TEST_NAMES)}. Add the '
            'images to test on, or name the folder of the classes itself.'
        )
    train, val = (_images_by_class(root / name, root) for name in ('train', names[0]))
    if differing := sorted(set(train) ^ set(val)):
        raise ValueError(
            f'train and {names[0]} of {root} differ in their classes; only in one of '
            f'them: {", ".join(differing[:5])}.'
        )
    parts = (
        [(path, label) for label, name in enumerate(train) for path in part[name]]
        for part in (train, val)
    )
    return ClassFolders(root, tuple(train), *parts, how=f'train and {names[0]}')


def _images_by_class(folder: Path, root: Path) -> dict[str, list[str]]:
    """Paths relative to the root by class, both sorted."""
    found = {
        sub.name: [
            str(file.relative_to(root))
            for file in sorted(sub.rglob('*'))
            if file.suffix.lower() in EXTENSIONS and file.is_file()
        ]
        for sub in sorted(folder.iterdir())
        if sub.is_dir() and not sub.name.startswith('.')
    }
    empty = [name for name, images in found.items() if not images]
    if len(found) < 2 or empty:
        what = f'none in {", ".join(empty[:5])}' if empty else f'{len(found)} found'
        raise ValueError(
            f'{folder} must hold one folder with images per class, two or more '
            f'({what}). Images end in {", ".join(EXTENSIONS)}.'
        )
    return found


def _split(
    images: dict[str, list[str]], seed: int
) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Hold a share of each class out, at least one image."""
    lonely = [name for name, paths in images.items() if len(paths) < 2]
    if lonely:
        raise ValueError(
            f'A single image in class {", ".join(lonely[:5])}: one to learn from and '
            'one to test on are needed.'
        )
    train, val = [], []
    for label, (name, paths) in enumerate(images.items()):
        shuffled = random.Random(f'{seed} {name}').sample(paths, len(paths))
        held_out = max(1, round(SHARE_HELD_OUT * len(paths)))
        val += [(path, label) for path in sorted(shuffled[:held_out])]
        train += [(path, label) for path in sorted(shuffled[held_out:])]
    return train, val
