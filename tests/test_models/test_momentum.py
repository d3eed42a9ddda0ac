import pytest
import torch
from torch import nn

from cmae_mm.models.momentum import (
    copy_parameters,
    cosine_decay,
    update_parameters,
)


def pair():
    target = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    online = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    return target, online


def test_update_is_the_equation_and_in_place():
    target, online = pair()
    before = {n: p.clone() for n, p in target.named_parameters()}
    places = [p.data_ptr() for p in target.parameters()]
    update_parameters(target, online, decay=0.75)
    named = dict(online.named_parameters())
    for name, param in target.named_parameters():
        expected = 0.75 * before[name] + 0.25 * named[name]
        torch.testing.assert_close(param, expected)
    assert [p.data_ptr() for p in target.parameters()] == places


def test_buffers_are_left_alone():
    target, online = pair()
    online[1].running_mean.fill_(7)
    update_parameters(target, online, decay=0.5)
    assert (target[1].running_mean == 0).all()


def test_matches_by_name_not_by_position():
    class Net(nn.Module):
        def __init__(self, order):
            super().__init__()
            for name in order:
                self.register_parameter(name, nn.Parameter(torch.randn(2)))

    target, online = Net('ab'), Net('bca')
    copy_parameters(target, online)
    assert torch.equal(target.a, online.a)
    assert torch.equal(target.b, online.b)


def test_unknown_parameter_is_an_error():
    target, online = pair()
    with pytest.raises(KeyError):
        update_parameters(online, target, decay=0.5)


def test_other_slices_of_a_sharded_model_are_refused():
    """Also where they would broadcast: an empty slice beside one of one number."""
    target, online = pair()
    target[0].bias, online[0].bias = (nn.Parameter(torch.ones(n)) for n in (0, 1))
    with pytest.raises(RuntimeError, match='cmae_mm.ShardedCMAE'):
        update_parameters(target, online, decay=0.5)


def test_cosine_decay_reaches_both_ends_and_rises_between():
    values = [cosine_decay(0.9, 1.0, step / 10) for step in range(11)]
    assert values[0] == pytest.approx(0.9)
    assert values[5] == pytest.approx(0.95)
    assert values[10] == pytest.approx(1.0)
    assert values == sorted(values)
