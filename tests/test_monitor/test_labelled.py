"""The small k-NN and linear accuracies against those of the whole tools."""

import pytest
import torch
from mmengine.dataset import default_collate
from mmpretrain.structures import DataSample

from cmae_mm.evaluation import knn_accuracy, linear_accuracy
from cmae_mm.monitor.labelled import LabelledImages


class Points(list):
    """A data set of points around the place of their class."""

    def __init__(self, classes, each, seed, labelled=True):
        generator = torch.Generator().manual_seed(seed)
        centres = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
        self.labelled = labelled
        for label in classes:
            noise = torch.randn(each, 8, generator=generator)
            self += [(centres[label] + 0.7 * x, label) for x in noise]

    def get_data_info(self, index):
        return dict(gt_label=self[index]['label']) if self.labelled else {}

    def __getitem__(self, index):
        point, label = super().__getitem__(index)
        sample = DataSample().set_gt_label(label)
        return dict(inputs=point, data_samples=sample, label=label)


class Identity:
    """A model whose features are its inputs."""

    def __init__(self):
        self.seen = 0

    def test_step(self, batch):
        self.seen += len(batch['inputs'])
        for sample, feature in zip(batch['data_samples'], batch['inputs'], strict=True):
            sample.set_field(feature, 'feature')
        return batch['data_samples']


def collate(samples):
    return dict(
        inputs=default_collate([s['inputs'] for s in samples]),
        data_samples=[s['data_samples'] for s in samples],
    )


def test_all_images_of_few_classes_give_the_known_accuracies():
    bank, queries = Points(range(3), 30, 1), Points(range(3), 20, 2)
    subset = LabelledImages(bank, queries, 500, 250)
    assert str(subset) == '60 images of 3 classes against 90'
    found = subset.accuracies(Identity(), collate)
    sets = []
    for points in (bank, queries):
        sets.append(torch.stack([points[i]['inputs'] for i in range(len(points))]))
        sets.append(torch.tensor([points[i]['label'] for i in range(len(points))]))
    assert found == pytest.approx(
        dict(
            knn_top1=100 * knn_accuracy(*sets), linear_top1=100 * linear_accuracy(*sets)
        )
    )
    assert 40 < found['knn_top1'] < 100


def test_of_many_classes_some_are_taken():
    """Fifty classes are too many for a bank of a hundred images."""
    bank, queries = Points(range(50), 30, 1), Points(range(50), 30, 2)
    subset = LabelledImages(bank, queries, 100, 50, with_knn=False)
    assert str(subset) == '50 images of 5 classes against 100'
    model = Identity()
    assert set(subset.accuracies(model, collate)) == {'linear_top1'}
    assert model.seen == 150


def test_images_without_labels_or_common_classes_are_refused():
    bank = Points(range(3), 5, 1)
    with pytest.raises(ValueError, match='has no label'):
        LabelledImages(bank, Points(range(3), 5, 2, labelled=False), 9, 9)
    with pytest.raises(ValueError, match='No class is in both'):
        LabelledImages(bank, Points(range(7, 9), 5, 2), 9, 9)
