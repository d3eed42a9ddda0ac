"""A user's images with objects in COCO's format, looked at before the training."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SPLITS = ('train', 'val')


@dataclass(frozen=True)
class CocoData:
    """Images with boxes and, if all objects have them, masks.

    Args:
        root (Path): Absolute.
        folders (dict[str, str]): Images of ``train`` and ``val``, relative to the root.
        files (dict[str, str]): Annotations, relative to the root.
        images (dict[str, int]): How many there are; of ``train`` those with objects.
        classes (tuple[str, ...]): Names of the categories.
        masks (bool): Whether every object has an outline.
        without_mask (int): Objects that have none.
        side (int): The longest side of all images, pixels.
    """

    root: Path
    folders: dict[str, str]
    files: dict[str, str]
    images: dict[str, int]
    classes: tuple[str, ...]
    masks: bool
    without_mask: int
    side: int


def read_coco(root: str | Path) -> CocoData:
    """Check images and annotations.

    Args:
        root (str | Path): With ``annotations/instances_{train,val}.json``, and images
            in ``train`` and ``val``, or in ``images/train`` and ``images/val``.

    Returns:
        CocoData: What was found.

    Raises:
        FileNotFoundError: If a folder, a file or a listed image is missing.
        ValueError: If a file is not in COCO's format, is empty, or speaks of categories
            or images that it does not list; or if the two differ in their categories.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f'There is no folder {root} (looked in {Path.cwd()}).')
    root = root.resolve()
    folders = {split: _find_images(root, split) for split in _SPLITS}
    files = {split: f'annotations/instances_{split}.json' for split in _SPLITS}
    content = {split: _read(root / file) for split, file in files.items()}
    for split in _SPLITS:
        _check(content[split], root / files[split])
        _check_images(content[split], root / files[split], root / folders[split])
    classes, others = (_categories(content[split]) for split in _SPLITS)
    if classes != others:
        raise ValueError(
            f'{root}: the categories of train and val differ: {_first(classes)} and '
            f'{_first(others)}.'
        )
    objects = [a for found in content.values() for a in found['annotations']]
    without = sum(not annotation.get('segmentation') for annotation in objects)
    with_objects = {a['image_id'] for a in content['train']['annotations']}
    return CocoData(
        root=root,
        folders=folders,
        files=files,
        images=dict(train=len(with_objects), val=len(content['val']['images'])),
        classes=tuple(classes),
        masks=not without,
        without_mask=without,
        side=max(
            max(image['height'], image['width'])
            for found in content.values()
            for image in found['images']
        ),
    )


def _find_images(root: Path, split: str) -> str:
    for folder in (split, f'images/{split}'):
        if (root / folder).is_dir():
            return folder
    raise FileNotFoundError(
        f'{root} has neither a folder {split} nor images/{split}. Images lie in train '
        'and val, annotations in annotations/instances_{train,val}.json.'
    )


def _read(file: Path) -> dict[str, Any]:
    """The content of a file of annotations."""
    if not file.is_file():
        raise FileNotFoundError(f'There is no file {file}.')
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{file} is not JSON: {error}') from error
    parts = ('images', 'annotations', 'categories')
    if not isinstance(content, dict):
        raise ValueError(f'{file} holds no dict with {", ".join(parts)}.')
    for part in parts:
        if not isinstance(content.get(part), list) or not content[part]:
            raise ValueError(
                f'{file} has no {part}. COCO files hold lists of {", ".join(parts)}, '
                'each with one entry or more.'
            )
    return content


def _check(content: dict[str, Any], file: Path) -> None:
    """Every entry has what a detector asks for, and refers to what is there."""
    for part, keys in (
        ('images', ('id', 'file_name', 'height', 'width')),
        ('annotations', ('id', 'image_id', 'category_id', 'bbox', 'area')),
        ('categories', ('id', 'name')),
    ):
        for entry in content[part]:
            if missing := [key for key in keys if key not in entry]:
                raise ValueError(
                    f'{file}: an entry of {part} has no {missing[0]}; it has '
                    f'{", ".join(entry)}.'
                )
        ids = Counter(entry['id'] for entry in content[part])
        if twice := [number for number, count in ids.items() if count > 1]:
            raise ValueError(
                f'{file}: {len(twice)} ids of {part} stand there more than once: '
                f'{_first(twice)}.'
            )
    for key, part in (('category_id', 'categories'), ('image_id', 'images')):
        known = {entry['id'] for entry in content[part]}
        named = Counter(a[key] for a in content['annotations'])
        if absent := sorted(set(named) - known):
            count = sum(named[number] for number in absent)
            raise ValueError(
                f'{file}: {count} annotations have a {key} that {part} does not list: '
                f'{_first(absent)}; listed are {_first(sorted(known))}.'
            )
    names = Counter(_categories(content))
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f'{file}: several categories are called {_first(twice)}.')


def _check_images(content: dict[str, Any], file: Path, folder: Path) -> None:
    names = [image['file_name'] for image in content['images']]
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise FileNotFoundError(
            f'{len(missing)} of the {len(names)} images that {file} lists are not in '
            f'{folder}: {_first(missing)}.'
        )


def _categories(content: dict[str, Any]) -> list[str]:
    return [category['name'] for category in content['categories']]


def _first(entries: list) -> str:
    """The first few of many."""
    return ', '.join(map(str, entries[:3])) + (', ...' if len(entries) > 3 else '')
