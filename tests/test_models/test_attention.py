import math

import pytest
import torch
from mmpretrain.models.utils import MultiheadAttention

from cmae_mm.models.attention import attend, use_fast_attention


def by_hand(query, key, value):
    """Query by query, in float64."""
    out = torch.zeros_like(query, dtype=torch.float64)
    query, key, value = query.double(), key.double(), value.double()
    for index in torch.cartesian_prod(*map(torch.arange, query.shape[:3])).tolist():
        image, head, place = index
        scores = [
            float(query[image, head, place] @ other) / math.sqrt(query.shape[-1])
            for other in key[image, head]
        ]
        weights = torch.tensor(scores, dtype=torch.float64).softmax(0)
        out[image, head, place] = weights @ value[image, head]
    return out


@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize(
    ('dtype', 'scale', 'tolerance'),
    [
        (torch.float32, 3, 1e-6),  # large scores, and sharp attention
        (torch.bfloat16, 1, 1e-2),
    ],
)
def test_equals_attention_by_hand(dtype, scale, tolerance, autocast):
    tensors = [scale * torch.randn(2, 2, 5, 64).to(dtype) for _ in range(3)]
    if autocast and dtype == torch.float32:
        pytest.skip('autocast hands bfloat16 over')
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        out = attend(*tensors)
    assert out.dtype == dtype
    expected = by_hand(*tensors)
    assert (out.double() - expected).norm() / expected.norm() < tolerance


def test_gradients_in_half_precision_are_those_of_the_fused_kernel():
    tensors = [torch.randn(2, 2, 5, 8) for _ in range(3)]
    gradients = []
    for function in (attend, torch.nn.functional.scaled_dot_product_attention):
        halves = [t.bfloat16().requires_grad_() for t in tensors]
        loss = function(*halves).float().square().sum()
        gradients.append(torch.autograd.grad(loss, halves))
    for mine, other in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, other, rtol=5e-2, atol=5e-2)


def test_dropout_takes_weights_away_in_bfloat16():
    """With weights of 1/N, and what is left scaled, as torch's kernel does."""
    query = torch.zeros(1, 1, 4000, 4).bfloat16()
    value = torch.ones(1, 1, 4000, 4).bfloat16()
    torch.testing.assert_close(attend(query, query, value), value)
    out = attend(query, query, value, dropout_p=0.5).float()
    assert out.std() > 0
    assert abs(out.mean() - 1) < 0.01


def test_every_attention_of_a_model_is_reached(build, tiny_cfg):
    attentions = [
        m for m in build(tiny_cfg).modules() if isinstance(m, MultiheadAttention)
    ]
    assert len(attentions) == 2 + 2 + 1 + 1  # encoder, target, two decoders
    assert all(m.scaled_dot_product_attention is attend for m in attentions)
    lone = MultiheadAttention(embed_dims=8, num_heads=2)
    use_fast_attention(lone)
    assert lone.scaled_dot_product_attention is attend
