"""The step with everything on, against everything but one thing.

Every row is one change of this project, taken back alone; compiled blocks and
micro-batches, which the whole has not, are put on top of it instead. Before anything
is timed, the plain way must compute the same in float64 (where precision is what
changes, the same loss to 1 %). All take turns with the whole.
"""

import argparse
import copy
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import torch
from benchmark_models import Contender, build_ours, compile_blocks, load_config
from benchmark_parity import Trace, compare_losses, compare_traces, trace
from benchmark_plain import (
    all_patches_embedded,
    all_pixels_rebuilt,
    features_pooled_last,
    fused_attention,
    labels_from_the_host,
    momentum_one_by_one,
    repeated_indices,
    separate_attention,
    target_as_if_masked,
)
from benchmark_timing import count_flops, host_ms, summary, time_in_turns
from mmengine.optim import build_optim_wrapper

MICRO_BATCHES = 2
T = TypeVar('T')


@dataclass(frozen=True)
class Change:
    """One row of the table.

    Args:
        what (str): The change, in words.
        predicted (str): What it was thought to give before anybody measured, on an
            H200 with batch 256 unless said.
        build (Callable): ``contender, args -> contender`` without the change, or
            with it if ``added``.
        gate (str): How the two are compared before timing: 'float64', 'loss', or
            'none'.
        needs (str): Where there is something to see, see :func:`applies`; '' is
            everywhere.
        added (bool): Whether it is the whole that lacks the change, and the row has
            it. Defaults to False.
    """

    what: str
    predicted: str
    build: Callable[[Contender, argparse.Namespace], Contender]
    gate: str = 'float64'
    needs: str = ''
    added: bool = False


def inside(context: Callable) -> Callable[[Contender, argparse.Namespace], Contender]:
    """Take a change back by a context of tools/benchmark_plain.py."""
    return lambda ours, args: replace(ours, inside=partial(context, ours.model))


def one_group_each(ours: Contender, args: argparse.Namespace) -> Contender:
    """MMEngine's constructor: a group per parameter, and AdamW as torch chooses."""
    cfg = load_config(args.arch, args.mask_ratio, args.block_size)
    wrapper_cfg = {**cfg.optim_wrapper, 'type': 'OptimWrapper'}
    del wrapper_cfg['constructor']
    return replace(
        ours, optimizer=build_optim_wrapper(ours.model, wrapper_cfg).optimizer
    )


def in_float32(ours: Contender, args: argparse.Namespace) -> Contender:
    """Without autocast."""
    return replace(ours, autocast=None)


class InParts(Contender):
    """The batch in micro-batches, each against the keys of all of them."""

    def step(self, views: list[torch.Tensor]) -> torch.Tensor:
        """As :class:`cmae_mm.MicroBatchTrainLoop`, without the runner."""
        self.optimizer.zero_grad()
        parts = [view.chunk(MICRO_BATCHES) for view in views]
        with self.precision(views):
            self.model.hold_keys(list(parts[1]))
        for part in zip(*parts, strict=True):
            loss = self.forward(list(part)) / MICRO_BATCHES
            loss.backward()
        self.optimizer.step()
        return loss


def in_parts(ours: Contender, args: argparse.Namespace) -> Contender:
    """In micro-batches."""
    return InParts(**vars(ours))


def compiled(ours: Contender, args: argparse.Namespace) -> Contender:
    """A second model with the same weights, its blocks compiled."""
    other = build_ours(
        load_config(args.arch, args.mask_ratio, args.block_size),
        args.device,
        ours.autocast,
    )
    other.model.load_state_dict(ours.model.state_dict())
    compile_blocks(other, args.compile or 'inductor')
    return other


CHANGES = {
    'attention': Change(
        'fused attention, not scores, softmax and sum',
        '25 % of the time on a GPU, half of the activations',
        inside(separate_attention),
        needs='a GPU, or float32',
    ),
    'cpu-attention': Change(
        'scores, softmax and sum in bfloat16 on a CPU, not fused in float32',
        '-',
        inside(fused_attention),
        gate='loss',
        needs='a CPU in bfloat16',
    ),
    'visible-embedding': Change(
        'only visible patches are embedded, by a matrix product',
        '1 to 2 %',
        inside(all_patches_embedded),
    ),
    'indices': Change(
        'rows picked by number; no second sort, no repeated index',
        '0.50 to 0.18 ms on a CPU for one selection',
        inside(repeated_indices),
    ),
    'target': Change(
        'target under no_grad, without a selection of everything',
        '0.15 ms (batch 128)',
        inside(target_as_if_masked),
    ),
    'masked-pixels': Change(
        'pixels and loss of masked patches only',
        '35 % of the last layer: 0.15 % of all FLOPs',
        inside(all_pixels_rebuilt),
    ),
    'pooled-features': Change(
        'features pooled before the last layer',
        '0.4 % of all FLOPs',
        inside(features_pooled_last),
    ),
    'labels': Change(
        'labels made on the device',
        'one wait for the device less; 2 to 5 ms with the deferred losses',
        inside(labels_from_the_host),
        needs='a GPU',
    ),
    'momentum': Change(
        '`_foreach_lerp_` for the momentum copy, not a loop',
        '3 to 5 ms become 0.25 ms',
        inside(momentum_one_by_one),
    ),
    'optimiser': Change(
        'merged groups and fused AdamW, not a group per parameter',
        '20 to 30 ms become 1 ms',
        one_group_each,
    ),
    'bfloat16': Change(
        'bfloat16, not float32',
        'products 2.5 times as fast on a CPU with AVX512_BF16',
        in_float32,
        gate='loss',
        needs='bfloat16',
    ),
    'compile': Change(
        'compiled blocks',
        '92 ms become 82 ms',
        compiled,
        gate='loss',
        needs='a GPU, or --compile',
        added=True,
    ),
    'micro-batches': Change(
        f'{MICRO_BATCHES} micro-batches',
        'no gain in time, less memory',
        in_parts,
        # BatchNorm sees parts, and the masks are drawn in another order; the rest is
        # compared in tests/test_engine/test_micro_batches.py.
        gate='none',
        added=True,
    ),
}


