"""A user's images with label maps, looked at before anything is trained."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image, UnidentifiedImageError

IGNORED = 255  # pixels that nobody labelled
_SPLITS = (('training', 'validation'), ('train', 'val'))
_MAPS = ('annotations', 'labels')
_IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
_MAP_SUFFIXES = ('.png', '.tif', '.tiff', '.bmp')
_NUMBERS = ('1', 'L', 'P', 'I', 'I;16', 'I;16B')  # modes of Pillow with one channel
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class LabelMaps:
    """Images and the classes of their pixels, in the layout of ADE20K.

    Args:
        root (Path): Absolute.
        folders (dict[str, tuple[str, str]]): Of ``train`` and ``val``: images and label
            maps, relative to the root.
        suffixes (tuple[str, str]): Ends of their file names.
        images (dict[str, int]): How many there are of ``train`` and ``val``.
        classes (tuple[str, ...]): Names.
        named (bool): Whether ``classes.txt`` gives them.
        reduce_zero_label (bool): Whether 0 is no class and classes begin with 1.
        side (int): The shorter side of the median training image, pixels.
    """

    root: Path
    folders: dict[str, tuple[str, str]]
    suffixes: tuple[str, str]
    images: dict[str, int]
    classes: tuple[str, ...]
    named: bool
    reduce_zero_label: bool
    side: int


@dataclass(frozen=True)
class _Map:
    """What a label map and its image say: the largest label, the shorter side."""

    name: str
    largest: int
    side: int


def read_label_maps(root: str | Path, reduce_zero_label: bool = False) -> LabelMaps:
    """Check images and label maps, every one of them.

    Args:
        root (str | Path): With ``images`` and ``annotations`` (or ``labels``), each
            with ``training`` and ``validation`` (or ``train`` and ``val``). A label map
            has the name of its image and holds one class number per pixel; 255 is
            ignored. ``classes.txt``, if it is there, names the classes line by line.
        reduce_zero_label (bool): Whether 0 is to be ignored as well and the first class
            is 1, as in ADE20K. Defaults to False.

    Returns:
        LabelMaps: What was found.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If names do not pair, a file is no image or no label map, sizes
            differ, or a label lies beyond the classes.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f'There is no folder {root} (looked in {Path.cwd()}).')
    root = root.resolve()
    folders = _find_folders(root)
    pairs, suffixes = {}, set()
    for split, (images, maps) in folders.items():
        pairs[split], ends = _pair(root / images, root / maps)
        suffixes.add(ends)
    if len(suffixes) > 1:
        raise ValueError(
            f'{root}: training and validation differ in the ends of their file names: '
            f'{sorted(suffixes)}. Let them be the same.'
        )
    with ThreadPoolExecutor() as pool:
        looked = {split: [*pool.map(_look, pairs[split])] for split in pairs}
    classes, named = _classes(
        root, [*looked['train'], *looked['val']], reduce_zero_label
    )
    return LabelMaps(
        root=root,
        folders=folders,
        suffixes=suffixes.pop(),
        images={split: len(found) for split, found in pairs.items()},
        classes=classes,
        named=named,
        reduce_zero_label=reduce_zero_label,
        side=int(median(found.side for found in looked['train'])),
    )


def _find_folders(root: Path) -> dict[str, tuple[str, str]]:
    """Folders of images and maps of both splits."""
    for maps in _MAPS:
        for names in _SPLITS:
            found = {
                split: (f'images/{name}', f'{maps}/{name}')
                for split, name in zip(('train', 'val'), names, strict=True)
            }
            if all((root / sub).is_dir() for pair in found.values() for sub in pair):
                return found
    raise FileNotFoundError(
        f'{root} has not the folders images/training, images/validation, '
        'annotations/training and annotations/validation; train and val will do, and '
        'labels instead of annotations.'
    )


