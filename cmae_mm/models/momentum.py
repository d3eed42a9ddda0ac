"""The exponential moving average that the target branch is."""

import math

import torch
from torch import nn


@torch.no_grad()
def copy_parameters(target: nn.Module, online: nn.Module) -> None:
    """Set every parameter of ``target`` to its namesake in ``online``.

    Args:
        target (nn.Module): Its parameter names must be a subset of online's.
        online (nn.Module): The network to copy from; may have more parameters
            (the final LayerNorm in the released recipe).
    """
    for mine, theirs in _pairs(target, online):
        mine.copy_(theirs)


@torch.no_grad()
def update_parameters(target: nn.Module, online: nn.Module, decay: float) -> None:
    r"""Let ``target`` follow ``online``, in place.

    .. math:: \theta_t \leftarrow \mu\,\theta_t + (1 - \mu)\,\theta_s

    Parameters only: the running statistics of BatchNorm in the target come from
    the target's own batches, as in the released recipe.

    Both may be sharded (FSDP): then each process updates its slices, and nothing is
    sent.

    Args:
        target (nn.Module): Its parameter names must be a subset of online's.
        online (nn.Module): The network that is being optimised.
        decay (float): mu, in [0, 1]. Paper, section 4: 0.996, constant.

    Raises:
        RuntimeError: If this process has different slices of the two.
    """
    pairs = _pairs(target, online)
    if any(mine.shape != theirs.shape for mine, theirs in pairs):
        raise RuntimeError(
            'The target and the online branch are sharded at different places, so '
            'that one cannot follow the other without communication. Take '
            "model_wrapper=dict(type='cmae_mm.ShardedCMAE')."
        )
    mine, theirs = zip(*pairs, strict=True)
    torch._foreach_lerp_(list(mine), list(theirs), 1 - decay)


def cosine_decay(start: float, end: float, progress: float) -> float:
    """A decay that rises (or falls) from ``start`` to ``end`` along a half cosine.

    Source: BYOL and MoCo v3; the paper's decay is constant.

    Args:
        start (float): mu at the first step, in [0, 1].
        end (float): mu at the last step, in [0, 1].
        progress (float): Share of the training that is done, in [0, 1].
    """
    return end - (end - start) * (math.cos(math.pi * progress) + 1) / 2


def _pairs(
    target: nn.Module, online: nn.Module
) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """Parameters of both networks, matched by name."""
    named = dict(online.named_parameters())
    return [(param, named[name]) for name, param in target.named_parameters()]
