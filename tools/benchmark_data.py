"""How many images per second one core turns into two views, and where time goes.

    python tools/benchmark.py data [FOLDER] [--images 300] [--rounds 5] [--json OUT]
                                   [--reference CHECKOUT]

FOLDER holds the pictures, at any depth; without it some are made. Compared are `stock`
(the steps of the authors' released recipe, from parts of mmcv and mmpretrain: Pillow
from the decoder to the blur, both views normalised in float on the CPU), `reference`
(our reference pipeline), `fast`, `fast-gpu` (colours left to the device), and with a
CHECKOUT of the authors' repository `released`, its own data set class.

The pipelines take turns, each with all pictures, in several rounds with the same
random numbers. What counts is the CPU time of the one thread that works, of each
picture's fastest round: neither waiting for a disk nor a busy neighbour. "As a
worker" is the CPU time of a whole data loader worker, which also puts batches
together in shared memory.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from benchmark_machine import machine
from benchmark_pictures import find_files, make_pictures
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import DefaultScope, init_default_scope
from torch.utils.data import DataLoader, Dataset

ROOT = Path(__file__).resolve().parents[1]
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
BATCH = 25
# mmcv 2.1 fails on negative hue shifts with NumPy 2, so the released recipe's
# [-0.1, 0.1] becomes this. The work is the same.
HUE = (0.0, 0.1)


def stock_pipeline() -> list[dict]:
    """The released recipe's steps and parameters, from stock parts."""
    ready = [dict(type='Normalize', to_rgb=True, **IMAGENET)]
    colour = [
        dict(
            type='RandomApply',
            prob=0.8,
            transforms=[
                dict(
                    type='ColorJitter',
                    brightness=0.4,
                    contrast=0.4,
                    saturation=0.4,
                    hue=HUE,
                    backend='pillow',
                )
            ],
        ),
        dict(
            type='RandomGrayscale',
            prob=0.2,
            keep_channels=True,
            channel_weights=(0.114, 0.587, 0.2989),
        ),
        dict(
            type='GaussianBlur',
            magnitude_range=(0.1, 2.0),
            magnitude_std='inf',
            prob=0.5,
        ),
    ]
    return [
        dict(type='LoadImageFromFile', imdecode_backend='pillow'),
        dict(
            type='RandomResizedCrop',
            scale=256,
            crop_ratio_range=(0.2, 1.0),
            backend='pillow',
            interpolation='bicubic',
        ),
        dict(type='RandomFlip', prob=0.5),
        dict(
            type='MultiView',
            num_views=[1, 1],
            transforms=[
                [dict(type='cmae_mm.PixelShift', size=224, shift_range=(0, 1)), *ready],
                [
                    dict(type='cmae_mm.PixelShift', size=224, shift_range=(0, 32)),
                    *colour,
                    *ready,
                ],
            ],
        ),
        dict(type='PackInputs'),
    ]


def config_pipeline(name: str) -> list[dict]:
    """The training pipeline of a data set of configs/_base_/datasets."""
    cfg = Config.fromfile(ROOT / f'configs/_base_/datasets/{name}.py')
    return cfg.train_dataloader.dataset.pipeline


def all_pipelines() -> dict[str, list[dict]]:
    """What can be compared without a checkout, by name."""
    return {
        'stock': stock_pipeline(),
        'reference': config_pipeline('imagenet_two-views'),
        'fast': config_pipeline('imagenet_two-views-fast'),
        'fast-gpu': config_pipeline('imagenet_two-views-fast-gpu'),
    }


class Released(BaseTransform):
    """The data set class of the authors' repository, as one step.

    Two shims: a list of the files in the form it reads, and :data:`HUE`.

    Args:
        checkout (Path): Their repository.
        files (Sequence[Path]): The pictures.
    """

    def __init__(self, checkout: Path, files: Sequence[Path]) -> None:
        sys.path.insert(0, str(checkout))
        from cmae.datasets.cmae_dataset import CMAEDataset

        config = min((checkout / 'configs/pre-training/cmae').glob('*.py'))
        self.numbers = {str(file): i for i, file in enumerate(files)}
        pipeline = Config.fromfile(config, lazy_import=False).train_pipeline
        with tempfile.TemporaryDirectory() as folder:
            listing = Path(folder, 'files.json')
            names = [str(file.resolve()) for file in files]
            entries = [dict(prefix='', filename=name) for name in names]
            listing.write_text(json.dumps(entries))
            with DefaultScope.overwrite_default_scope('cmae'):
                self.dataset = CMAEDataset('/', str(listing), pipeline)
        jitter = self.dataset.pipeline_aug.transforms[1].transforms.transforms[0]
        jitter.hue = HUE

    def transform(self, results: dict) -> dict:
        """Both views of the file, as tensors."""
        return self.dataset[self.numbers[results['img_path']]]


