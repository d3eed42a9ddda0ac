"""What must stay the same for a resumed run to be the same run."""

import hashlib
from pathlib import PurePosixPath
from typing import Any

from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

# Names that are compared one by one; more would make a start with a million images
# wait, and a data set that changed shows in its length, or in some of these.
_SAMPLED_NAMES = 4096

_WORDS = {
    'world_size': 'number of processes',
    'batch_size': 'images per batch and process',
    'accumulation': 'batches per optimiser step',
    'iters_per_epoch': 'batches per epoch',
    'images': 'images in the data set',
    'names': 'names of the images (fingerprint)',
    'seed': 'seed of the sampler',
    'shuffle': 'shuffling',
}


def run_identity(runner: Runner) -> dict[str, Any]:
    """What the order of the samples and the size of a step depend on.

    Args:
        runner (Runner): With its training data loader built.

    Returns:
        dict: Plain values by name; None for what cannot be told.
    """
    loader = runner.train_dataloader
    batches = loader.batch_sampler
    sampler = getattr(batches, 'sampler', loader.sampler)
    return {
        'world_size': runner.world_size,
        'batch_size': getattr(batches, 'batch_size', loader.batch_size),
        'accumulation': _accumulation(runner),
        'iters_per_epoch': _length(loader),
        'images': _length(loader.dataset),
        'names': names_fingerprint(loader.dataset),
        'seed': getattr(sampler, 'seed', None),
        'shuffle': getattr(sampler, 'shuffle', None),
    }


def changes(found: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Say what differs, in words.

    Args:
        found (dict): From the checkpoint.
        here (dict): Of this run.

    Returns:
        list[str]: One entry per difference, "<what>: <then> then, <now> now".
    """
    return [
        f'{words}: {found[name]} then, {here[name]} now'
        for name, words in _WORDS.items()
        if name in found and found[name] != here[name]
    ]


def names_fingerprint(dataset: Dataset) -> str | None:
    """A short hash of the file names in their order, folder of the class included.

    Where the data lie does not count: a requeued job may find them on another disk.
    Of a large data set every n-th name is taken.

    Args:
        dataset (Dataset): One of MMEngine's, or around one.

    Returns:
        str | None: 16 hexadecimal digits; None if the data set does not tell its names.
    """
    if not hasattr(dataset, 'get_data_info') or not _length(dataset):
        return None
    step = -(-len(dataset) // _SAMPLED_NAMES)
    digest = hashlib.sha256()
    for index in range(0, len(dataset), step):
        path = dataset.get_data_info(index).get('img_path')
        if path is None:
            return None
        parts = PurePosixPath(str(path).replace('\\', '/')).parts[-2:]
        digest.update('/'.join(parts).encode('utf-8', 'surrogateescape') + b'\0')
    return digest.hexdigest()[:16]


def _accumulation(runner: Runner) -> int:
    """Batches whose gradients are added up; the parts of one batch do not count."""
    counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    return counts // getattr(runner.train_loop, 'micro_batches', 1)


def _length(what: Dataset | DataLoader) -> int | None:
    try:
        return len(what)
    except TypeError:  # an iterable data set
        return None
