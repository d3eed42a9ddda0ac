"""What is compared in speed must first compute the same."""

from collections.abc import Callable

import torch
from benchmark_models import Contender

# Where the parts of the peers stand in our model.
PLACES = {
    'head.predictor.': 'contrastive_head.predictor.',
    'averaged.module.0.': 'target_backbone.',
    'averaged.module.1.': 'target_projector.',
}


def check_parity(
    ours: Contender,
    peer: Contender,
    views: list[torch.Tensor],
    tolerance: float = 1e-6,
) -> dict[str, float]:
    """Compare losses and gradients, then all weights after two optimiser steps.

    In float64, where different orders of summation cannot be mistaken for different
    mathematics, nor the other way round. The models are float32 again afterwards,
    the optimisers fresh.

    Args:
        ours (Contender): This project.
        peer (Contender): Gets our weights first.
        views (list[Tensor]): Two views, normalised; the first four images of them
            are used.
        tolerance (float): For each difference. Defaults to 1e-6.

    Returns:
        dict[str, float]: The largest relative difference (of the norms) among the
        ``losses``, the ``gradients`` and the ``weights`` (parameters and momentum
        copies).

    Raises:
        SystemExit: If one is above the tolerance.
    """
    peer.load(ours.model)
    views = [view[:4].double() for view in views]
    for contender in (ours, peer):
        contender.model.double()
    (our_losses, our_grads), (losses, grads) = (
        _backward(contender, views) for contender in (ours, peer)
    )
    found = {
        'losses': max(map(_difference, our_losses, losses)),
        'gradients': _largest(our_grads, grads),
    }
    for contender in (ours, peer):
        for seed in (3, 4):
            torch.manual_seed(seed)
            contender.step(views)
    # Ours follows at the start of the next step, theirs at the end of this one.
    ours.momentum()
    found['weights'] = _largest(
        *(_by_place(contender, lambda p: p) for contender in (ours, peer))
    )
    for contender in (ours, peer):
        contender.model.float()
        contender.optimizer.state.clear()
    if max(found.values()) > tolerance:
        raise SystemExit(
            f'{peer.name} does not compute the same, so its time means nothing: {found}'
        )
    return found


def compare_losses(
    ours: Contender, peer: Contender, views: list[torch.Tensor]
) -> dict[str, float]:
    """Relative differences of losses and of all gradients together, as timed.

    In the dtypes that are timed, which may be two; so this is a number to read, not
    a gate: what float64 could not tell apart differs here by rounding only.
    """
    peer.load(ours.model)
    losses, gradients = [], []
    for contender in (ours, peer):
        contender.optimizer.zero_grad()
        torch.manual_seed(2)
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