def applies(name: str, args: argparse.Namespace) -> bool:
    """Whether there is something to measure with this device and precision."""
    lower = args.dtype == 'bfloat16'
    return {
        '': True,
        'a GPU': args.device == 'cuda',
        'bfloat16': lower,
        'a CPU in bfloat16': lower and args.device == 'cpu',
        'a GPU, or float32': not lower or args.device == 'cuda',
        'a GPU, or --compile': args.device == 'cuda' or args.compile is not None,
    }[CHANGES[name].needs]


def bench_ablate(
    args: argparse.Namespace, ours: Contender, views: list[torch.Tensor]
) -> dict:
    """Time the whole step, and each row of it.

    Args:
        args (Namespace): The command line of tools/benchmark.py.
        ours (Contender): Everything on.
        views (list[Tensor]): Two views, (B, 3, H, W) each.

    Returns:
        dict: ``whole`` and ``rows``; a row's ``saved_ms`` is the median over the
        rounds of what the change saves.
    """
    names = args.only or [name for name in CHANGES if applies(name, args)]
    start = copy.deepcopy(ours.model.state_dict())
    rows, contenders = {}, {'whole': ours}
    expected = trace(ours, views)
    for name in names:
        ours.model.load_state_dict(start)
        change = CHANGES[name]
        contenders[name] = replace(change.build(ours, args), name=name)
        rows[name] = dict(gate=check(change, ours, contenders[name], views, expected))
    del expected
    ours.model.load_state_dict(start)
    found = measure(contenders, views, args)
    for name, row in rows.items():
        row.update(found[name])
    return dict(whole=found['whole'], rows=rows)


def check(
    change: Change,
    ours: Contender,
    other: Contender,
    views: list[torch.Tensor],
    expected: Trace,
) -> dict[str, float]:
    """Compare a row with the whole, or stop.

    Raises:
        SystemExit: If it does not compute the same.
    """
    if change.gate == 'none':
        return {}
    if change.gate == 'float64':
        return compare_traces(expected, trace(other, views), other.name)
    found = compare_losses(ours, other, views)
    if found['loss'] > 1e-2:
        raise SystemExit(f'{other.name} computes another loss: {found}')
    return found


def measure(
    contenders: dict[str, Contender],
    views: list[torch.Tensor],
    args: argparse.Namespace,
) -> dict[str, dict]:
    """All numbers, by name: FLOPs, time, and on a GPU host time and memory."""
    found: dict[str, dict] = {name: {} for name in contenders}
    few = [view[:4] for view in views]
    for name, contender in contenders.items():
        with contender.inside():
            if name != 'compile':  # the counter cannot look into compiled blocks
                flops = count_flops(partial(contender.forward, few, follow=False))
                per_image = flops / len(few[0]) / 1e9
                found[name]['gflop_per_image'] = round(per_image, 2)
            contender.step(views)  # the optimiser's state is made here
    contexts = {name: c.inside for name, c in contenders.items()}
    calls = {name: partial(c.step, views) for name, c in contenders.items()}
    warm_up = 3 if args.device == 'cuda' else 1
    taken = time_in_turns(calls, args.device, args.rounds, warm_up, inside=contexts)
    for name, seconds in taken.items():
        found[name]['step'] = summary(seconds)
        if name != 'whole':
            pair = with_and_without(name, taken['whole'], seconds)
            found[name].update(compare_turns(*pair))
    for name, take in PARTS.items():
        if name in contenders:
            calls = {who: take(contenders[who]) for who in ('whole', name)}
            taken = time_in_turns(calls, args.device, args.rounds, inside=contexts)
            found[name]['part'] = {who: summary(taken[who]) for who in calls}
    memory: dict[str, int] = {}
    if args.device == 'cuda':
        for name, contender in contenders.items():
            with contender.inside():
                found[name]['host_ms'] = host_ms(partial(contender.step, views))
                memory[name] = memory_of_step(contender, views)
            if name != 'whole':
                pair = with_and_without(name, memory['whole'], memory[name])
                found[name]['saved_mib'] = pair[1] - pair[0]
    return found


# Rows whose part of the step can be timed alone.
PARTS = {
    'optimiser': lambda contender: contender.optimizer.step,
    'momentum': lambda contender: contender.momentum,
}


def with_and_without(name: str, whole: T, row: T) -> tuple[T, T]:
    """The numbers of the whole and of a row, in this order."""
    return (row, whole) if CHANGES[name].added else (whole, row)


def compare_turns(with_it: list[float], without: list[float]) -> dict[str, float]:
    """What a change saves, turn by turn, in milliseconds."""
    saved = [1000 * (b - a) for a, b in zip(with_it, without, strict=True)]
    found = {'saved_ms': round(statistics.median(saved), 2)}
    if len(saved) > 1:
        low, _, high = statistics.quantiles(saved, n=4)
        found['saved_quartiles_ms'] = round(high - low, 2)
    return found


def memory_of_step(contender: Contender, views: list[torch.Tensor]) -> int:
    """Peak memory of a GPU in a step, with all that the other rows keep there, MiB."""
    torch.cuda.reset_peak_memory_stats()
    contender.step(views)
    return round(torch.cuda.max_memory_allocated() / 2**20)
