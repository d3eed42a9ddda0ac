"""What is compared in speed must first compute the same."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from benchmark_models import Contender

# Where the parts of the peers stand in our model.
PLACES = {
    'head.predictor.': 'contrastive_head.predictor.',
    'averaged.module.0.': 'target_backbone.',
    'averaged.module.1.': 'target_projector.',
}


class Trace(NamedTuple):
    """What a contender computes, in float64, each tensor under its place in ours.

    Attributes:
        losses (list[Tensor]): Both losses of one batch.
        gradients (dict[str, Tensor]): Of the same batch.
        weights (dict[str, Tensor]): After two optimiser steps, parameters and
            momentum copies.
    """

    losses: list[torch.Tensor]
    gradients: dict[str, torch.Tensor]
    weights: dict[str, torch.Tensor]


def trace(contender: Contender, views: list[torch.Tensor]) -> Trace:
    """Losses and gradients, then all weights after two optimiser steps.

    In float64, where different orders of summation cannot be mistaken for different
    mathematics, nor the other way round. The model is float32 again afterwards,
    the optimiser fresh; the weights have moved.

    Args:
        contender (Contender): Whom to follow.
        views (list[Tensor]): Two views, normalised; the first four images of them
            are used.
    """
    views = [view[:4].double() for view in views]
    contender.model.double()
    with contender.inside():
        losses, gradients = _backward(contender, views)
        for seed in (3, 4):
            torch.manual_seed(seed)
            contender.step(views)
        if contender.updates_inside:
            # At the start of the next step, where others do it at the end of this.
            contender.momentum()
    weights = _by_place(contender, lambda p: p)
    contender.model.float()
    contender.optimizer.zero_grad()
    contender.optimizer.state.clear()
    return Trace(losses, gradients, weights)


def check_parity(
    ours: Contender,
    peer: Contender,
    views: list[torch.Tensor],
    tolerance: float = 1e-6,
) -> dict[str, float]:
    """Compare what :func:`trace` finds for two contenders with our weights.

    Args:
        ours (Contender): This project; has its weights again in the end.
        peer (Contender): Gets our weights first.
        views (list[Tensor]): Two views, normalised.
        tolerance (float): See :func:`compare_traces`. Defaults to 1e-6.

    Returns:
        dict[str, float]: See :func:`compare_traces`.
    """
    start = copy.deepcopy(ours.model.state_dict())
    expected = trace(ours, views)
    ours.model.load_state_dict(start)
    peer.load(ours.model)
    return compare_traces(expected, trace(peer, views), peer.name, tolerance)


def compare_traces(
    ours: Trace, theirs: Trace, name: str, tolerance: float = 1e-6
) -> dict[str, float]:
    """Stop unless two contenders have computed the same.

    Args:
        ours (Trace): This project.
        theirs (Trace): The other.
        name (str): Who that is.
        tolerance (float): For each difference. Defaults to 1e-6.

    Returns:
        dict[str, float]: The largest relative difference (of the norms) among the
        ``losses``, the ``gradients`` and the ``weights``.

    Raises:
        SystemExit: If one is above the tolerance.
    """
    found = {
        'losses': max(map(_difference, ours.losses, theirs.losses)),
        'gradients': _largest(ours.gradients, theirs.gradients),
        'weights': _largest(ours.weights, theirs.weights),
    }
    if max(found.values()) > tolerance:
        raise SystemExit(
            f'{name} does not compute the same, so its time means nothing: {found}'
        )
    return found


def compare_losses(
    ours: Contender, peer: Contender, views: list[torch.Tensor]
) -> dict[str, float]:
    """Relative differences of losses and of all gradients together, as timed.

    In the dtypes that are timed, which may be two; so this is a number to read, not
    a gate: what float64 could not tell apart differs here by rounding only.
    """
    if peer.load:
        peer.load(ours.model)
    losses, gradients = [], []
    for contender in (ours, peer):
        contender.optimizer.zero_grad()
        torch.manual_seed(2)
        with contender.inside():
            loss = contender.forward(views, follow=False)
            loss.backward()
        losses.append(loss.detach().float())
        gradients.append(_by_place(contender, lambda p: p.grad))
    names = sorted(gradients[0].keys() & gradients[1])
    flat = [torch.cat([g[name].flatten() for name in names]) for g in gradients]
    return {'loss': _difference(*losses), 'gradient': _difference(*flat)}


def _backward(
    contender: Contender, views: list[torch.Tensor]
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """Both losses and all gradients of one batch."""
    contender.optimizer.zero_grad()
    torch.manual_seed(2)
    losses = contender.losses(views)
    sum(losses).backward()
    return [loss.detach() for loss in losses], _by_place(contender, lambda p: p.grad)


def _by_place(
    contender: Contender, take: Callable[[torch.Tensor], torch.Tensor | None]
) -> dict[str, torch.Tensor]:
    """A tensor of each parameter, under our name for its place."""
    found = {}
    for name, param in contender.model.named_parameters():
        for theirs, place in PLACES.items():
            if name.startswith(theirs):
                name = place + name[len(theirs) :]
        tensor = take(param)
        if tensor is not None:
            found[name] = tensor.detach().clone()
    return found


LEFT_OUT = ('target_backbone.ln1.weight', 'target_backbone.ln1.bias')


def _largest(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """Over all places; only the final norm of a target may be missing in one."""
    alone = {name for name in ours.keys() ^ theirs if not name.endswith(LEFT_OUT)}
    if alone:
        raise SystemExit(f'Only one of the models has {sorted(alone)[:5]}.')
    # Some gradients are zero but for rounding, of which AdamW makes steps: the bias of
    # a key moves all scores of a query alike, a bias in front of BatchNorm is
    # subtracted again. Small tensors are therefore measured by larger ones.
    least = 1e-3 * max(tensor.norm().item() for tensor in theirs.values())
    return max(
        _difference(ours[name], theirs[name], least) for name in ours.keys() & theirs
    )


def _difference(a: torch.Tensor, b: torch.Tensor, least: float = 1e-12) -> float:
    return ((a - b).norm() / b.norm().clamp_min(least)).item()
