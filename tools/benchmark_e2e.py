"""The real runner on a folder of pictures: images per second, and waiting for data.

    python tools/benchmark.py e2e [FOLDER] [--against reference] [--batch 256]
                                  [--workers 8] [--iterations 100] [--json OUT]
    python tools/benchmark.py e2e FOLDER --against released --reference CHECKOUT

MMEngine's runner trains by a real config, on the pictures of FOLDER over and over
(without it on made ones), and is timed after a warm-up. Who runs:

- `default`: the config as it is, with the fast pipeline of the ImageNet configs;
- `device-colour`: the same, the target view's colours on the device;
- `reference`: the reference pipeline, and MMEngine's own loop and hook for losses;
- `reference-views`, `stock-loop`, `stock-reads`: only one of these three;
- `released`: a CHECKOUT of the authors' repository: its model, data set, optimiser
  and recipe in the same runner. What had to be replaced is in the output.

Each gets a process of its own; they take turns. "Waiting" is the share of time
between two steps: for the next batch, and where an epoch ends for what happens there.
On a GPU "idle" is the share in which the device had nothing to do between steps, which
is less where the host runs ahead.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from math import ceil
from pathlib import Path

import torch
from benchmark_machine import keep, machine
from benchmark_models import PRETRAIN, set_arch
from benchmark_pictures import find_files, make_pictures
from mmengine.config import Config, DictAction

MADE = 256  # pictures, where there is no folder
GPU_DEFAULTS = dict(batch=256, workers=8, iterations=100, warm_up=20)
CPU_DEFAULTS = dict(batch=8, workers=1, iterations=20, warm_up=2)
WHO = (
    'default',
    'device-colour',
    'reference',
    'reference-views',
    'stock-loop',
    'stock-reads',
    'released',
)


def parse_args(words: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='benchmark.py e2e',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cuda = torch.cuda.is_available()
    add = parser.add_argument
    add('folder', type=Path, nargs='?', help='of pictures; made ones without it')
    add('--config', type=Path, default=PRETRAIN, help='of pre-training')
    add('--cfg-options', nargs='+', action=DictAction, default={})
    add('--arch', help="of mmpretrain's ViT, or tiny; default: as in the config")
    add('--against', nargs='*', choices=WHO, default=['reference'])
    add('--reference', type=Path, help="checkout of the authors' code")
    add('--device', choices=['cpu', 'cuda'], default='cuda' if cuda else 'cpu')
    add('--dtype', choices=['float32', 'bfloat16'], default='bfloat16')
    add('--compile', nargs='?', const='inductor', metavar='BACKEND')
    add('--batch', type=int, help='default: 256 on a GPU, else 8')
    add('--workers', type=int, help='default: 8 with a GPU, else 1')
    add('--iterations', type=int, help='default: 100 on a GPU, else 20')
    add('--warm-up', type=int, help='iterations before; default: 20 on a GPU, else 2')
    add('--per-epoch', type=int, help='iterations of an epoch; default: one epoch')
    add('--rounds', type=int, default=1, help='turns of each')
    add('--json', type=Path, help='write the numbers there')
    add('--who', choices=WHO, help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    defaults = GPU_DEFAULTS if args.device == 'cuda' else CPU_DEFAULTS
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.warm_up < 1:
        parser.error('--warm-up wants one iteration or more')
    if 'released' in (*args.against, args.who) and not args.reference:
        parser.error("released wants --reference, a checkout of the authors' code")
    return args


def main(words: list[str] | None = None) -> None:
    """Let each train in turn, print, and keep."""
    args = parse_args(words)
    words = sys.argv[2:] if words is None else words
    if args.who:  # a process of its own: see run_alone
        from benchmark_run import train

        keep(train(args), args.json)
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.folder is None:
            words = [folder, *words]
            make_pictures(Path(folder), MADE)
        names = list(dict.fromkeys(['default', *args.against]))
        found: dict[str, list[dict]] = {name: [] for name in names}
        for _ in range(args.rounds):
            for name in names:
                found[name].append(run_alone(name, words, args.device))
    runs = {name: summarise(turns) for name, turns in found.items()}
    ours = runs['default']['images_per_s']
    for run in runs.values():
        run['default_is_faster_by'] = round(ours / run['images_per_s'], 3)
    settings = {
        name: getattr(args, name)
        for name in ('batch', 'workers', 'iterations', 'per_epoch', 'dtype', 'compile')
    }
    pictures = 'made' if args.folder is None else 'photos'
    keep(
        dict(
            machine=machine(args.device),
            pictures=pictures,
            settings=settings,
            runs=runs,
        ),
        args.json,
    )


def run_alone(name: str, words: list[str], device: str) -> dict:
    """Let one train in a process of its own, and return its numbers.

    Raises:
        SystemExit: If it fails; its last words come with it.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, 'out.json')
        script = Path(__file__).with_name('benchmark.py')
        command = [sys.executable, '-W', 'ignore', str(script), 'e2e', *words]
        command += ['--who', name, '--json', str(out)]
        hidden = {'CUDA_VISIBLE_DEVICES': ''} if device == 'cpu' else {}
        done = subprocess.run(
            command, env={**os.environ, **hidden}, capture_output=True, text=True
        )
        if done.returncode or not out.exists():
            raise SystemExit(f'{name} failed:\n{(done.stdout + done.stderr)[-3000:]}')
        return json.loads(out.read_text())


