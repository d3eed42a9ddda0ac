"""IoU of each class, against mmsegmentation and by hand."""

import pytest
import torch

from cmae_mm.evaluation import ClassIoU


def measure(metric, pairs, classes):
    metric.dataset_meta = dict(classes=classes)
    samples = [
        dict(pred_sem_seg=dict(data=found[None]), gt_sem_seg=dict(data=truth[None]))
        for found, truth in pairs
    ]
    metric.process({}, samples)
    return metric.evaluate(len(pairs))


def test_by_hand():
    truth = torch.tensor([[0, 0, 1, 255]])
    found = torch.tensor([[0, 1, 1, 1]])
    metrics = measure(ClassIoU(), [(found, truth)], ('road', 'car', 'sky'))
    assert metrics == {'IoU/road': 50.0, 'IoU/car': 50.0}, 'no sky anywhere'


def test_its_mean_is_that_of_mmsegmentation():
    pytest.importorskip('mmseg')
    from mmseg.evaluation import IoUMetric

    pairs = [
        (torch.randint(0, 4, (9, 7)), torch.randint(0, 4, (9, 7))) for _ in range(3)
    ]
    pairs[0][1][2:4] = 255
    names = ('a', 'b', 'c', 'd')
    ours = measure(ClassIoU(), pairs, names)
    theirs = measure(IoUMetric(), pairs, names)
    assert sum(ours.values()) / 4 == pytest.approx(theirs['mIoU'], abs=0.006)
