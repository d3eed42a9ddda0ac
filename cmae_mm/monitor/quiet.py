"""Looking at a model without leaving a trace."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cmae_mm.engine.random_state import random_state, set_random_state


@contextmanager
def without_a_trace(model: nn.Module, seed: int) -> Iterator[None]:
    """Evaluation mode and random numbers of its own; afterwards all is as before.

    Compiled blocks run uncompiled inside (torch 2.6 or later), so that a batch of
    another size does not make the compiler start again.

    Args:
        model (nn.Module): Any model, in any mode.
        seed (int): Of all generators, inside.
    """
    state = random_state()
    modes = {module: module.training for module in model.modules()}
    set_stance = getattr(torch.compiler, 'set_stance', None)
    model.eval()
    torch.manual_seed(seed)
    try:
        with set_stance('force_eager') if set_stance else nullcontext():
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        set_random_state(state)


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """BatchNorm takes the statistics of the batch, as in training, and keeps none.

    Nothing is sent to other ranks, since the modules stay in evaluation mode.

    Args:
        model (nn.Module): In evaluation mode.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm.running_mean, norm.running_var) for norm in norms]
    try:
        for norm in norms:
            norm.running_mean = norm.running_var = None
        yield
    finally:
        for norm, (mean, variance) in zip(norms, kept, strict=True):
            norm.running_mean, norm.running_var = mean, variance
