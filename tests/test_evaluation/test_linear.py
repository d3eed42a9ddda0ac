import torch

from cmae_mm.evaluation.linear import fit_linear, linear_accuracy


def clouds(count, spread):
    """Three classes around the corners of a triangle."""
    labels = torch.arange(count) % 3
    corners = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    return corners[labels] + spread * torch.randn(count, 2), labels


def test_fit_is_the_optimum():
    """The gradient, written down by hand, is zero there."""
    features, labels = clouds(60, spread=1.5)
    weight, bias = fit_linear(features, labels, penalty=0.01)
    scores = (features @ weight.t() + bias).exp()
    share = scores / scores.sum(1, keepdim=True)
    error = share - torch.eye(3)[labels]  # (N, classes)
    gradient = error.t() @ features / 60 + 0.01 * weight
    assert gradient.abs().max() < 1e-4
    assert error.mean(0).abs().max() < 1e-4


def test_separable_classes_are_separated_and_mixed_ones_are_not():
    train, test = clouds(90, spread=0.1), clouds(30, spread=0.1)
    assert linear_accuracy(*train, *test) == 1.0
    noise = torch.randn(300, 2), torch.arange(300) % 3
    assert linear_accuracy(*noise, torch.randn(300, 2), torch.arange(300) % 3) < 0.6


def test_scale_of_the_features_does_not_matter():
    train, test = clouds(60, spread=2.0), clouds(60, spread=2.0)
    accuracy = linear_accuracy(*train, *test)
    stretch = torch.tensor([1e3, 1e-2])
    again = linear_accuracy(
        train[0] * stretch + 7, train[1], test[0] * stretch + 7, test[1]
    )
    assert abs(accuracy - again) < 0.02
