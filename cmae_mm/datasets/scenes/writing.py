"""Writing: a whole data set, by several processes."""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from .classes import CLASSES, PALETTE
from .coco import coco_annotation, coco_dataset
from .drawing import GENERATOR_VERSION, MIN_SIZE, draw_scene
from .placement import SINGLE_LAYOUT

_SUBSETS = ('classification', 'scenes')
_SPLITS = ('train', 'val')
_JPEG_QUALITY = 92
# Pictures that a worker draws at a time.
_CHUNK = 32


def _file_name(index: int, suffix: str) -> str:
    return f'{index:06d}.{suffix}'


def _image_rng(seed: int, subset: str, split: str, index: int) -> np.random.Generator:
    """Own generator for every picture, so that the work can be split at will."""
    key = [seed, _SUBSETS.index(subset), _SPLITS.index(split), index]
    return np.random.default_rng(np.random.SeedSequence(key))


def _write_image(path: Path, image: np.ndarray) -> None:
    Image.fromarray(image).save(path, quality=_JPEG_QUALITY)


def _write_one(
    root: Path, subset: str, split: str, index: int, size: int, seed: int
) -> dict[str, Any]:
    """Draw and write one picture; return what the data set has to know of it."""
    rng = _image_rng(seed, subset, split, index)
    name = _file_name(index, 'jpg')
    if subset == 'classification':
        class_id = index % len(CLASSES) + 1
        scene = draw_scene(rng, size, [class_id], SINGLE_LAYOUT)
        target = Path(subset, split, CLASSES[class_id - 1], name)
    else:
        scene = draw_scene(rng, size)
        target = Path(subset, 'images', split, name)
        labels = Image.fromarray(scene.label_map)
        labels.save(root / subset / 'labels' / split / _file_name(index, 'png'))
    _write_image(root / target, scene.image)
    annotated = subset == 'scenes'
    return {
        'index': index,
        'path': target.as_posix(),
        'classes': [instance.class_id for instance in scene.instances],
        'label_digest': hashlib.sha256(scene.label_map.tobytes()).hexdigest(),
        'annotations': [coco_annotation(i) for i in scene.instances if annotated],
    }


@dataclass(frozen=True)
class _Chunk:
    """Consecutive pictures of one split, for one worker."""

    root: Path
    subset: str
    split: str
    indices: range
    size: int
    seed: int


def _write_chunk(chunk: _Chunk) -> list[dict[str, Any]]:
    return [
        _write_one(chunk.root, chunk.subset, chunk.split, index, chunk.size, chunk.seed)
        for index in chunk.indices
    ]


def _init_worker() -> None:
    # The processes already share the cores out; and OpenCV's thread pool does
    # not survive a fork.
    cv2.setNumThreads(0)


def _run_chunks(
    chunks: Sequence[_Chunk], workers: int
) -> Iterator[list[dict[str, Any]]]:
    """Results of the chunks in their own order."""
    if workers == 1:
        yield from map(_write_chunk, chunks)
        return
    # Forked workers start at once; spawned ones would import the package,
    # with torch, and re-run scripts that lack a main guard.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context('fork' if 'fork' in methods else None)
    with ProcessPoolExecutor(workers, context, _init_worker) as pool:
        yield from pool.map(_write_chunk, chunks)


def _make_folders(root: Path) -> None:
    for split in _SPLITS:
        for name in CLASSES:
            (root / 'classification' / split / name).mkdir(parents=True)
        for kind in ('images', 'labels'):
            (root / 'scenes' / kind / split).mkdir(parents=True)
    (root / 'scenes' / 'annotations').mkdir()


def _existing_meta(root: Path, parameters: dict[str, int]) -> dict[str, Any] | None:
    """Meta of a finished data set of the same kind, or None if ``root`` is free.

    Raises:
        ValueError: If ``root`` holds anything else.
    """
    advice = 'choose another folder, or delete this one to generate it anew'
    if root.exists() and not root.is_dir():
        raise ValueError(f'{root} is a file, not a folder; {advice}')
    if not root.exists() or not any(root.iterdir()):
        return None
    path = root / 'meta.json'
    if not path.exists():
        raise ValueError(
            f'{root} is not empty and has no meta.json (an interrupted run, or '
            f'other data); {advice}'
        )
    try:
        meta = json.loads(path.read_text(encoding='utf-8'))
        found = {'version': meta['version'], **meta['parameters']}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path} was not written by this generator ({error!r}); {advice}'
        ) from error
    wanted = {'version': GENERATOR_VERSION, **parameters}
    if found != wanted:
        raise ValueError(
            f'{root} was generated with {found}, but {wanted} was asked for; {advice}'
        )
    return meta


