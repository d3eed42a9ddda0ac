"""Random numbers that depend on (seed, epoch, sample) alone."""

import random
from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from torch.utils.data import BatchSampler, Sampler

from cmae_mm.registry import DATA_SAMPLERS


class SampleIndex(int):
    """An index of a data set that knows in which draw it was drawn.

    It travels from the sampler to the pipeline, where MMEngine calls it
    ``sample_idx``, also through processes, so workers that live on from epoch to
    epoch need no word on the epoch. ``ConcatDataset`` and ``RepeatDataset``
    compute an index of their parts by ``-`` and ``%``; the draw stays the same.

    Args:
        index (int): The index.
        draw (tuple[int, int, int]): Seed, epoch, and index in the whole data set,
            each in [0, 2**32).
    """

    draw: tuple[int, int, int]

    def __new__(cls, index: int, draw: tuple[int, int, int]) -> 'SampleIndex':
        self = super().__new__(cls, index)
        self.draw = draw
        return self

    def __getnewargs__(self) -> tuple[int, tuple[int, int, int]]:
        return int(self), self.draw  # for pickle and deepcopy

    def __sub__(self, other: int) -> 'SampleIndex':
        return SampleIndex(int(self) - other, self.draw)

    def __mod__(self, other: int) -> 'SampleIndex':
        return SampleIndex(int(self) % other, self.draw)


def seed_sample(results: dict) -> None:
    """Start the global generators of Python, NumPy and torch anew for this sample.

    The random steps of mmcv, of mmpretrain and of the fast pipeline draw from
    NumPy's, those of torchvision from torch's. With an index that knows no draw,
    nothing happens.

    Args:
        results (dict): At the start of a pipeline, with ``sample_idx``.
    """
    draw = getattr(results.get('sample_idx'), 'draw', None)
    if draw is None:
        return
    np.random.seed(draw)
    words = np.random.SeedSequence(draw).generate_state(2, np.uint64).tolist()
    # Not torch.manual_seed, which would seed the GPU, too.
    torch.default_generator.manual_seed(words[0])
    random.seed(words[1])


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """The order of :class:`DefaultSampler`, in indices that know seed and epoch.

    With a step at the head of the pipeline that calls :func:`seed_sample`, as our
    own do, a sample of an epoch is the same for any number of workers, any number of
    processes, and after a restart; with other pipelines it is a
    :class:`DefaultSampler`. All
    processes share the seed, whatever ``diff_rank_seed``. It follows from
    ``randomness.seed``; give ``seed`` to fix it.

    Args:
        dataset (Sized): The data set.
        shuffle (bool): Whether to shuffle in every epoch. Defaults to True.
        seed (int, optional): In [0, 2**31). Defaults to one drawn by MMEngine.
        round_up (bool): Whether to repeat samples until all processes have
            equally many. Defaults to True.
    """

    def __iter__(self) -> Iterator[SampleIndex]:
        """Indices of this process in the epoch of the last ``set_epoch``."""
        seed, epoch = self.seed, self.epoch
        return (SampleIndex(i, (seed, epoch, i)) for i in super().__iter__())


@DATA_SAMPLERS.register_module()
class EndlessBatchSampler(BatchSampler):
    """Batches of one epoch after the other, so that workers never run dry.

    Its length is that of one epoch. ``cmae_mm.EndlessEpochLoop`` takes it by
    itself; any other loop would never see an epoch end.

    Args:
        sampler (Sampler): With ``set_epoch`` and ``epoch``.
        batch_size (int): Images per batch and process.
        drop_last (bool): Whether to leave out an incomplete last batch of each
            epoch.

    Raises:
        TypeError: If the sampler knows no epochs.
    """

    def __init__(self, sampler: Sampler, batch_size: int, drop_last: bool) -> None:
        if not hasattr(sampler, 'epoch'):
            raise TypeError(
                f'EndlessBatchSampler got {type(sampler).__name__}, which knows no '
                "epochs. Take sampler=dict(type='cmae_mm.SeededSampler')."
            )
        super().__init__(sampler, batch_size, drop_last)
        self.skip = 0  # batches of the first epoch that were trained on before

    def __iter__(self) -> Iterator[list[int]]:
        """Start at the sampler's epoch after ``skip`` batches, and count on."""
        # Its own count: while batches are prefetched, the runner still sets the
        # sampler to the epoch it trains in.
        epoch = self.sampler.epoch
        self.sampler.set_epoch(epoch)
        yield from islice(super().__iter__(), self.skip, None)
        while True:
            epoch += 1
            self.sampler.set_epoch(epoch)
            yield from super().__iter__()
