"""How fast training is on this machine, side by side with its peers.

    python tools/benchmark.py step [--arch b] [--batch 8] [--dtype float32]
    python tools/benchmark.py step --peer released --reference PATH
    python tools/benchmark.py sweep [--batches 2 4 8] [--mask-ratios 0.65 0.75]
    python tools/benchmark.py ablate [--only momentum optimiser]
    python tools/benchmark.py data [FOLDER] [--reference PATH]
    python tools/benchmark.py e2e [FOLDER] [--against reference] [--reference PATH]

`step`: the whole training step and its parts. The peer is the same method wired from
mmpretrain's stock parts, or the authors' released code from a checkout (PATH). Both
get the same weights and draws; before anything is timed, losses, gradients, and
weights after two steps must agree. They take turns. `sweep`: ours alone over batch
sizes, image sizes and mask ratios. `ablate`: the step without each of our changes, see
tools/benchmark_ablate.py. `data`: the two-view pipelines on a folder of photos, see
tools/benchmark_data.py. `e2e`: the real runner on such a folder, see
tools/benchmark_e2e.py. `--json FILE` keeps the numbers, from which
tools/benchmark_tables.py writes the tables of docs/benchmarks.md. Nothing else should
run on the machine.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import torch
from mmengine.logging import MMLogger

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tools'))

import benchmark_data  # noqa: E402
import benchmark_e2e  # noqa: E402
from benchmark_ablate import CHANGES, bench_ablate  # noqa: E402
from benchmark_machine import keep, machine  # noqa: E402
from benchmark_models import (  # noqa: E402
    Contender,
    build_ours,
    build_released,
    build_stock,
    compile_blocks,
    load_config,
)
from benchmark_parity import check_parity, compare_losses  # noqa: E402
from benchmark_timing import (  # noqa: E402
    count_flops,
    host_ms,
    matrix_speed,
    summary,
    time_in_turns,
)

from cmae_mm.planning.memory import peak_memory  # noqa: E402

DTYPES = {'float32': None, 'bfloat16': torch.bfloat16}


def build(who: str, args: argparse.Namespace) -> Contender:
    """One contender: 'ours', 'stock' or 'released'.

    The released code masks blocks of 2x2 patches, stock parts single ones; ours does
    what its peer does. 68 of 196 patches stay visible both times.
    """
    cfg = load_config(args.arch, args.mask_ratio, args.block_size, args.image_size)
    torch.manual_seed(0)
    if who == 'ours':
        return build_ours(cfg, args.device, DTYPES[args.dtype])
    dtype = DTYPES[args.peer_dtype or args.dtype]
    if who == 'stock':
        return build_stock(cfg, args.device, dtype)
    return build_released(Path(args.reference), cfg, args.device, dtype)


def random_views(args: argparse.Namespace) -> list[torch.Tensor]:
    """Two views of noise, (B, 3, size, size) each."""
    generator = torch.Generator().manual_seed(1)
    shape = (args.batch, 3, args.image_size, args.image_size)
    return [torch.randn(shape, generator=generator).to(args.device) for _ in range(2)]


def bench_step(args: argparse.Namespace) -> dict:
    """Time the step of ours, and of a peer if there is one."""
    views = random_views(args)
    contenders = [build('ours', args)]
    result: dict = {}
    if args.peer != 'none':
        contenders.append(build(args.peer, args))
        result['parity'] = check_parity(*contenders, views)
    few = [view[:4] for view in views]
    # Before compiling: the counter cannot look into compiled blocks.
    flops = count_flops(lambda: contenders[0].forward(few, follow=False)) / len(few[0])
    if args.compile:
        compile_blocks(contenders[0], args.compile)
    if args.peer != 'none':
        result['parity_as_timed'] = compare_losses(*contenders, views)
        result['shims'] = contenders[1].shims
    result.update(time_parts(contenders, views, args))
    result['gflop_per_image'] = round(flops / 1e9, 1)
    seconds = result['step'][contenders[0].name]['median_ms'] / 1000
    ceiling = matrix_speed(args.device, contenders[0].autocast)
    result['ceiling_gflop_per_s'] = round(ceiling / 1e9)
    result['mfu'] = round(flops * args.batch / seconds / ceiling, 3)
    if args.memory:
        result['memory_mib'] = compare_memory(args)
    return result


def time_parts(
    contenders: list[Contender], views: list[torch.Tensor], args: argparse.Namespace
) -> dict:
    """The step and its parts, turn by turn, and how much faster ours is."""
    found: dict = {}
    for contender in contenders:
        contender.step(views)  # the optimiser's state is made here
    warm_up = 3 if args.device == 'cuda' else 1
    for part in ('step', 'forward + backward', 'optimiser', 'momentum'):
        calls = {c.name: _part(c, part, views) for c in contenders}
        taken = time_in_turns(calls, args.device, args.rounds, warm_up)
        found[part] = {name: summary(seconds) for name, seconds in taken.items()}
    for contender in contenders:
        step = found['step'][contender.name]
        step['images_per_s'] = round(1000 * args.batch / step['median_ms'], 2)
        if args.device == 'cuda':
            step['host_ms'] = host_ms(_part(contender, 'step', views))
    if len(contenders) > 1:
        ours, peer = (found['step'][c.name]['median_ms'] for c in contenders)
        found['speed_up'] = round(peer / ours, 3)
    return found


def _part(
    contender: Contender, part: str, views: list[torch.Tensor]
) -> Callable[[], object]:
    """The step, or a part of it, as a call."""

    def forward_backward() -> None:
        # Ours updates the momentum branch inside, which is a part of its own.
        contender.forward(views, follow=False).backward()

    return {
        'step': lambda: contender.step(views),
        'forward + backward': forward_backward,
        'optimiser': contender.optimizer.step,
        'momentum': contender.momentum,
    }[part]


def compare_memory(args: argparse.Namespace) -> dict[str, float]:
    """Peak memory of three steps, each contender in a process of its own."""
    found = {}
    for who in ['ours'] if args.peer == 'none' else ['ours', args.peer]:
        command = [sys.executable, '-W', 'ignore', *sys.argv, '--memory-of', who]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[who] = float(printed.stdout.split()[-1])
    return found


def memory_of(who: str, args: argparse.Namespace) -> float:
    """What this process needs for three steps beyond the libraries, MiB."""
    views = random_views(args)
    before = 0 if args.device == 'cuda' else peak_memory(args.device)
    contender = build(who, args)
    if args.compile and who == 'ours':
        compile_blocks(contender, args.compile)
    for _ in range(3):
        contender.step(views)
    return round((peak_memory(args.device) - before) / 2**20)


def bench_sweep(args: argparse.Namespace) -> dict:
    """Ours over batch sizes, image sizes and mask ratios."""
    result = {}
    for settings in product(args.image_sizes, args.mask_ratios, args.batches):
        args.image_size, args.mask_ratio, args.batch = settings
        contender, views = build('ours', args), random_views(args)
        if args.compile:
            compile_blocks(contender, args.compile)
        calls = {'step': _part(contender, 'step', views)}
        found = summary(time_in_turns(calls, args.device, args.rounds)['step'])
        found['images_per_s'] = round(1000 * args.batch / found['median_ms'], 2)
        name = f'{args.image_size} px, mask {args.mask_ratio}, batch {args.batch}'
        result[name] = found
    return result


def bench_rows(args: argparse.Namespace) -> dict:
    """The step without each of our changes."""
    return bench_ablate(args, build('ours', args), random_views(args))


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cuda = torch.cuda.is_available()
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument('--device', default='cuda' if cuda else 'cpu')
    shared.add_argument('--arch', default='b', help="of mmpretrain's ViT, or tiny")
    shared.add_argument('--batch', type=int, default=8)
    shared.add_argument('--mask-ratio', type=float, default=0.65)
    shared.add_argument('--dtype', choices=DTYPES, default='float32')
    shared.add_argument('--rounds', type=int, default=5)
    shared.add_argument(
        '--compile',
        nargs='?',
        const='inductor',
        metavar='BACKEND',
        help='compile the blocks of ours; worth it on a GPU',
    )
    shared.add_argument('--json', type=Path, help='write the numbers there')
    commands = parser.add_subparsers(dest='command', required=True)
    step = commands.add_parser('step', parents=[shared], help='the training step')
    step.add_argument('--peer', choices=['none', 'stock', 'released'], default='stock')
    step.add_argument('--reference', help="checkout of the authors' code")
    step.add_argument('--peer-dtype', choices=DTYPES, help='default: as ours')
    step.add_argument('--memory', action='store_true', help='compare memory, too')
    step.add_argument('--memory-of', help=argparse.SUPPRESS)
    sweep = commands.add_parser('sweep', parents=[shared], help='sizes and ratios')
    sweep.add_argument('--batches', type=int, nargs='+', default=[2, 4, 8])
    sweep.add_argument('--image-sizes', type=int, nargs='+', default=[224])
    sweep.add_argument('--mask-ratios', type=float, nargs='+', default=[0.65, 0.75])
    ablate = commands.add_parser('ablate', parents=[shared], help='row by row')
    ablate.add_argument(
        '--only', nargs='+', choices=CHANGES, help='rows; default: all that apply'
    )
    parser.set_defaults(peer='none', image_size=224)
    args = parser.parse_args()
    args.block_size = 1 if args.peer == 'stock' else 2
    if args.command == 'step' and args.peer == 'released' and args.arch != 'b':
        parser.error(
            'the released code knows ViT-B only: its feature decoder is as '
            'wide as 16 * 16 * 3 numbers of a patch'
        )
    if args.command == 'step' and args.peer == 'released' and not args.reference:
        parser.error(
            "--peer released wants --reference, a checkout of the authors' code"
        )
    return args


def main() -> None:
    """Measure, print, and keep."""
    if sys.argv[1:2] in (['data'], ['e2e']):
        own = {'data': benchmark_data.main, 'e2e': benchmark_e2e.main}[sys.argv[1]]
        own(sys.argv[2:])
        return
    args = parse_args()
    # MMEngine would tell how every single weight is initialised.
    MMLogger.get_instance('benchmark', log_level='ERROR')
    if getattr(args, 'memory_of', None):
        print(memory_of(args.memory_of, args))
        return
    bench = dict(step=bench_step, sweep=bench_sweep, ablate=bench_rows)[args.command]
    keep(dict(machine=machine(args.device), **bench(args)), args.json)


if __name__ == '__main__':
    main()
