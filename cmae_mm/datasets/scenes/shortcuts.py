"""Shortcuts: how far the class can be guessed without seeing shapes."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from .classes import CLASSES


def _load_split(root: Path, split: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures, float32 (N, size, size, 3) in [0, 1], and class indices (N,)."""
    images, targets = [], []
    for target, name in enumerate(CLASSES):
        for path in sorted((root / 'classification' / split / name).glob('*.jpg')):
            with Image.open(path) as image:
                small = image.convert('RGB').resize((size, size), Image.BOX)
            images.append(np.asarray(small, np.float32) / 255)
            targets.append(target)
    if not images:
        raise ValueError(f'no classification pictures of {split} under {root}')
    return np.stack(images), np.array(targets)


def _knn_accuracy(
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    neighbours: int,
) -> float:
    """Accuracy of a majority vote; ties go to the class of the nearest."""
    train_x, val_x = (x.reshape(len(x), -1) for x in (train[0], val[0]))
    # The squared length of the query is the same for all, hence left out.
    distances = (train_x**2).sum(1)[None] - 2 * val_x @ train_x.T
    nearest = np.argsort(distances, axis=1, kind='stable')[:, :neighbours]
    votes = np.zeros((len(val_x), len(CLASSES)))
    rows = np.arange(len(val_x))
    for rank in range(nearest.shape[1]):
        votes[rows, train[1][nearest[:, rank]]] += 1 - 1e-3 * rank
    return float((votes.argmax(1) == val[1]).mean())


def measure_shortcuts(
    out_dir: str | os.PathLike[str], neighbours: int = 5, size: int = 32
) -> dict[str, float]:
    """Measure how far colour and raw pixels alone give the class.

    A k-nearest-neighbour vote is fitted on ``classification/train`` and
    scored on ``classification/val``. Learned features have to beat these
    figures to be worth anything.

    Args:
        out_dir (str | PathLike): Folder of a generated data set.
        neighbours (int): Number k of votes, at least 1. Defaults to 5.
        size (int): Side in pixels to which pictures are reduced first, at
            least 1. Defaults to 32.

    Returns:
        dict[str, float]: Accuracies in [0, 1]: ``chance`` (the most frequent
        class of ``val``), ``pixel_knn_rgb``, ``pixel_knn_grey`` and
        ``mean_colour_knn``.

    Raises:
        ValueError: If ``neighbours`` or ``size`` is below 1, or if there are
            no pictures under ``out_dir``.
    """
    if neighbours < 1 or size < 1:
        raise ValueError(
            f'neighbours and size must be at least 1, got {neighbours} and {size}'
        )
    root = Path(out_dir)
    train, val = (_load_split(root, split, size) for split in ('train', 'val'))
    views: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        'pixel_knn_rgb': lambda x: x,
        'pixel_knn_grey': lambda x: x.mean(-1),
        'mean_colour_knn': lambda x: x.mean((1, 2)),
    }
    shortcuts = {'chance': float(np.bincount(val[1]).max() / len(val[1]))}
    for name, view in views.items():
        shortcuts[name] = _knn_accuracy(
            (view(train[0]), train[1]), (view(val[0]), val[1]), neighbours
        )
    return shortcuts