def _check_parameters(parameters: dict[str, int], workers: int | None) -> None:
    least = {
        'num_train': len(CLASSES),
        'num_val': len(CLASSES),
        'size': MIN_SIZE,
        'seed': 0,
    }
    for name, value in parameters.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f'{name} must be an integer, got {value!r}')
        if value < least[name]:
            why = ' (one image per class)' if name.startswith('num_') else ''
            raise ValueError(f'{name} must be at least {least[name]}{why}, got {value}')
    if workers is not None and workers < 1:
        raise ValueError(f'workers must be at least 1, got {workers}')


def _usable_cores() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _count_classes(records: Iterable[dict[str, Any]]) -> dict[str, int]:
    counts = dict.fromkeys(CLASSES, 0)
    for record in records:
        for class_id in record['classes']:
            counts[CLASSES[class_id - 1]] += 1
    return counts


def _write_text(path: Path, text: str) -> None:
    """Write a file that is either there in full or not at all."""
    partial = path.with_name(path.name + '.part')
    partial.write_text(text, encoding='utf-8')
    os.replace(partial, path)


def _finish(
    root: Path,
    parameters: dict[str, int],
    records: dict[tuple[str, str], list[dict[str, Any]]],
) -> dict[str, Any]:
    """Write the annotation files and, last, ``meta.json``."""
    fingerprint = hashlib.sha256()
    counts: dict[str, dict[str, Any]] = {subset: {} for subset in _SUBSETS}
    for (subset, split), found in records.items():
        counts[subset][split] = {
            'images': len(found),
            'objects': _count_classes(found),
        }
        for record in found:
            line = f'{record["path"]} {record["label_digest"]}\n'
            fingerprint.update(line.encode())
        if subset == 'scenes':
            text = json.dumps(coco_dataset(found, parameters['size']))
            fingerprint.update(text.encode())
            _write_text(root / subset / 'annotations' / f'instances_{split}.json', text)
    meta = {
        'dataset': 'scenes',
        'version': GENERATOR_VERSION,
        'parameters': parameters,
        'classes': list(CLASSES),
        'palette': [list(colour) for colour in PALETTE],
        'counts': counts,
        'fingerprint': fingerprint.hexdigest(),
    }
    _write_text(root / 'meta.json', json.dumps(meta, indent=2) + '\n')
    return meta


def generate_scenes(
    out_dir: str | os.PathLike[str],
    num_train: int = 2000,
    num_val: int = 500,
    size: int = 96,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Generate the data set, or return the meta of an equal, finished one.

    Every picture depends on (seed, subset, split, index) alone, so the result
    does not depend on ``workers``, and a longer split begins with the pictures
    of a shorter one. ``meta.json`` is written last: its presence means that
    all else is complete.

    Args:
        out_dir (str | PathLike): Folder to write to; must be absent, empty, or
            hold a data set of the same parameters.
        num_train (int): Training pictures of each of the two subsets, at least
            6, one per class. Defaults to 2000.
        num_val (int): Validation pictures of each of the two subsets, at least
            6, one per class. Defaults to 500.
        size (int): Side of the square pictures in pixels, at least 32.
            Defaults to 96.
        seed (int): Seed of the data set, at least 0. Defaults to 0.
        workers (int | None): Number of processes; by default one per usable
            core. With 1 all work is done in the calling process.
        progress (Callable | None): Called as ``progress(done, total)``, in
            pictures, now and then.

    Returns:
        dict: The content of ``meta.json``: ``dataset``, ``version``,
        ``parameters``, ``classes``, ``palette``, ``counts`` (images, and
        objects by class, of every subset and split) and ``fingerprint``
        (SHA-256 over paths, label maps and annotations).

    Raises:
        ValueError: If a parameter is out of range, or if ``out_dir`` holds
            other data, an interrupted run or a data set of other parameters.
    """
    parameters = {
        'num_train': num_train,
        'num_val': num_val,
        'size': size,
        'seed': seed,
    }
    _check_parameters(parameters, workers)
    root = Path(out_dir)
    meta = _existing_meta(root, parameters)
    if meta is not None:
        return meta
    _make_folders(root)
    lengths = {'train': num_train, 'val': num_val}
    chunks = [
        _Chunk(root, subset, split, range(length)[start : start + _CHUNK], size, seed)
        for subset in _SUBSETS
        for split, length in lengths.items()
        for start in range(0, length, _CHUNK)
    ]
    records: dict[tuple[str, str], list[dict[str, Any]]] = {}
    workers = min(workers or _usable_cores(), len(chunks))
    done, total = 0, 2 * (num_train + num_val)
    for chunk, found in zip(chunks, _run_chunks(chunks, workers), strict=True):
        records.setdefault((chunk.subset, chunk.split), []).extend(found)
        done += len(found)
        if progress is not None:
            progress(done, total)
    return _finish(root, parameters, records)
