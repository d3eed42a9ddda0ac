"""How fast training is on this machine, side by side with its peers.

    python tools/benchmark.py step [--arch b] [--batch 8] [--dtype float32]
    python tools/benchmark.py step --peer released --reference PATH
    python tools/benchmark.py sweep [--batches 2 4 8] [--mask-ratios 0.65 0.75]
    python tools/benchmark.py data FOLDER [--reference PATH]

`step`: the whole training step and its parts. The peer is the same method wired from
mmpretrain's stock parts, or the authors' released code from a checkout (PATH). Both
get the same weights and draws; before anything is timed, losses, gradients, and
weights after two steps must agree. They take turns. `sweep`: ours alone over batch
sizes and mask ratios. `data`: the two-view pipelines on a folder of photos, see
tools/benchmark_data.py. `--json FILE` keeps the numbers. Nothing else should run on the
machine.
"""

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.logging import MMLogger

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tools'))

from benchmark_models import (  # noqa: E402
    Contender,
    build_ours,
    build_released,
    build_stock,
    load_config,
)
from benchmark_parity import check_parity, compare_losses  # noqa: E402
from benchmark_timing import (  # noqa: E402
    count_flops,
    matrix_speed,
    peak_memory,
    summary,
    time_in_turns,
)

DTYPES = {'float32': None, 'bfloat16': torch.bfloat16}


def build(who: str, args: argparse.Namespace) -> Contender:
    """One contender: 'ours', 'stock' or 'released'.

    The released code masks blocks of 2x2 patches, stock parts single ones; ours does
    what its peer does. 68 of 196 patches stay visible both times.
    """
    block_size = 1 if args.peer == 'stock' else 2
    cfg = load_config(args.arch, args.mask_ratio, block_size)
    torch.manual_seed(0)
    if who == 'ours':
        return build_ours(cfg, args.device, DTYPES[args.dtype])
    dtype = DTYPES[args.peer_dtype or args.dtype]
    if who == 'stock':
        return build_stock(cfg, args.device, dtype)
    return build_released(Path(args.reference), cfg, args.device, dtype)


def random_views(args: argparse.Namespace) -> list[torch.Tensor]:
    """Two views of noise, (B, 3, 224, 224) each."""
    generator = torch.Generator().manual_seed(1)
    shape = (args.batch, 3, 224, 224)
    return [torch.randn(shape, generator=generator).to(args.device) for _ in range(2)]


def bench_step(args: argparse.Namespace) -> dict:
    """Time the step of ours, and of a peer if there is one."""
    views = random_views(args)
    contenders = [build('ours', args)]
    result: dict = {}
    if args.peer != 'none':
        contenders.append(build(args.peer, args))
        result['parity'] = check_parity(*contenders, views)
        result['parity_as_timed'] = compare_losses(*contenders, views)
        result['shims'] = contenders[1].shims
    for contender in contenders:
        contender.step(views)  # the optimiser's state is made here
    for part in ('step', 'forward + backward', 'optimiser', 'momentum'):
        calls = {c.name: _part(c, part, views) for c in contenders}
        taken = time_in_turns(calls, args.device, args.rounds)
        result[part] = {name: summary(seconds) for name, seconds in taken.items()}
    for contender in contenders:
        step = result['step'][contender.name]
        step['images_per_s'] = round(1000 * args.batch / step['median_ms'], 2)
    if args.peer != 'none':
        ours, peer = (result['step'][c.name]['median_ms'] for c in contenders)
        result['speed_up'] = round(peer / ours, 3)
    contenders[0].optimizer.zero_grad()
    flops = count_flops(lambda: contenders[0].forward(views))
    seconds = result['step'][contenders[0].name]['median_ms'] / 1000
    result['gflop_per_image'] = round(flops / args.batch / 1e9, 1)
    ceiling = matrix_speed(args.device, contenders[0].autocast)
    result['ceiling_gflop_per_s'] = round(ceiling / 1e9)
    result['mfu'] = round(flops / seconds / ceiling, 3)
    if args.memory:
        result['memory_mib'] = compare_memory(args)
    return result


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
    for _ in range(3):
        contender.step(views)
    return round(peak_memory(args.device) - before)


def bench_sweep(args: argparse.Namespace) -> dict:
    """Ours over batch sizes and mask ratios."""
    args.peer = 'none'
    result = {}
    for mask_ratio in args.mask_ratios:
        for batch in args.batches:
            args.mask_ratio, args.batch = mask_ratio, batch
            contender, views = build('ours', args), random_views(args)
            calls = {'step': _part(contender, 'step', views)}
            taken = time_in_turns(calls, args.device, args.rounds)['step']
            found = summary(taken)
            found['images_per_s'] = round(1000 * batch / found['median_ms'], 2)
            result[f'mask {mask_ratio}, batch {batch}'] = found
    return result


def machine(args: argparse.Namespace) -> dict:
    """What the numbers belong to."""
    git = ['git', '-C', str(ROOT), 'rev-parse', '--short', 'HEAD']
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    on_gpu = args.device == 'cuda'
    return dict(
        command=' '.join(['python', 'tools/benchmark.py', *sys.argv[1:]]),
        commit=commit,
        torch=torch.__version__,
        device=torch.cuda.get_device_name() if on_gpu else processor(),
        threads=torch.get_num_threads(),
    )


def processor() -> str:
    """Name of the CPU, as far as the system tells."""
    info = Path('/proc/cpuinfo')
    names = [
        line.split(':')[1].strip()
        for line in (info.read_text().splitlines() if info.exists() else [])
        if line.startswith('model name')
    ]
    return names[0] if names else platform.processor()


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
    sweep.add_argument('--mask-ratios', type=float, nargs='+', default=[0.65, 0.75])
    args = parser.parse_args()
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
    if sys.argv[1:2] == ['data']:
        from benchmark_data import main as bench_data

        del sys.argv[1]
        bench_data()
        return
    args = parse_args()
    # MMEngine would tell how every single weight is initialised.
    MMLogger.get_instance('benchmark', log_level='ERROR')
    if getattr(args, 'memory_of', None):
        print(memory_of(args.memory_of, args))
        return
    bench = {'step': bench_step, 'sweep': bench_sweep}[args.command]
    result = dict(machine=machine(args), **bench(args))
    text = json.dumps(result, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + '\n')


if __name__ == '__main__':
    main()