def _pair(images: Path, maps: Path) -> tuple[list[tuple[Path, Path]], tuple[str, str]]:
    """Images with their label maps, and the ends of their names."""
    names, image_suffix = _names(images, _IMAGE_SUFFIXES)
    map_names, map_suffix = _names(maps, _MAP_SUFFIXES)
    for have, lack, what, where in (
        (names, map_names, 'image', maps),
        (map_names, names, 'label map', images),
    ):
        if alone := sorted(have - lack):
            raise ValueError(
                f'{len(alone)} of {len(have)} {what}s have no counterpart of the same '
                f'name in {where}: {_first(alone)}.'
            )
    pairs = [
        (images / f'{name}{image_suffix}', maps / f'{name}{map_suffix}')
        for name in sorted(names)
    ]
    return pairs, (image_suffix, map_suffix)


def _names(folder: Path, suffixes: tuple[str, ...]) -> tuple[set[str], str]:
    """Names without their end, and this end, which has to be one."""
    files = [f for f in folder.rglob('*') if f.suffix.lower() in suffixes]
    ends = sorted({file.suffix for file in files})
    if len(ends) != 1:
        found = f'those of {", ".join(ends)}' if ends else 'none'
        raise ValueError(
            f'{folder} must hold files of one kind, of {", ".join(suffixes)}; '
            f'found: {found}.'
        )
    return {str(file.relative_to(folder).with_suffix('')) for file in files}, ends[0]


def _look(pair: tuple[Path, Path]) -> _Map:
    """Check one pair; the image by its header, the map by its pixels."""
    with _open(pair[0]) as image, _open(pair[1]) as labels:
        size = image.size
        if image.getexif().get(_ORIENTATION, 1) >= 5:  # readers turn it upright
            size = size[::-1]
        if labels.mode not in _NUMBERS:
            raise ValueError(
                f'{pair[1]} is a picture of mode {labels.mode}; a label map has one '
                'channel, with the number of a class in each pixel.'
            )
        if labels.size != size:
            raise ValueError(
                f'{pair[1]} has {labels.size[0]}x{labels.size[1]} pixels, its image '
                f'{size[0]}x{size[1]}.'
            )
        try:
            values = np.asarray(labels).astype(np.int64)
        except OSError as error:
            raise ValueError(f'{pair[1]} cannot be read: {error}') from error
    known = values[values != IGNORED]
    return _Map(str(pair[1]), int(known.max()) if known.size else -1, min(size))


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f'{path} cannot be read as an image: {error}') from error


def _classes(
    root: Path, maps: list[_Map], reduce_zero_label: bool
) -> tuple[tuple[str, ...], bool]:
    """Names of the classes, and whether somebody gave them."""
    largest = max(found.largest for found in maps)
    first = 1 if reduce_zero_label else 0
    file = root / 'classes.txt'
    if file.is_file():
        lines = (line.strip() for line in file.read_text(encoding='utf-8').splitlines())
        names = [line for line in lines if line]
    else:
        names = [f'class {number}' for number in range(first, largest + 1)]
    if len(names) < 2:
        raise ValueError(
            f'{root} has {len(names)} classes; two or more are needed'
            + (' (0 is left out by --reduce-zero-label).' if first else '.')
        )
    if len(set(names)) < len(names):
        raise ValueError(f'{file} names a class twice: {_first(_twice(names))}.')
    last = len(names) - 1 + first
    if last >= IGNORED:
        raise ValueError(
            f'{root}: labels up to {last}, but mmsegmentation keeps them in 8 bits and '
            f'ignores {IGNORED}: {IGNORED} classes at most. Are the maps class numbers?'
        )
    if beyond := [found for found in maps if found.largest > last]:
        raise ValueError(
            f'{len(beyond)} label maps hold numbers beyond the {len(names)} classes of '
            f'{file.name} ({first} to {last}), for example {beyond[0].largest} in '
            f'{beyond[0].name}. Pixels to be ignored are {IGNORED}.'
        )
    return tuple(names), file.is_file()


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _first(names: list[str]) -> str:
    """The first few of many names."""
    more = ', ...' if len(names) > 3 else ''
    return ', '.join(names[:3]) + more
