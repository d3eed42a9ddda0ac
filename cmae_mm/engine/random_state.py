"""The random generators of a process: kept, given back, and left alone."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dist import all_gather_object


def random_state(cuda: bool = True) -> dict[str, torch.Tensor]:
    """State of all generators of this process.

    Args:
        cuda (bool): Whether to read those of the current GPU, too, which waits for
            it. Defaults to True.

    Returns:
        dict[str, torch.Tensor]: ``python``, ``numpy`` (int64), ``torch`` and, with a
        GPU, ``cuda`` (uint8). A normal deviate that Python or NumPy hold back for the
        next call is kept with its bits.
    """
    version, words, spare = random.getstate()
    _, key, position, has_spare, numpy_spare = np.random.get_state()
    state = {
        'python': _int64([version, *words, spare is not None, *_bits(spare or 0.0)]),
        'numpy': _int64([*key.tolist(), position, has_spare, *_bits(numpy_spare)]),
        'torch': torch.get_rng_state(),
    }
    if cuda and torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, torch.Tensor]) -> None:
    """Give all generators the state that :func:`random_state` has read.

    Args:
        state (dict[str, torch.Tensor]): A state for a GPU is left out where there is
            none.

    Raises:
        KeyError: If a generator is missing.
    """
    version, *words, has_spare, bits = state['python'].tolist()
    random.setstate((version, tuple(words), _float(bits) if has_spare else None))
    *key, position, has_spare, bits = state['numpy'].tolist()
    key = np.array(key, dtype=np.uint32)
    np.random.set_state(('MT19937', key, position, has_spare, _float(bits)))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


def gather_random_states() -> list[dict[str, torch.Tensor]]:
    """State of every rank, in the order of the ranks; to be called on all of them."""
    return all_gather_object(random_state())


@contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever is drawn inside, the CPU's generators go on as if it had not been."""
    state = random_state(cuda=False)
    try:
        yield
    finally:
        set_random_state(state)


def _int64(values: list) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


def _bits(value: float) -> list[int]:
    return np.array([value], dtype=np.float64).view(np.int64).tolist()


def _float(bits: int) -> float:
    return float(np.array([bits], dtype=np.int64).view(np.float64)[0])
