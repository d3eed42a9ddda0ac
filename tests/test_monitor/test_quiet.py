import random

import numpy as np
import pytest
import torch
from torch import nn

from cmae_mm.monitor.quiet import batch_statistics, without_a_trace


def draw():
    return random.random(), np.random.rand(), float(torch.rand(1))


def test_random_numbers_and_modes_are_put_back():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())
    model[1].eval()  # frozen by somebody: not all modules are in the same mode
    for forget in (random.seed, np.random.seed, torch.manual_seed):
        forget(5)
    with without_a_trace(model, seed=1):
        inside = float(torch.rand(1))
        draw()
        assert not model[0].training
    after = draw()
    assert [module.training for module in model.modules()] == [True, True, False]
    for forget in (random.seed, np.random.seed, torch.manual_seed):
        forget(5)
    assert draw() == after
    with without_a_trace(model, seed=1):
        assert float(torch.rand(1)) == inside


def test_they_are_put_back_after_a_failure():
    model = nn.BatchNorm1d(2)
    torch.manual_seed(5)
    with pytest.raises(KeyError), without_a_trace(model, seed=1):
        torch.rand(3)
        with batch_statistics(model):
            raise KeyError
    found = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), found)
    assert model.training and model.running_mean is not None


def test_batch_norm_sees_the_batch_and_keeps_nothing():
    norm, plain = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    batch = 2 * torch.randn(8, 3) + 5
    norm.eval()
    with batch_statistics(norm):
        found = norm(batch)
    torch.testing.assert_close(found, plain.train()(batch))
    assert norm.running_mean.tolist() == [0, 0, 0]
    assert norm.num_batches_tracked == 0
    assert not torch.allclose(norm(batch), found)
