import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmpretrain.datasets import CustomDataset
from mmpretrain.datasets.custom import get_samples

from cmae_mm.registry import DATASETS

EXTENSIONS = (
    '.bmp',
    '.jpeg',
    '.jpg',
    '.pgm',
    '.png',
    '.ppm',
    '.tif',
    '.tiff',
    '.webp',
)


@DATASETS.register_module()
class UnlabelledImages(CustomDataset):
    """All images below a folder, or those of a list; no labels.

    Against ``CustomDataset(with_label=False)`` it knows more formats, reads JSON
    lists, leaves hidden files and folders out, and says at the start what is wrong.

    A list is a text file with one path per line, or a JSON file with a list of
    paths, or of objects with the path under ``img_path`` or ``filename``. Paths are
    relative to ``data_root/data_prefix``, or absolute.

    Args:
        data_root (str): The folder; ``~`` is the home. Defaults to ''.
        data_prefix (str): A folder in it. Defaults to ''.
        ann_file (str): A list (``.txt`` or ``.json``), relative to ``data_root``.
            Defaults to '', all images at any depth, in the order of their paths.
        extensions (Sequence[str]): File names to take from the folder, by their
            ends in upper or lower case.
        **kwargs: ``pipeline`` and others, see :class:`mmpretrain.BaseDataset`.

    Raises:
        FileNotFoundError: If the folder, the list, or a file of it is missing.
        ValueError: If there are no images, or the list cannot be understood.
    """

    def __init__(
        self,
        data_root: str = '',
        data_prefix: str = '',
        ann_file: str = '',
        extensions: Sequence[str] = EXTENSIONS,
        **kwargs,
    ) -> None:
        super().__init__(
            data_root=os.path.expanduser(data_root),
            data_prefix=data_prefix,
            ann_file=ann_file,
            extensions=extensions,
            with_label=False,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Find the images.

        Returns:
            list[dict]: One ``dict(img_path=...)`` per image.
        """
        if not os.path.isdir(self.img_prefix or '.'):
            raise FileNotFoundError(
                f'There is no folder {self.img_prefix} (looked in {Path.cwd()}). '
                'Set data_root to the folder with your images.'
            )
        if self.ann_file:
            names = read_list(self.ann_file)
        else:
            names, _ = get_samples(self.img_prefix, None, self.is_valid_file)
            if not names:
                files, _ = get_samples(self.img_prefix, None, lambda filename: True)
                raise ValueError(
                    describe_emptiness(self.img_prefix, files, self.extensions)
                )
        paths = [os.path.join(self.img_prefix, name) for name in names]
        if self.ann_file:
            self._check_existence(paths)
        return [dict(img_path=path) for path in paths]

    def is_valid_file(self, filename: str) -> bool:
        """Whether a path, relative to the folder, is an image and not hidden."""
        hidden = any(part.startswith('.') for part in Path(filename).parts)
        return not hidden and super().is_valid_file(filename)

    def _check_existence(self, paths: list[str]) -> None:
        """Raise if files are missing; looks once into each folder, not each file."""
        folders = {os.path.dirname(path) for path in paths}
        there = {
            folder: set(os.listdir(folder or '.'))
            for folder in folders
            if os.path.isdir(folder or '.')
        }
        missing = [
            path
            for path in paths
            if os.path.basename(path) not in there.get(os.path.dirname(path), ())
        ]
        if missing:
            labelled = re.search(r'[\s,]\d+$', missing[0])
            hint = ' A line is a path alone: take the labels away.' if labelled else ''
            raise FileNotFoundError(
                f'{len(missing)} of the {len(paths)} images in {self.ann_file} are '
                f'missing: {", ".join(missing[:5])}{" ..." * (len(missing) > 5)}. '
                f'Paths in the list are relative to data_root/data_prefix.{hint}'
            )


def describe_emptiness(
    folder: str, files: Iterable[str], extensions: Iterable[str] = EXTENSIONS
) -> str:
    """Say what is in a folder instead of images.

    Args:
        folder (str): The folder.
        files (Iterable[str]): All files in it.
        extensions (Iterable[str]): The ends of images' names.

    Returns:
        str: For an error.
    """
    kinds = Counter(Path(file).suffix.lower() or 'no ending' for file in files)
    found = ', '.join(f'{count} {kind}' for kind, count in kinds.most_common(5))
    return (
        f'There are no images below {folder}: {found or "no files"}. Images end in '
        f'{" ".join(sorted(extensions))}. Give the folder with your images '
        '(data_root), or convert them.'
    )


def read_list(file: str) -> list[str]:
    """Read the paths in a list of images.

    Args:
        file (str): A text file with a path per line; empty lines do not count. Or
            a ``.json`` file with a list of paths or of objects that have the path
            under ``img_path`` or ``filename``.

    Returns:
        list[str]: The paths, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, or cannot be understood.
    """
    if not os.path.isfile(file):
        raise FileNotFoundError(
            f'There is no list {file} (looked in {Path.cwd()}). ann_file is relative '
            'to data_root; without it all images of the folder are taken.'
        )
    try:
        text = Path(file).read_text(encoding='utf-8-sig')  # also without the mark
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{file} is not in UTF-8: {error}. Some editors and shells of Windows '
            'write UTF-16; save it as UTF-8.'
        ) from error
    if file.lower().endswith('.json'):
        paths = _paths_of_json(text, file)
    else:
        paths = [line.strip() for line in text.splitlines() if line.strip()]
    if not paths:
        raise ValueError(f'{file} names no images; one or more are expected.')
    return paths


def _paths_of_json(text: str, file: str) -> list[str]:
    """The paths in a JSON list, or a word on how it should look."""
    expected = (
        'Expected is a list of paths, or of objects with img_path or filename: '
        '["a.jpg", "b/c.png"] or [{"img_path": "a.jpg"}].'
    )
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f'{file} is no JSON: {error}. {expected}') from error
    if not isinstance(entries, list):
        raise ValueError(f'{file} holds a {type(entries).__name__}. {expected}')
    paths = []
    for number, entry in enumerate(entries):
        if isinstance(entry, dict):
            path = entry.get('img_path', entry.get('filename'))
        else:
            path = entry
        if not isinstance(path, str):
            raise ValueError(f'{file}: entry {number} is {entry!r:.80}. {expected}')
        paths.append(path)
    return paths
