"""Weights that belong to a model, and others."""

import pytest
import torch
from torch import nn

from cmae_mm.engine.weights import compare_weights


def model():
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


def test_its_own_weights_fit():
    compare_weights(model(), model().state_dict())


def test_the_names_of_a_wrapped_model_fit():
    weights = {f'module.{name}': value for name, value in model().state_dict().items()}
    compare_weights(model(), weights)


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda w: w.pop('1.bias'), r'1 missing, for example 1\.bias'),
        (lambda w: w.update(extra=torch.zeros(1)), '1 unknown to the model.*extra'),
        (
            lambda w: w.update({'0.weight': torch.zeros(4, 2)}),
            r'0\.weight \(4, 2\) instead of \(3, 2\)',
        ),
    ],
)
def test_others_are_refused_with_their_names(change, words):
    weights = dict(model().state_dict())
    change(weights)
    with pytest.raises(RuntimeError, match=words):
        compare_weights(model(), weights)