class Timed(BaseTransform):
    """A step that adds up the CPU time it takes.

    Args:
        step (BaseTransform): The step.
        name (str): What it is called in the table.
        seconds (dict[str, float]): Where the time of all steps is added up.
    """

    def __init__(
        self, step: BaseTransform, name: str, seconds: dict[str, float]
    ) -> None:
        self.step, self.name, self.seconds = step, name, seconds

    def transform(self, results: dict) -> dict:
        """Do the step."""
        start = time.thread_time()
        results = self.step(results)
        taken = time.thread_time() - start
        self.seconds[self.name] = self.seconds.get(self.name, 0.0) + taken
        return results


def step_name(cfg: dict) -> str:
    """The type of a step, without the library it is from."""
    return cfg['type'].replace('/', '.').split('.')[-1]


def build_steps(
    pipeline: Sequence[dict | BaseTransform], seconds: dict[str, float]
) -> list[Timed]:
    """Build a pipeline, every step timed, also those inside the views.

    Args:
        pipeline (Sequence[dict | BaseTransform]): Configs, or steps as they are.
        seconds (dict[str, float]): Filled with the CPU time of each step.

    Returns:
        list[Timed]: To be called one after the other.
    """
    from mmpretrain.registry import TRANSFORMS

    steps = []
    for cfg in pipeline:
        if isinstance(cfg, BaseTransform):
            steps.append(Timed(cfg, type(cfg).__name__, seconds))
            continue
        step = TRANSFORMS.build(cfg)
        name = step_name(cfg)
        if name == 'MultiView':
            name = 'MultiView and its copies'
            views = zip(cfg['transforms'], step.pipelines, strict=True)
            for view, (inner, compose) in enumerate(views, start=1):
                compose.transforms = [
                    Timed(part, f'view {view}: {step_name(part_cfg)}', seconds)
                    for part_cfg, part in zip(inner, compose.transforms, strict=True)
                ]
        steps.append(Timed(step, name, seconds))
    return steps


def run_once(
    steps: Sequence[Timed], seconds: dict[str, float], path: str, seed: int
) -> dict[str, float]:
    """Send one picture through; return the CPU seconds of each step and in all."""
    np.random.seed(seed)
    torch.manual_seed(seed)
    seconds.clear()
    results = dict(img_path=path, sample_idx=seed)
    start = time.thread_time()
    for step in steps:
        results = step(results)
    taken = dict(seconds, all=time.thread_time() - start)
    if 'MultiView and its copies' in taken:  # what is not of the steps inside
        inner = sum(s for name, s in taken.items() if name.startswith('view '))
        taken['MultiView and its copies'] -= inner
    return taken


def compare(
    pipelines: dict[str, list], files: Sequence[Path], rounds: int
) -> dict[str, dict]:
    """Time pipelines on the same pictures, turn by turn.

    Args:
        pipelines (dict[str, list]): By name what :func:`build_steps` takes.
        files (Sequence[Path]): Pictures.
        rounds (int): How often each picture goes through each pipeline.

    Returns:
        dict[str, dict]: By name ``images_per_s`` of one core, ``ratio`` to the
        first pipeline, and ``ms`` per image of each step.
    """
    built = {}
    for name, pipeline in pipelines.items():
        seconds: dict[str, float] = {}
        built[name] = (build_steps(pipeline, seconds), seconds)
    fastest: dict[str, list[dict]] = {name: [{}] * len(files) for name in pipelines}
    for _ in range(rounds):
        for name, (steps, seconds) in built.items():
            for i, file in enumerate(files):
                taken = run_once(steps, seconds, str(file), seed=i)
                if taken['all'] < fastest[name][i].get('all', float('inf')):
                    fastest[name][i] = taken
    report = {}
    for name, images in fastest.items():
        steps = {step: None for image in images for step in image}
        ms = {
            step: 1000 * float(np.mean([image.get(step, 0) for image in images]))
            for step in steps
        }
        report[name] = dict(images_per_s=1000 / ms.pop('all'), ms=ms)
    first = next(iter(report.values()))['images_per_s']
    for entry in report.values():
        entry['ratio'] = entry['images_per_s'] / first
    return report


