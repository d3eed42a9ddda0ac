"""Clocks of the benchmark: turns, spreads, FLOPs, the ceiling."""

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.utils.flop_counter import FlopCounterMode


def time_in_turns(
    steps: dict[str, Callable[[], object]],
    device: str,
    rounds: int,
    warm_up: int = 1,
    inside: dict[str, Callable[[], AbstractContextManager]] | None = None,
) -> dict[str, list[float]]:
    """Seconds of each step; they take turns, so that all see the same machine.

    Args:
        steps (dict): What to time, by name.
        device (str): With 'cuda' the clock waits for the GPU at both ends.
        rounds (int): Turns of each.
        warm_up (int): Turns before those that count. Defaults to 1.
        inside (dict, optional): By name the context that a step runs in; entering
            it is not timed.
    """
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + warm_up):
        for name, step in steps.items():
            with (inside or {}).get(name, nullcontext)():
                seconds = _time(step, device)
            if turn >= warm_up:
                taken[name].append(seconds)
    return taken


def _time(step: Callable[[], object], device: str) -> float:
    wait = torch.cuda.synchronize if device == 'cuda' else lambda: None
    wait()
    start = time.perf_counter()
    step()
    wait()
    return time.perf_counter() - start


def host_ms(step: Callable[[], object], rounds: int = 5) -> float:
    """Milliseconds until a step has told a GPU what to do, not until it is done.

    The median of a few rounds, in each of which the GPU starts with nothing to do.
    """
    taken = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        step()
        taken.append(1000 * (time.perf_counter() - start))
    torch.cuda.synchronize()
    return round(statistics.median(taken), 2)


def summary(seconds: list[float]) -> dict[str, float]:
    """Median, and the distance between the quarters, in milliseconds."""
    found = {'median_ms': 1000 * statistics.median(seconds)}
    if len(seconds) > 1:
        low, _, high = statistics.quantiles(seconds, n=4)
        found['quartiles_ms'] = 1000 * (high - low)
    return {name: round(value, 2) for name, value in found.items()}


def count_flops(forward: Callable[[], torch.Tensor], backward: bool = True) -> int:
    """FLOPs of the products and the attention of a forward (and backward) pass."""
    # The fused kernel of the CPU is not counted, plain products are.
    with FlopCounterMode(display=False) as counter, _plain_products():
        loss = forward()
        if backward:
            loss.backward()
    return counter.get_total_flops()


def _plain_products() -> AbstractContextManager:
    """Attention without its fused kernels."""
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
    except ImportError:  # torch 2.1 and 2.2
        return torch.backends.cuda.sdp_kernel(
            enable_flash=False, enable_mem_efficient=False
        )
    return sdpa_kernel(SDPBackend.MATH)


def matrix_speed(device: str, dtype: torch.dtype | None) -> float:
    """FLOP/s of a matrix product, the ceiling that a share of is MFU.

    On the CPU of the size of the encoder's own, on a GPU a large one.
    """
    rows, inner, cols = (8192, 8192, 8192) if device == 'cuda' else (1576, 768, 3072)
    a = torch.randn(rows, inner, device=device, dtype=dtype or torch.float32)
    b = torch.randn(cols, inner, device=device, dtype=dtype or torch.float32)
    taken = time_in_turns({'': lambda: a @ b.t()}, device, rounds=20, warm_up=5)
    return 2 * rows * inner * cols / min(taken[''])
