import glob
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset

from cmae_mm.registry import DATASETS

from .archive_backend import make_address
from .archive_index import INDEX_SUFFIX, Index, read_index
from .image_folder import EXTENSIONS


@DATASETS.register_module()
class ArchiveImages(BaseDataset):
    """The images in zip or tar archives, read from where they lie.

    Any image can be read at any time, so samplers work as they do with folders: with
    the same names, a run on an archive is the run on the folder. Archives are zip
    (stored or deflated) and tar (not compressed), also tar archives of tar archives,
    such as that of ImageNet, and the shards of WebDataset. An index is made when an
    archive is first met, and kept; see :func:`read_index`.

    Steps of the pipeline have to read ``img_path`` through ``mmengine.fileio``, as
    ours and ``LoadImageFromFile`` do.

    Args:
        archives (str | Sequence[str]): Names, relative to ``data_root``, or patterns
            such as ``'train-*.tar'``. The order of the images is that of the archives
            (a pattern's in the order of their names), and of the names inside.
        data_root (str): The folder of the archives; ``~`` is the home. Defaults to
            '', the working directory.
        with_label (bool): Whether images have labels: the numbers in the ``.cls``
            files of an archive, or, where there are none, the folders that hold the
            images, counted in the order of their names. Defaults to False.
        extensions (Sequence[str]): Which files are images, by the ends of their names
            in upper or lower case.
        cache_dir (str, optional): Where to keep the indices. Defaults to None,
            beside the archives.
        **kwargs: ``pipeline`` and others, see :class:`mmpretrain.BaseDataset`.

    Raises:
        FileNotFoundError: If there is no such archive.
        ValueError: If an archive cannot be read or has no images, or if images have
            no labels where some are asked for.
    """

    def __init__(
        self,
        archives: str | Sequence[str],
        data_root: str = '',
        with_label: bool = False,
        extensions: Sequence[str] = EXTENSIONS,
        cache_dir: str | None = None,
        **kwargs,
    ) -> None:
        self.archives = [archives] if isinstance(archives, str) else list(archives)
        self.with_label = with_label
        self.extensions = tuple(ending.lower() for ending in extensions)
        self.cache_dir = cache_dir
        super().__init__(
            ann_file='',
            data_root=os.path.expanduser(data_root),
            serialize_data=False,  # the list is packed already
            **kwargs,
        )

    def load_data_list(self) -> 'PackedImages':
        """Find the images.

        Returns:
            PackedImages: One ``dict(img_path=...)`` per image, with labels also
            ``gt_label``.
        """
        paths = find_archives(self.data_root, self.archives)
        indices = [read_index(path, self.extensions, self.cache_dir) for path in paths]
        if self.with_label:
            classes = check_labels(paths, indices)
            if classes:
                self._metainfo.setdefault('classes', classes)
            indices = [_relabel(index, classes) for index in indices]
        images = PackedImages(paths, *_join(indices), self.with_label)
        print_log(f'{len(images)} images in {len(paths)} archives', 'current')
        return images


class PackedImages(Sequence):
    """A list of images whose entries are made when they are asked for.

    Millions of Python objects would be counted by every worker that looks at them,
    and so become its own copy (fork copies what is written to). Arrays stay shared.

    Args:
        archives (Sequence[str]): Paths.
        entries (ndarray): ENTRY, one per image.
        names (ndarray): uint8, their names.
        with_label (bool): Whether entries have labels.
    """

    def __init__(
        self,
        archives: Sequence[str],
        entries: np.ndarray,
        names: np.ndarray,
        with_label: bool,
    ) -> None:
        self.archives, self.entries, self.names = archives, entries, names
        self.with_label = with_label

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int | slice) -> 'dict | PackedImages':
        """One image as a dict, or some of them as another list of this kind."""
        if isinstance(index, slice):
            entries = self.entries[index]
            return PackedImages(self.archives, entries, self.names, self.with_label)
        offset, size, start, length, label, archive = self.entries[index].item()
        name = self.names[start : start + length].tobytes()
        name = name.decode('utf-8', 'surrogateescape')
        path = make_address(self.archives[archive], offset, size, name)
        return dict(img_path=path, **(dict(gt_label=label) if self.with_label else {}))


def find_archives(folder: str, names: Sequence[str]) -> list[str]:
    """The paths of archives.

    Args:
        folder (str): Where they are.
        names (Sequence[str]): Names or patterns, relative to the folder.

    Returns:
        list[str]: Normalised paths, those of a pattern in the order of their names.

    Raises:
        FileNotFoundError: If a name or a pattern stands for none.
    """
    paths = []
    for name in names:
        path = os.path.normpath(os.path.join(folder, name))
        found = [path] if os.path.isfile(path) else sorted(glob.glob(path))
        found = [file for file in found if not file.endswith(INDEX_SUFFIX)]
        if not found:
            raise FileNotFoundError(
                f'There is no archive {path} (looked in {Path.cwd()}). archives is a '
                'list of names or patterns relative to data_root, such as '
                "['train.zip'] or ['train-*.tar']."
            )
        paths.extend(found)
    return paths


def check_labels(paths: Sequence[str], indices: Sequence[Index]) -> tuple[str, ...]:
    """Look whether every image has a label, of one kind.

    Args:
        paths (Sequence[str]): The archives.
        indices (Sequence[Index]): What is in them.

    Returns:
        tuple[str, ...]: The folders in the order of their names, or nothing if the
        labels are numbers.

    Raises:
        ValueError: If that is not so.
    """
    for path, index in zip(paths, indices, strict=True):
        missing = np.count_nonzero(index.entries['label'] < 0)
        if missing:
            raise ValueError(
                f'{path}: {missing} of the {len(index.entries)} images have no label. '
                'A label is the number in the .cls file beside an image, or, without '
                'such files, the folder around it. Leave with_label out to do without.'
            )
    if len({bool(index.classes) for index in indices}) > 1:
        raise ValueError(
            f'Some of the archives {", ".join(paths[:5])} have labels in .cls files, '
            'others in folders. Take those of one kind.'
        )
    return tuple(sorted({name for index in indices for name in index.classes}))


def _relabel(index: Index, classes: Sequence[str]) -> Index:
    """Count the folders of an archive as those of all archives."""
    if not index.classes:
        return index
    entries = index.entries.copy()
    new = np.searchsorted(np.array(classes), np.array(index.classes))
    entries['label'] = new[entries['label']]
    return index._replace(entries=entries)


def _join(indices: Sequence[Index]) -> tuple[np.ndarray, np.ndarray]:
    """Entries and names of all archives."""
    entries = np.concatenate([index.entries for index in indices])
    counts = [len(index.entries) for index in indices]
    lengths = [len(index.names) for index in indices]
    entries['archive'] = np.repeat(np.arange(len(indices)), counts)
    entries['name_at'] += np.repeat(np.cumsum([0, *lengths[:-1]]), counts)
    return entries, np.concatenate([index.names for index in indices])
