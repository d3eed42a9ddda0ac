"""Linear accuracy: what a straight line can read from frozen features."""

import torch
import torch.nn.functional as F


def fit_linear(
    features: torch.Tensor, labels: torch.Tensor, penalty: float = 1e-3
) -> tuple[torch.Tensor, torch.Tensor]:
    """Multinomial logistic regression, to convergence.

    Minimises the mean cross-entropy plus ``penalty / 2`` times the squared weights
    with L-BFGS; convex, so that no learning rate has to be found and no seed
    matters.

    Args:
        features (Tensor): (N, D), float.
        labels (Tensor): (N,), int64, 0 or more.
        penalty (float): Strength of the penalty, 0 or more. Defaults to 1e-3.

    Returns:
        tuple[Tensor, Tensor]: Weights (classes, D) and biases (classes,).
    """
    num_classes = int(labels.max()) + 1
    weight = features.new_zeros(num_classes, features.shape[1], requires_grad=True)
    bias = features.new_zeros(num_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=500, tolerance_grad=1e-5, line_search_fn='strong_wolfe'
    )

    @torch.enable_grad()
    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(F.linear(features, weight, bias), labels)
        loss = loss + penalty / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight.detach(), bias.detach()


def linear_accuracy(
    bank: torch.Tensor,
    bank_labels: torch.Tensor,
    queries: torch.Tensor,
    labels: torch.Tensor,
    penalty: float = 1e-3,
) -> float:
    """Fit a linear classifier on the bank, and try it on the queries.

    Features are standardised by mean and deviation of the bank, as BatchNorm does
    in MAE's linear probe.

    Args:
        bank (Tensor): Features of the labelled training images, (N, D).
        bank_labels (Tensor): Their classes, (N,), int64, 0 or more.
        queries (Tensor): Features of the test images, (M, D).
        labels (Tensor): Their classes, (M,), int64.
        penalty (float): See :func:`fit_linear`. Defaults to 1e-3.

    Returns:
        float: Share of the queries classified right, in [0, 1].
    """
    deviation, mean = torch.std_mean(bank.float(), dim=0)
    scale = deviation.clamp_min(1e-6)
    weight, bias = fit_linear((bank.float() - mean) / scale, bank_labels, penalty)
    guesses = F.linear((queries.float() - mean) / scale, weight, bias).argmax(dim=1)
    return (guesses == labels).float().mean().item()
