"""Samples depend on (seed, epoch, index), and on nothing else."""

import copy
import pickle
import tracemalloc

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import (
    ConcatDataset,
    DefaultSampler,
    InfiniteSampler,
    default_collate,
    sampler,
)
from mmpretrain.datasets import CustomDataset
from torch.utils.data import DataLoader

from cmae_mm.datasets import EndlessBatchSampler, SeededSampler, sampling
from cmae_mm.datasets.sampling import SampleIndex

PIPELINE = [
    dict(type='cmae_mm.FastMasterCrop', scale=40),
    dict(type='cmae_mm.TwoViews', size=32, shift_range=(0, 9), colour={}),
    dict(type='PackInputs', meta_keys=('sample_idx',)),
]


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(7):
        img = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f'{i}.jpg'), img)
    return str(tmp_path)


@pytest.fixture
def dataset(folder):
    return CustomDataset(data_root=folder, with_label=False, pipeline=PIPELINE)


def batches(dataset, workers, epochs, count, drop_last=True):
    """Indices and views of the first batches, from a given epoch on."""
    sampler = SeededSampler(dataset, seed=11)
    sampler.set_epoch(epochs)
    loader = DataLoader(
        dataset,
        batch_sampler=EndlessBatchSampler(sampler, 3, drop_last),
        num_workers=workers,
        collate_fn=default_collate,
    )
    # Whatever happened before must not matter.
    np.random.seed(workers)
    iterator = iter(loader)
    return [next(iterator) for _ in range(count)]


def same(first, second):
    return all(
        torch.equal(a, b)
        for one, two in zip(first, second, strict=True)
        for a, b in zip(one['inputs'], two['inputs'], strict=True)
    )


def test_any_number_of_workers_gives_the_same_samples(dataset):
    alone, one, two = (batches(dataset, workers, 0, 4) for workers in (0, 1, 2))
    assert same(alone, one) and same(alone, two)


def test_a_restart_at_epoch_2_goes_on_with_the_same_samples(dataset):
    """Two batches an epoch; the first run does not stop at their borders."""
    through = batches(dataset, 1, 0, 6)
    restarted = batches(dataset, 0, 2, 2)
    assert same(through[4:], restarted)
    order = [[int(s.sample_idx) for s in batch['data_samples']] for batch in through]
    assert order[0] + order[1] != order[2] + order[3], 'shuffled anew'


def test_a_picture_has_other_views_in_another_epoch_and_of_another_seed(dataset):
    def views(seed, epoch):
        index = SampleIndex(4, (seed, epoch, 4))
        return dataset[index]['inputs'][0]

    assert torch.equal(views(0, 0), views(0, 0))
    assert not torch.equal(views(0, 0), views(0, 1))
    assert not torch.equal(views(0, 0), views(1, 0))


def test_joined_data_sets_keep_the_draw(dataset, folder):
    joined = ConcatDataset([dataset, copy.deepcopy(dataset)])
    alone = batches(joined, 0, 0, 3)
    two = batches(joined, 2, 0, 3)
    assert same(alone, two)
    # The same picture in both halves is a sample of its own in each.
    halves = [joined[SampleIndex(i, (0, 0, i))]['inputs'][0] for i in (2, 9)]
    assert not torch.equal(*halves)


def test_other_samplers_leave_the_generator_alone(dataset):
    np.random.seed(0)
    first, second = dataset[1]['inputs'][0], dataset[1]['inputs'][0]
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    'carry', [copy.deepcopy, lambda i: pickle.loads(pickle.dumps(i))]
)
def test_an_index_carries_its_draw(carry):
    index = carry(SampleIndex(12, (1, 2, 12)))
    assert index == 12 and index.draw == (1, 2, 12)
    assert index - 7 == 5 and (index - 7).draw == (1, 2, 12)
    assert index % 5 == 2 and (index % 5).draw == (1, 2, 12)


@pytest.mark.parametrize('shuffle', [True, False])
@pytest.mark.parametrize('round_up', [True, False])
@pytest.mark.parametrize('ranks', [1, 3, 16])
def test_order_is_that_of_the_stock_sampler(ranks, round_up, shuffle, monkeypatch):
    """In every process, also if there are more of them than samples."""
    monkeypatch.setattr(sampling, '_PART', 2)
    options = dict(seed=3, shuffle=shuffle, round_up=round_up)
    for rank in range(ranks):
        monkeypatch.setattr(sampler, 'get_dist_info', lambda rank=rank: (rank, ranks))
        ours, stock = (
            SeededSampler(range(7), **options),
            DefaultSampler(range(7), **options),
        )
        for epoch in range(2):
            for each in (ours, stock):
                each.set_epoch(epoch)
            assert list(ours) == list(stock)
            assert [i.draw for i in ours] == [(3, epoch, i) for i in stock]


def test_an_epoch_makes_no_list_of_python_numbers():
    """1.3 million of them would be 60 MB in every process (tensors do not count)."""
    peaks = []
    for kind in (SeededSampler, DefaultSampler):
        indices = kind(range(40_000), seed=0)
        tracemalloc.start()
        assert sum(1 for _ in indices) == 40_000
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 400_000 < 1_500_000 < peaks[1]


@pytest.mark.parametrize(('drop_last', 'sizes'), [(True, [3, 3]), (False, [3, 3, 1])])
def test_endless_batches_keep_to_the_epochs(dataset, drop_last, sizes):
    sampler = SeededSampler(dataset, seed=0)
    endless = EndlessBatchSampler(sampler, 3, drop_last)
    assert len(endless) == len(sizes)
    stream = iter(endless)
    for epoch in range(3):
        found = [next(stream) for _ in sizes]
        assert [len(batch) for batch in found] == sizes
        assert {i.draw[1] for batch in found for i in batch} == {epoch}
        # The runner sets its own epoch whenever it starts one.
        sampler.set_epoch(epoch + 1)


def test_a_sampler_without_epochs_explains_itself(dataset):
    with pytest.raises(TypeError, match='InfiniteSampler, which knows no epochs'):
        EndlessBatchSampler(InfiniteSampler(dataset), 3, True)