class Files(Dataset):
    """Pictures through a pipeline, as a worker of a data loader sees them.

    Args:
        steps (Sequence[Timed]): The pipeline.
        files (Sequence[Path]): The pictures.
    """

    def __init__(self, steps: Sequence[Timed], files: Sequence[Path]) -> None:
        self.steps, self.files = steps, files

    def __len__(self) -> int:
        return max(len(self.files), 3 * BATCH)

    def __getitem__(self, index: int) -> dict:
        np.random.seed(index)
        torch.default_generator.manual_seed(index)
        results = dict(img_path=str(self.files[index % len(self.files)]))
        for step in self.steps:
            results = step(results)
        return results


def collate_with_stamp(samples: list[dict]) -> tuple[dict, float]:
    """A batch, collated as MMEngine does, and the worker's CPU seconds so far."""
    return default_collate(samples), time.process_time()


def compare_workers(
    pipelines: dict[str, list], files: Sequence[Path], rounds: int
) -> dict[str, float]:
    """Time whole workers: the steps, collation, and the way to the main process.

    Args:
        pipelines (dict[str, list]): By name what :func:`build_steps` takes.
        files (Sequence[Path]): Pictures.
        rounds (int): How often all pictures go through each pipeline.

    Returns:
        dict[str, float]: CPU milliseconds per image of the one worker, by name, of
        each batch's fastest round.
    """
    fastest = dict.fromkeys(pipelines, np.inf)
    built = {name: build_steps(pipeline, {}) for name, pipeline in pipelines.items()}
    for _ in range(rounds):
        for name, steps in built.items():
            loader = DataLoader(
                Files(steps, files),
                batch_size=BATCH,
                num_workers=1,
                drop_last=True,
                collate_fn=collate_with_stamp,
            )
            taken = np.diff([stamp for _, stamp in loader])  # of each batch
            fastest[name] = np.minimum(fastest[name], taken)
    return {
        name: 1000 * float(np.mean(taken)) / BATCH for name, taken in fastest.items()
    }


def print_report(report: dict[str, dict]) -> None:
    """One table for people."""
    for name, entry in report.items():
        total = sum(entry['ms'].values())
        print(
            f'{name}: {entry["images_per_s"]:.0f} images/s per core '
            f'({total:.2f} ms), {entry["ratio"]:.2f}x; as a worker '
            f'{1000 / entry["worker_ms"]:.0f}, {entry["worker_ratio"]:.2f}x'
        )
        for step, ms in entry['ms'].items():
            print(f'    {ms:7.3f} ms {100 * ms / total:5.1f} %  {step}')


def main(words: list[str] | None = None) -> None:
    """Compare, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(
        prog='benchmark.py data',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('folder', type=Path, nargs='?')
    parser.add_argument('--images', type=int, default=300)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--reference', type=Path)
    args = parser.parse_args(words)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    init_default_scope('mmpretrain')
    if args.folder:
        report = bench_data(args, find_files(args.folder, args.images))
    else:
        with tempfile.TemporaryDirectory() as folder:
            report = bench_data(args, make_pictures(Path(folder), args.images))
    print_report(report)
    if args.json:
        pictures = 'photos' if args.folder else 'made'
        result = dict(machine=machine('cpu'), pictures=pictures, pipelines=report)
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=2) + '\n')


def bench_data(args: argparse.Namespace, files: Sequence[Path]) -> dict[str, dict]:
    """All pipelines, step by step and as workers."""
    pipelines = all_pipelines()
    if args.reference:
        pipelines = dict(released=[Released(args.reference, files)], **pipelines)
    report = compare(pipelines, files, args.rounds)
    workers = compare_workers(pipelines, files, args.rounds)
    first = next(iter(workers.values()))
    for name, ms in workers.items():
        report[name].update(worker_ms=ms, worker_ratio=first / ms)
    return report


if __name__ == '__main__':
    main()
