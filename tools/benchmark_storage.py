"""Folders beside zip and tar archives: time per image, and memory with a million.

    python tools/benchmark_storage.py speed FOLDER [--images 300] [--rounds 8]
    python tools/benchmark_storage.py memory PLACE [--entries 1300000]
                                      [--workers 0 2 4] [--kinds KIND ...]
                                      [--sampler cmae_mm.SeededSampler] [--no-freeze]

`speed`: the pictures of FOLDER are packed into archives, and the fast pipeline reads
them from each in turns; beside it the reading alone, and webdataset's own reader, which
streams, where it is installed. CPU time of the one thread, of each picture's fastest
round; the files are in the memory of the system by then, so disks and networks play no
part.

`memory`: PLACE gets as many empty files as --entries, in class folders and in archives
(1.3 million: minutes, 1.3 million inodes, 3 GB; they are kept for the next time). For
each kind and number of workers a new process builds the data set and reads all of it
once. It says how much CPU time and memory the start took; and at the first batch and at
the end, what a worker had for itself, not shared with another process, and what all
processes had together. `objects` is `folder` without MMEngine's packing, `--no-freeze`
does without cmae_mm.FreezeHook. Needs the /proc of Linux.

`--json FILE` keeps the numbers.
"""

import argparse
import gc
import json
import multiprocessing
import os
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import cv2
import torch
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmengine.logging import MMLogger
from mmengine.registry import DATA_SAMPLERS, DATASETS, init_default_scope
from torch.utils.data import BatchSampler, DataLoader

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tools'))

from benchmark_data import compare, config_pipeline, find_files  # noqa: E402

import cmae_mm.datasets.archive_images  # noqa: E402, F401, so that no start imports it
from cmae_mm.engine.freeze_hook import freeze as freeze_objects  # noqa: E402

PER_CLASS = 1300
SHARDS = 130
BATCH = 500
KINDS = {
    'objects': dict(type='cmae_mm.UnlabelledImages', serialize_data=False),
    'folder': dict(type='cmae_mm.UnlabelledImages'),
    'zip': dict(type='cmae_mm.ArchiveImages', archives='all.zip'),
    'tar': dict(type='cmae_mm.ArchiveImages', archives='all.tar'),
    'shards': dict(type='cmae_mm.ArchiveImages', archives='shard-*.tar'),
}


class Elsewhere(BaseTransform):
    """Turn the path of a picture into where else it lies.

    Args:
        addresses (dict[str, str]): By the path of a picture.
    """

    def __init__(self, addresses: dict[str, str]) -> None:
        self.addresses = addresses

    def transform(self, results: dict) -> dict:
        """Replace ``img_path``."""
        results['img_path'] = self.addresses[results['img_path']]
        return results


class ReadOnly(BaseTransform):
    """Read the bytes of a file, and make nothing of them."""

    def transform(self, results: dict) -> dict:
        """Add ``bytes``, their number."""
        results['bytes'] = len(fileio.get(results['img_path']))
        return results


def pack(files: Sequence[Path], place: Path) -> dict[str, dict[str, str]]:
    """Pack pictures into archives of each kind.

    Args:
        files (Sequence[Path]): Pictures with names of their own.
        place (Path): An empty folder.

    Returns:
        dict[str, dict[str, str]]: By the name of the kind: where a picture lies, by
        its path.
    """
    for name, method in (
        ('stored.zip', zipfile.ZIP_STORED),
        ('deflated.zip', zipfile.ZIP_DEFLATED),
    ):
        with zipfile.ZipFile(place / name, 'w', method) as archive:
            for file in files:
                archive.write(file, file.name)
    with tarfile.open(place / 'plain.tar', 'w') as archive:
        for file in files:
            archive.add(file, file.name)
    places = {'folder': {str(file): str(file) for file in files}}
    paths = {file.name: str(file) for file in files}
    for name in ('stored.zip', 'deflated.zip', 'plain.tar'):
        cfg = dict(type='cmae_mm.ArchiveImages', data_root=str(place), archives=name)
        addresses = [info['img_path'] for info in DATASETS.build(cfg)]
        places[name] = {paths[a.rpartition('/')[2]]: a for a in addresses}
    return places


def stream_ms(archive: Path, rounds: int) -> float:
    """CPU milliseconds per picture of webdataset's reader, of the fastest round."""
    from webdataset import WebDataset

    taken = []
    for _ in range(rounds):
        start = time.thread_time()
        count = sum(1 for _ in WebDataset(str(archive), shardshuffle=False))
        taken.append(1000 * (time.thread_time() - start) / count)
    return min(taken)


