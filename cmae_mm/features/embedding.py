"""Features of all images of a folder, in a file; behind ``cmae embed``."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from cmae_mm.bridge.checkpoints import digest
from cmae_mm.bridge.errors import UsageError
from cmae_mm.datasets.image_folder import UnlabelledImages
from cmae_mm.datasets.refused import Refused, printable
from cmae_mm.engine.durable_files import written_whole
from cmae_mm.preparation.progress import Progress
from cmae_mm.version import __version__

from .loading import Loaded
from .tables import FORMATS, Table, write_refused
from .transform import Transform


@dataclass
class Embedding:
    """What was done.

    Args:
        written (int): Images in the file.
        refused (list[tuple[str, str, str]]): Path, kind and reason of the others.
        classes (int): Class folders; 0 if there are none.
    """

    written: int
    refused: list[tuple[str, str, str]]
    classes: int


class _NothingRead(Exception):
    """There is nothing to write."""


@dataclass
class _Batch:
    """Images that could be read, later their vectors, and the others."""

    names: list[str] = field(default_factory=list)
    images: list[torch.Tensor] = field(default_factory=list)
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    vectors: np.ndarray | None = None


class _Images(Dataset):
    """Prepared images of a folder, or why they are not taken."""

    def __init__(self, folder: Path, names: list[str], transform: Transform) -> None:
        self.folder, self.names, self.transform = folder, names, transform

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[str, torch.Tensor | tuple[str, str]]:
        name = self.names[index]
        try:
            return name, self.transform(self.folder / name)
        except Refused as error:
            return name, (error.kind, error.reason)
        except ValueError as error:  # another number of channels
            return name, ('other form', str(error))


def embed(
    net: Loaded,
    folder: str | Path,
    out: str | Path,
    *,
    batch_size: int = 64,
    workers: int = 0,
    force: bool = False,
) -> Embedding:
    """Write the vector of every image of a folder into a file.

    In the order of the paths, whatever the number of workers. Memory holds a few
    batches and the names. The file is whole or not there.

    Args:
        net (Loaded): From :func:`cmae_mm.load`.
        folder (str | Path): With images at any depth; hidden ones are left out. If
            all lie in sub-folders of it, the first of these is the class.
        out (str | Path): ``.parquet`` (needs pyarrow), ``.npz`` or ``.csv``. Images
            that cannot be read are named in ``<out>.refused.csv``.
        batch_size (int): Images at once, 1 or more. Defaults to 64.
        workers (int): Processes that read images, beside this one. Defaults to 0.
        force (bool): Whether ``out`` may be overwritten. Defaults to False.

    Returns:
        Embedding: How many were written and refused. If none could be read there is
        no file ``out``.

    Raises:
        UsageError: If ``out`` is of another kind, or there.
        FileNotFoundError: If there is no such folder.
        ValueError: If there are no images in it.
        ConversionError: If pyarrow is missing.
    """
    folder, out = Path(folder).expanduser(), Path(out)
    if out.suffix not in FORMATS:
        endings = ', '.join(FORMATS)
        raise UsageError(f'{out.name} must end in one of {endings}.')
    if out.exists() and not force:
        raise UsageError(f'{out} is there already. Add --force to replace it.')
    names = _names(folder)
    has_classes = all('/' in name for name in names)
    out.parent.mkdir(parents=True, exist_ok=True)
    refused: list[tuple[str, str, str]] = []
    try:
        with written_whole(out) as place:
            with FORMATS[out.suffix](place, net.width, source_of(net)) as table:
                for batch in _encoded(net, folder, names, batch_size, workers):
                    refused += batch.refused
                    _add(table, batch, has_classes)
            if len(refused) == len(names):
                raise _NothingRead
    except _NothingRead:
        pass  # the list of the refused says why
    listed = out.with_name(f'{out.name}.refused.csv')
    listed.unlink(missing_ok=True)  # of an earlier run
    if refused:
        with written_whole(listed) as place:
            write_refused(place, refused)
    classes = {name.split('/')[0] for name in names} if has_classes else ()
    return Embedding(len(names) - len(refused), refused, len(classes))


def source_of(net: Loaded) -> dict:
    """What vectors were made with, in plain types.

    Args:
        net (Loaded): The network.
    """
    return {
        'cmae_mm': __version__,
        'network': str(net.size),
        'checkpoint': net.path.name,
        'sha256': digest(net.path),
        'vector': 'mean over the patches, without the class token',
        'licence': net.licence,
        **net.transform.rules.said(),
    }


def _names(folder: Path) -> list[str]:
    """Paths of all images relative to the folder, with '/', in their order."""
    listed = UnlabelledImages(data_root=str(folder), pipeline=[])
    paths = (listed.get_data_info(i)['img_path'] for i in range(len(listed)))
    return [Path(path).relative_to(folder).as_posix() for path in paths]


@torch.inference_mode()
def _encoded(
    net: Loaded, folder: Path, names: list[str], batch_size: int, workers: int
) -> Iterator[_Batch]:
    """Read and encode all images, in their order."""
    device = next(net.parameters()).device
    loader = DataLoader(
        _Images(folder, names, net.transform),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_sort_out,
        worker_init_fn=_one_thread,
        pin_memory=device.type == 'cuda',
    )
    with Progress(f'Embedding {folder}', len(names), 'files') as progress:
        for batch in loader:
            if batch.images:
                vectors = net(torch.stack(batch.images)).vector
                batch.vectors = vectors.float().cpu().numpy()
            yield batch
            progress.advance(len(batch.names) + len(batch.refused))


def _sort_out(samples: list[tuple]) -> _Batch:
    """Part what could be read from what could not."""
    batch = _Batch()
    for name, found in samples:
        if isinstance(found, torch.Tensor):
            batch.names.append(name)
            batch.images.append(found)
        else:
            batch.refused.append((name, *found))
    return batch


def _one_thread(worker: int) -> None:
    """Let OpenCV not start threads in every process."""
    cv2.setNumThreads(0)


def _add(table: Table, batch: _Batch, has_classes: bool) -> None:
    """Write the rows of a batch."""
    if batch.vectors is not None:
        classes = [
            printable(name.split('/')[0]) if has_classes else None
            for name in batch.names
        ]
        table.add([printable(name) for name in batch.names], classes, batch.vectors)