def summarise(turns: list[dict]) -> dict:
    """The median turn, with the spread of all."""
    speeds = [turn['images_per_s'] for turn in turns]
    middle = statistics.median_low(speeds)
    found = dict(next(turn for turn in turns if turn['images_per_s'] == middle))
    if len(turns) > 1:
        found['slowest_and_fastest'] = [min(speeds), max(speeds)]
    return found


def write_listing(args: argparse.Namespace, file: Path) -> int:
    """List the pictures, over and over, until an epoch is full.

    In the form that the released data set reads; ours reads it, too.

    Returns:
        int: Epochs until all iterations are done.
    """
    total = args.warm_up + args.iterations
    per_epoch = args.per_epoch or total
    count = per_epoch * args.batch
    files = islice(cycle(find_files(args.folder, count)), count)
    entries = [dict(prefix='', filename=str(path.resolve())) for path in files]
    file.write_text(json.dumps(entries))
    return ceil(total / per_epoch)


def our_config(args: argparse.Namespace, listing: Path, epochs: int) -> Config:
    """The config of ours, with what ``args.who`` has taken back."""
    cfg = Config.fromfile(args.config)
    if args.arch:
        set_arch(cfg.model, args.arch)
    loader = cfg.train_dataloader
    views = loader.dataset.pipeline
    if args.who in ('reference', 'reference-views'):
        views = reference_views(cfg, args.config)
        loader.sampler = dict(type='DefaultSampler', shuffle=True)
        loader.pop('pin_memory', None)
    if args.who == 'device-colour':
        colour_on_the_device(views)
    loader.dataset = dict(
        type='cmae_mm.UnlabelledImages', ann_file=str(listing), pipeline=views
    )
    if args.who in ('reference', 'stock-loop'):
        cfg.train_cfg = dict(by_epoch=True)
    if args.who in ('reference', 'stock-reads'):
        cfg.default_hooks.runtime_info = dict(type='RuntimeInfoHook')
    if args.dtype == 'float32':
        cfg.optim_wrapper.type = 'OptimWrapper'
        cfg.optim_wrapper.pop('dtype', None)
    if args.compile:
        hook = dict(type='cmae_mm.CompileHook', backend=args.compile)
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), hook]
    cfg.train_cfg.max_epochs = epochs
    return cfg


def reference_views(cfg: Config, file: Path) -> list[dict]:
    """The reference pipeline that a config names beside its fast one.

    Raises:
        SystemExit: If it names none.
    """
    if 'reference_pipeline' not in cfg:
        raise SystemExit(
            f'{file} has no reference_pipeline. Take a config that inherits '
            'configs/_base_/datasets/imagenet_two-views-fast.py, or leave '
            'reference and reference-views out of --against.'
        )
    return cfg.reference_pipeline


def colour_on_the_device(views: list[dict]) -> None:
    """Let the fast pipeline only draw the colours."""
    for step in views:
        if step['type'] == 'cmae_mm.TwoViews':
            step['colour_on'] = 'device'
        if step['type'] == 'PackInputs':
            step['meta_keys'] = (*step['meta_keys'], 'colour')