def bench_speed(args: argparse.Namespace) -> dict:
    """Time the pipeline, and the reading alone, on each kind of storage."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    files = find_files(args.folder, args.images)
    pipeline = config_pipeline('imagenet_two-views-fast')
    with tempfile.TemporaryDirectory() as place:
        places = pack(files, Path(place))
        report = {}
        for what, steps in (('views', pipeline), ('reading', [ReadOnly()])):
            pipelines = {
                name: [Elsewhere(addresses), *steps]
                for name, addresses in places.items()
            }
            for name, entry in compare(pipelines, files, args.rounds).items():
                found = dict(ms=sum(entry['ms'].values()), ratio=entry['ratio'])
                report.setdefault(name, {})[what] = found
        if find_spec('webdataset'):
            streamed = stream_ms(Path(place, 'plain.tar'), args.rounds)
            ratio = report['folder']['reading']['ms'] / streamed
            report['webdataset'] = dict(reading=dict(ms=streamed, ratio=ratio))
    return report


def names(count: int, part: int = 0, parts: int = 1) -> Iterator[str]:
    """Names as long as those of ImageNet, or one of several parts of them."""
    for number in range(part * count // parts, (part + 1) * count // parts):
        label, image = divmod(number, PER_CLASS)
        yield f'n{label:08d}/n{label:08d}_{image}.JPEG'


def make_entries(kind: str, place: Path, count: int) -> Path:
    """Make as many empty files in a kind of storage, if they are not there.

    Returns:
        Path: The folder to give as ``data_root``.
    """
    storage = 'folder' if kind == 'objects' else kind
    root = place / f'{storage}-{count}'
    done = root / '.done'
    if done.exists():
        return root
    root.mkdir(parents=True, exist_ok=True)
    if storage == 'folder':
        for name in names(count):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).touch()
    elif storage == 'zip':
        with zipfile.ZipFile(root / 'all.zip', 'w') as archive:
            for name in names(count):
                archive.writestr(name, b'')
    else:
        shards = 1 if storage == 'tar' else SHARDS
        for shard in range(shards):
            name = 'all.tar' if shards == 1 else f'shard-{shard:06d}.tar'
            with tarfile.open(root / name, 'w') as archive:
                for file in names(count, shard, shards):
                    archive.addfile(tarfile.TarInfo(file))
                    archive.members.clear()
    done.touch()
    return root


def memory(pid: int | str, kinds: str) -> float:
    """Memory of a process, MiB; the kinds by the names that Linux gives them."""
    lines = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
    found = [line for line in lines if line.startswith(kinds)]
    return sum(int(line.split()[1]) for line in found) / 1024


def peak() -> float:
    """The most memory this process has had since clear_refs was written to, MiB."""
    status = Path('/proc/self/status').read_text().splitlines()
    return next(int(s.split()[1]) for s in status if s.startswith('VmHWM')) / 1024


def snapshot() -> dict[str, float]:
    """Memory of the worker that has most for itself, and of all processes."""
    workers = [child.pid for child in multiprocessing.active_children()]
    return dict(
        worker=max((memory(pid, 'Private_') for pid in workers), default=0.0),
        # Of what n processes share, each has an n-th.
        all=sum(memory(pid, 'Pss:') for pid in [os.getppid(), 'self', *workers]),
    )


def read_all(cfg: dict, sampler: str, freeze: bool, workers: int) -> dict:
    """Build a data set, and read all of it once, with objects frozen or not."""
    Path('/proc/self/clear_refs').write_text('5')
    before, start = peak(), time.process_time()
    dataset = DATASETS.build(cfg)
    report = dict(start_s=time.process_time() - start, peak_mib=peak() - before)
    report['built'] = snapshot()
    order = DATA_SAMPLERS.build(dict(type=sampler, dataset=dataset, seed=0))
    loader = DataLoader(
        dataset,
        batch_sampler=BatchSampler(order, BATCH, drop_last=False),
        num_workers=workers,
        collate_fn=len,
    )
    freeze_objects() if freeze else gc.unfreeze()
    batches = iter(loader)
    read = 0
    for number in range(len(loader)):
        read += next(batches)
        if number == min(workers, len(loader) - 1):  # each worker has been at work
            report['first'] = snapshot()
    report['end'] = snapshot()  # the workers live until the iterator ends
    assert read == len(dataset), f'{read} of {len(dataset)}'
    return report


def bench_memory(args: argparse.Namespace) -> dict:
    """Read each kind with each number of workers, every time in a new process."""
    freeze_objects()  # so that copies of this process share what it has loaded
    report, how = {}, (args.sampler, args.freeze)
    for kind in args.kinds:
        root = in_new_process(make_entries, kind, args.folder, args.entries)
        for workers in args.workers:
            cfg = dict(KINDS[kind], data_root=str(root), pipeline=[ReadOnly()])
            name = f'{kind}, {workers} workers'
            report[name] = in_new_process(read_all, cfg, *how, workers)
            print(name, json.dumps(report[name]), flush=True)
    return report


def in_new_process(call: Callable, *args: object) -> object:
    """Call something in a copy of this process, which ends afterwards."""
    with ProcessPoolExecutor(1, multiprocessing.get_context('fork')) as pool:
        return pool.submit(call, *args).result()


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    speed = commands.add_parser('speed')
    speed.add_argument('folder', type=Path)
    speed.add_argument('--images', type=int, default=300)
    speed.add_argument('--rounds', type=int, default=8)
    memory = commands.add_parser('memory')
    memory.add_argument('folder', type=Path, metavar='place')
    memory.add_argument('--entries', type=int, default=1_300_000)
    memory.add_argument('--workers', type=int, nargs='+', default=[0, 2, 4])
    memory.add_argument('--sampler', default='cmae_mm.SeededSampler')
    memory.add_argument('--freeze', action=argparse.BooleanOptionalAction, default=True)
    memory.add_argument('--kinds', nargs='+', choices=KINDS, default=list(KINDS))
    for command in (speed, memory):
        command.add_argument('--json', type=Path, help='write the numbers there')
    return parser.parse_args()


def main() -> None:
    """Measure, print, and keep."""
    init_default_scope('mmpretrain')
    MMLogger.get_instance('benchmark', log_level='ERROR')
    args = parse_args()
    bench = {'speed': bench_speed, 'memory': bench_memory}[args.command]
    result = bench(args)
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + '\n')


if __name__ == '__main__':
    main()
