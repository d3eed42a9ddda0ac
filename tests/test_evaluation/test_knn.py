import math

import pytest
import torch

from cmae_mm.evaluation import KNNAccuracy, knn_accuracy


def by_hand(bank, bank_labels, queries, labels, k, temperature):
    """The same vote with plain Python lists."""
    right = 0
    for query, truth in zip(queries.tolist(), labels.tolist(), strict=True):
        scored = []
        for other, label in zip(bank.tolist(), bank_labels.tolist(), strict=True):
            dot = sum(a * b for a, b in zip(query, other, strict=True))
            scored.append((dot / math.hypot(*query) / math.hypot(*other), label))
        votes = {}
        for cosine, label in sorted(scored, reverse=True)[:k]:
            votes[label] = votes.get(label, 0) + math.exp(cosine / temperature)
        right += max(votes, key=votes.get) == truth
    return right / len(queries)


@pytest.mark.parametrize('k', [1, 5, 100])
def test_equals_the_vote_by_hand(k):
    bank, queries = torch.randn(40, 5), torch.randn(30, 5)
    bank_labels, labels = torch.randint(4, (40,)), torch.randint(4, (30,))
    ours = knn_accuracy(bank, bank_labels, queries, labels, k=k, temperature=0.2)
    expected = by_hand(bank, bank_labels, queries, labels, k, 0.2)
    assert ours == pytest.approx(expected)


def test_separated_classes_are_found():
    centres = torch.eye(3) * 5
    labels = torch.arange(3).repeat(10)
    bank = centres[labels] + 0.1 * torch.randn(30, 3)
    assert knn_accuracy(bank, labels, centres, torch.arange(3), k=5) == 1


def test_the_metric_needs_labels_and_a_bank():
    metric = KNNAccuracy()
    with pytest.raises(ValueError, match='one sub-folder per class'):
        metric.process({}, [dict(feature=torch.ones(2))])
    metric.process({}, [dict(feature=torch.ones(2), gt_label=torch.tensor([1]))])
    with pytest.raises(RuntimeError, match='KNNTestLoop'):
        metric.compute_metrics(metric.results)
    metric.bank = (torch.ones(1, 2), torch.tensor([1]))
    assert metric.compute_metrics(metric.results) == {'top1': 100.0}
