"""From 1 to 1024 GPUs: what a training step costs, sends and needs; derived.

    python tools/scaling.py [--archs s b l h] [--gpus 1 8 64 256 1024] [--batch 4096]
                            [--fsdp] [--mfu 0.35] [--network-gb-s 400] ...

Work and parameters are counted on the models of configs/pretrain. Every number of the
machine is an assumption with an option of its own (--help); nothing is measured. See
docs/scaling.md.
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tools'))

from scaling_model import Machine, Step, Work, count_work  # noqa: E402

CONFIG = 'configs/pretrain/cmae_vit-{}_32xb128-amp-coslr-300e_in1k.py'
ARCHS = {'s': 'small-p16', 'b': 'base-p16', 'l': 'large-p16', 'h': 'huge-p14'}
IMAGENET = 1281167  # images of ImageNet-1K


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; one option for every number of the machine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--archs', nargs='+', choices=ARCHS, default=list(ARCHS))
    parser.add_argument('--gpus', nargs='+', type=int, default=[1, 8, 64, 256, 1024])
    parser.add_argument('--batch', type=int, default=4096, help='over all GPUs')
    parser.add_argument('--epochs', type=int, default=300, help='of ImageNet-1K')
    parser.add_argument('--fsdp', action='store_true', help='shard instead of DDP')
    for number in fields(Machine):
        parser.add_argument(
            f'--{number.name.replace("_", "-")}',
            type=number.type,
            default=number.default,
            help=f'{number.metadata["help"]}; assumed: {number.default}',
        )
    args = parser.parse_args(argv)
    for gpus in args.gpus:
        if gpus < 1 or args.batch % gpus:
            parser.error(f'a batch of {args.batch} cannot be dealt to {gpus} GPUs')
    return args


def describe(name: str, work: Work) -> str:
    """What the model is, in one row."""
    cells = [
        f'ViT-{name.upper()}',
        f'{work.trainable / 1e6:.1f}',
        f'{work.target / 1e6:.1f}',
        f'{work.flops / 1e9:.1f}',
        f'{work.backward:.0%}',
        f'{work.kept / 1e6:.2f}',
    ]
    return row(cells)


def estimate(name: str, step: Step, epochs: int) -> str:
    """What a step is, in one row."""
    hours = epochs * IMAGENET / step.batch * step.seconds / 3600
    cells = [
        f'ViT-{name.upper()}',
        step.gpus,
        step.images,
        step.parts or 'too large',
        f'{step.memory / 1e9:.0f}',
        f'{1e3 * step.compute:.0f} + {1e3 * step.update:.1f}',
        f'{step.sent / 1e9:.2f}',
        f'{1e3 * step.exposed:.1f}',
        f'{step.batch / step.seconds:,.0f}',
        f'{step.efficiency:.0%}',
        f'{hours:,.1f}',
        f'{step.cores:.1f}',
        step.bound,
    ]
    return row(cells)


def row(cells: list) -> str:
    """A row of a table in Markdown."""
    return f'| {" | ".join(map(str, cells))} |'


def head(*cells: str) -> list[str]:
    """The first two rows."""
    return [row(list(cells)), row(['---'] * len(cells))]


def tables(args: argparse.Namespace) -> str:
    """Both tables."""
    works = {name: count_work(ROOT / CONFIG.format(ARCHS[name])) for name in args.archs}
    machine = Machine(**{f.name: getattr(args, f.name) for f in fields(Machine)})
    lines = head(
        'model',
        'trained, M',
        'momentum copy, M',
        'GFLOP per image and step',
        'of it backward',
        'tokens x channels kept, M',
    )
    lines += [describe(name, work) for name, work in works.items()]
    lines += ['']
    lines += head(
        'model',
        'GPUs',
        'images each',
        'micro-batches',
        'GB each',
        'compute + update, ms',
        'GB sent each',
        'waiting, ms',
        'images/s',
        'efficiency',
        f'hours for {args.epochs} epochs',
        'cores per GPU',
        'bound by',
    )
    lines += [
        estimate(name, Step(work, machine, gpus, args.batch, args.fsdp), args.epochs)
        for name, work in works.items()
        for gpus in args.gpus
    ]
    return '\n'.join(lines)


if __name__ == '__main__':
    print(tables(parse_args()))
