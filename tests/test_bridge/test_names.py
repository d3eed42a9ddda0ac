import pytest
import torch

from cmae_mm.bridge.errors import ConversionError
from cmae_mm.bridge.names import (
    HF_VITMAE,
    MAE,
    fuse_qkv,
    inverse,
    leave_out,
    rename,
    split_qkv,
)


def test_the_way_there_and_back_is_none(mae_weights):
    ours, unknown = rename(mae_weights, MAE)
    back, rest = rename(ours, inverse(MAE))
    assert not unknown and not rest
    assert back == mae_weights  # the very same tensors


def test_what_no_table_knows_keeps_its_name():
    one = torch.ones(1)
    weights = {
        'blocks.11.mlp.fc2.bias': one,
        'blocks.x.mlp.fc2.bias': one,
        'norm.weight': one,
        'norm.gamma': one,
        'a.norm.weight': one,
    }
    ours, unknown = rename(weights, MAE)
    assert set(ours) == {
        'backbone.layers.11.ffn.layers.1.bias',
        'backbone.ln1.weight',
    }
    assert set(unknown) == {'blocks.x.mlp.fc2.bias', 'norm.gamma', 'a.norm.weight'}


def test_no_two_names_become_the_same():
    for table in (MAE, HF_VITMAE):
        assert len(inverse(table)) == len(table)


def test_query_key_and_value_stand_in_this_order():
    parts = {
        f'a.{name}.weight': torch.randn(4, 4) for name in ('value', 'query', 'key')
    }
    fused = fuse_qkv({**parts, 'other.weight': torch.ones(1)})
    assert set(fused) == {'a.qkv.weight', 'other.weight'}
    hidden = torch.randn(4)
    query, key, value = (fused['a.qkv.weight'] @ hidden).split(4)
    torch.testing.assert_close(query, parts['a.query.weight'] @ hidden)
    torch.testing.assert_close(value, parts['a.value.weight'] @ hidden)
    back = split_qkv(fused)
    assert all(torch.equal(back[name], parts[name]) for name in parts)
    for shape in [(4,), (4, 5), (0, 4), ()]:
        with pytest.raises(ConversionError, match=r'a\.key\.weight'):
            fuse_qkv({**parts, 'a.key.weight': torch.ones(shape)})
    del parts['a.key.weight']
    with pytest.raises(ConversionError, match=r'a\.key\.weight is missing'):
        fuse_qkv(parts)


def test_a_head_may_be_left_out_and_layer_scale_may_not():
    unknown = {'head.weight': torch.ones(1), 'blocks.0.ls1.gamma': torch.ones(1)}
    with pytest.raises(ConversionError, match=r'1 of the .*blocks\.0\.ls1\.gamma'):
        leave_out(unknown, ('head.',), 'this format')
    del unknown['blocks.0.ls1.gamma']
    assert leave_out(unknown, ('head.',), 'this format') == ['head.weight']
