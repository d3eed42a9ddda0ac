"""Figures of one batch: losses, similarities, and who pulls at the encoder."""

import torch

from cmae_mm.guards.collapse import similarities
from cmae_mm.models import CMAE
from cmae_mm.models.contrastive_head import own_keys
from cmae_mm.models.masking import Masking

from .quiet import batch_statistics


@torch.enable_grad()
def learning_figures(
    model: CMAE, view: torch.Tensor, shifted: torch.Tensor | None, masking: Masking
) -> dict[str, float]:
    """What a training step on this batch would log, and more, without the step.

    BatchNorm takes the statistics of the batch, as in training. No ``.grad``, no
    weight and no buffer changes, and nothing is sent to other ranks.

    Args:
        model (CMAE): In evaluation mode, not sharded.
        view (Tensor): (B, channels, H, W), normalised, float.
        shifted (Tensor, optional): The target's view of the same images; not needed if
            the contrastive weight is 0.
        masking (Masking): What of the view is seen.

    Returns:
        dict[str, float]: The losses and ``acc_contrastive`` of :meth:`CMAE.loss`;
        ``similarity_positive`` and ``similarity_hardest`` of
        :func:`cmae_mm.guards.collapse.similarities`; what :func:`gradient_figures`
        gives.
    """
    caught = []
    with batch_statistics(model):
        keys = None
        if model.contrastive_weight:
            with torch.no_grad():
                seen = None if model.target_sees_all else masking
                keys = own_keys(model.project_target(shifted, seen))
            handle = model.contrastive_head.predictor.register_forward_hook(
                lambda module, args, out: caught.append(out[0].detach())
            )
        try:
            losses = model.online_losses(view, masking, keys)
        finally:
            if keys is not None:
                handle.remove()
        logs = {name: float(value.detach()) for name, value in losses.items()}
        losses = {k: v for k, v in losses.items() if k.startswith('loss_')}
        parameters = [p for p in model.backbone.parameters() if p.requires_grad]
        logs |= gradient_figures(losses, parameters)
    if caught:
        found = similarities(caught[0].float().cpu(), keys.bank.float().cpu())
        logs.pop('similarity', None)  # BYOL's own name of the first
        logs |= {k: found[k] for k in ('similarity_positive', 'similarity_hardest')}
    return logs


def gradient_figures(
    losses: dict[str, torch.Tensor], parameters: list[torch.Tensor]
) -> dict[str, float]:
    """How strongly each loss pulls at shared parameters, and whether they agree.

    Args:
        losses (dict[str, Tensor]): ``loss_<name>``, weighted as in training.
        parameters (list[Tensor]): Of the encoder; some may be unknown to a loss.

    Returns:
        dict[str, float]: ``gradient_share_<name>``, the norm of each loss's gradient
        divided by the sum of these norms, in [0, 1]; with two losses also
        ``gradient_cosine`` between them, in [-1, 1]. Empty with one loss, or if
        nothing has a gradient.
    """
    if len(losses) < 2 or not parameters:
        return {}
    gradients = []
    for loss in losses.values():
        parts = torch.autograd.grad(
            loss, parameters, retain_graph=True, allow_unused=True
        )
        gradients.append(
            torch.cat(
                [
                    torch.zeros_like(p).flatten() if g is None else g.flatten()
                    for g, p in zip(parts, parameters, strict=True)
                ]
            ).float()
        )
    norms = torch.stack([gradient.norm() for gradient in gradients])
    total = float(norms.sum())
    if not total > 0:
        return {}
    figures = {
        name.replace('loss_', 'gradient_share_', 1): float(norm) / total
        for name, norm in zip(losses, norms, strict=True)
    }
    if len(gradients) == 2:
        cosine = torch.nn.functional.cosine_similarity(*gradients, dim=0)
        figures['gradient_cosine'] = float(cosine)
    return figures
