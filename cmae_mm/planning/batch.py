"""How many images of a batch the memory holds."""

from collections.abc import Callable
from pathlib import Path

import torch

# Linux: memory that a container may use, and what it uses. Version 2 of cgroups.
_LIMIT = Path('/sys/fs/cgroup/memory.max')
_USED = Path('/sys/fs/cgroup/memory.current')


def fitting_batch(
    cost: Callable[[int], int],
    free_bytes: int,
    most: int,
    share: float = 0.8,
    small: tuple[int, int] = (2, 8),
) -> int:
    """Find a batch that the free memory holds, from the cost of two small ones.

    What a step needs is a part that stays (weights, gradients, state of the optimiser)
    and a part per image. Two measurements give both; nothing large is ever tried.

    Args:
        cost (Callable[[int], int]): Measures the bytes that a step with so many
            images takes.
        free_bytes (int): Memory that is free before the first step.
        most (int): Largest batch that is wanted, 2 or more.
        share (float): Share of the free memory that may be used, in (0, 1]. Defaults
            to 0.8: what a step needs differs a little from step to step.
        small (tuple[int, int]): Images of the two measurements. Defaults to (2, 8).

    Returns:
        int: From 2, the fewest that InfoNCE can compare, to ``most``.

    Raises:
        RuntimeError: If not even 2 images fit.
    """
    few, more = small
    with_few, with_more = cost(few), cost(more)
    per_image = (with_more - with_few) / (more - few)
    allowed = share * free_bytes
    at_two = with_few + (2 - few) * per_image
    if at_two > allowed:
        raise RuntimeError(
            f'A step with 2 images needs {at_two / 2**30:.2f} GiB, and '
            f'{allowed / 2**30:.2f} may be used ({100 * share:.0f} % of what is '
            'free). Take a smaller network, or free what others hold.'
        )
    if per_image <= 0:  # so little that the measurement does not show it
        return most
    return min(most, 2 + int((allowed - at_two) / per_image))


def free_memory(device: str) -> int | None:
    """Memory that a training may take.

    Args:
        device (str): 'cuda', or anything else for the memory of the machine.

    Returns:
        int | None: Bytes; on Linux within the limit of the container. None where the
        system does not tell.
    """
    if device == 'cuda':
        return torch.cuda.mem_get_info()[0]
    try:
        lines = Path('/proc/meminfo').read_text().splitlines()
    except OSError:
        return None
    found = dict(line.split(':', 1) for line in lines)
    free = int(found['MemAvailable'].split()[0]) * 1024
    try:
        return min(free, int(_LIMIT.read_text()) - int(_USED.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit
        return free
