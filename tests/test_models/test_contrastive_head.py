import math

import pytest
import torch

from cmae_mm.models import ContrastiveHead, PositivePairHead

PREDICTOR = dict(
    type='NonLinearNeck',
    in_channels=6,
    hid_channels=8,
    out_channels=6,
    with_last_bn=False,
    with_avg_pool=False,
    norm_cfg=dict(type='LN'),
)


def infonce_in_plain_python(prediction, key, temperature):
    """A second opinion: loops and math, no torch reductions."""
    total = 0.0
    for i, query in enumerate(prediction.tolist()):
        scores = []
        for other in key.tolist():
            dot = sum(a * b for a, b in zip(query, other, strict=True))
            norms = math.hypot(*query) * math.hypot(*other)
            scores.append(math.exp(dot / norms / temperature))
        total -= math.log(scores[i] / sum(scores))
    return total / len(prediction)


def test_equals_infonce_by_hand():
    head = ContrastiveHead(PREDICTOR, temperature=0.2).double()
    query, key = torch.randn(5, 6).double(), torch.randn(5, 6).double()
    loss, logs = head.loss(query, head.collect(key))
    prediction = head.predictor((query,))[0]
    assert loss.item() == pytest.approx(
        infonce_in_plain_python(prediction, key, 0.2), rel=1e-6
    )
    assert 0 <= logs['acc_contrastive'].item() <= 1


def test_chance_level_and_perfect_match():
    head = ContrastiveHead(PREDICTOR)
    head.predictor = torch.nn.Identity()
    same = torch.ones(8, 6)
    loss, _ = head.loss(same, head.collect(same))
    assert loss.item() == pytest.approx(math.log(8), rel=1e-5)
    distinct = torch.eye(6)
    loss, logs = head.loss(distinct, head.collect(distinct))
    assert loss.item() < 1e-4
    assert logs['acc_contrastive'].item() == 1


def test_no_gradient_to_the_keys_even_if_they_could_take_one():
    head = ContrastiveHead(PREDICTOR)
    query = torch.randn(4, 6, requires_grad=True)
    key = torch.randn(4, 6, requires_grad=True)
    head.loss(query, head.collect(key))[0].backward()
    assert query.grad.abs().sum() > 0
    assert key.grad is None


def test_logits_stay_float32_under_autocast():
    head = ContrastiveHead(PREDICTOR)
    query, key = torch.randn(4, 6), torch.randn(4, 6)
    head.predictor = torch.nn.Identity()
    expected, _ = head.loss(query, head.collect(key))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss, _ = head.loss(query, head.collect(key))
    # Of bfloat16 products it would differ in the third digit.
    assert torch.equal(loss, expected)


def test_positive_pair_loss_by_hand():
    """BYOL's: the squared distance of the normalised vectors."""
    head = PositivePairHead(PREDICTOR).double()
    query, key = torch.randn(5, 6).double(), torch.randn(5, 6).double()
    loss, logs = head.loss(query, head.collect(key.requires_grad_()))
    prediction = head.predictor((query,))[0]
    total = 0.0
    for p, k in zip(prediction.tolist(), key.tolist(), strict=True):
        p_norm, k_norm = math.hypot(*p), math.hypot(*k)
        total += sum((a / p_norm - b / k_norm) ** 2 for a, b in zip(p, k, strict=True))
    assert loss.item() == pytest.approx(total / 5, rel=1e-6)
    assert logs['similarity'].item() == pytest.approx(1 - total / 10, rel=1e-6)
    loss.backward()
    assert key.grad is None


def test_a_part_of_the_queries_finds_its_keys():
    """Two halves against the whole bank give the mean of the whole."""
    head = ContrastiveHead(PREDICTOR)
    query, keys = torch.randn(6, 6), head.collect(torch.randn(6, 6))
    whole, _ = head.loss(query, keys)
    halves = [head.loss(query[i : i + 3], keys.part(i))[0] for i in (0, 3)]
    torch.testing.assert_close(sum(halves) / 2, whole)


def test_bad_temperature_explains_itself():
    with pytest.raises(ValueError, match='temperature=0'):
        ContrastiveHead(PREDICTOR, temperature=0)
