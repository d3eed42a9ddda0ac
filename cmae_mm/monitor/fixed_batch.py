"""The same images, crops, shifts and colours, whenever one looks."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from cmae_mm.datasets.fast_views import TwoViews
from cmae_mm.datasets.pixel_shift import PixelShift
from cmae_mm.datasets.refused import Refused
from cmae_mm.datasets.sampling import SampleIndex, seed_sample


class FixedBatch(NamedTuple):
    """A batch as the data loader would give it, on the CPU.

    Attributes:
        data (dict): ``inputs``, the views (B, channels, H, W), and ``data_samples``.
        shifts (Tensor, optional): How far down and right each target view lies from
            its online view, in pixels, int64 (B, 2). None if the views are not cut
            by :class:`cmae_mm.PixelShift`.
        source (str): Where the images come from, in words.
    """

    data: dict
    shifts: torch.Tensor | None
    source: str

    @property
    def views(self) -> list[torch.Tensor]:
        """The online view and, if there is one, the target view."""
        inputs = self.data['inputs']
        return [inputs] if isinstance(inputs, torch.Tensor) else list(inputs)

    @property
    def eight_bit(self) -> bool:
        """Whether the pixels are numbers from 0 to 255."""
        return self.views[0].dtype == torch.uint8


def choose_batch(runner: Runner, images: int, seed: int) -> FixedBatch:
    """Send images through the pipeline of the training, with random numbers of ours.

    They are spread evenly over the validation or test set of the config, if it has one
    that can be read, and over the training set otherwise. An image that is refused is
    left out.

    Args:
        runner (Runner): With the data loader of the training.
        images (int): How many, 2 or more; fewer if there are fewer.
        seed (int): Of crops, shifts and colours.

    Returns:
        FixedBatch: The same for the same config and seed.

    Raises:
        ValueError: If fewer than two images can be read.
    """
    loader = runner.train_dataloader
    trained = _leaf(loader.dataset)
    held_out = _held_out(runner)
    dataset = trained if held_out is None else held_out
    source = 'training set' if held_out is None else 'validation or test set'
    shifters = list(_find_shifts(trained.pipeline))
    if len(set(map(id, shifters))) != 2:  # none, or one that serves both views
        shifters = []
    samples, shifts = [], []
    for index in spread(len(dataset), images):
        seed_sample(dict(sample_idx=SampleIndex(index, (seed, 0, index))))
        try:
            sample = trained.pipeline(dataset.get_data_info(index))
        except Refused:
            continue
        samples.append(sample)
        shifts.append(_shift([shifter.last_offset for shifter in shifters]))
    if len(samples) < 2:
        raise ValueError(f'Only {len(samples)} of {images} images could be read.')
    known = None if None in shifts else torch.tensor(shifts)
    return FixedBatch(loader.collate_fn(samples), known, source)


def spread(length: int, count: int) -> list[int]:
    """Up to ``count`` different indices, evenly over ``length``."""
    count = min(length, count)
    return [i * length // count for i in range(count)]


def _leaf(dataset):
    """The first data set that has a pipeline, inside of whatever wraps it."""
    while not hasattr(dataset, 'pipeline'):
        dataset = (
            dataset.datasets[0] if hasattr(dataset, 'datasets') else dataset.dataset
        )
    return dataset


def _held_out(runner: Runner):
    """The data set of the validation or test, if there is one with files."""
    for name in ('val_dataloader', 'test_dataloader'):
        loader = runner.cfg.get(name)
        if loader:
            return try_to_build(runner, name, loader.dataset)
    return None


def try_to_build(runner: Runner, name: str, cfg: Config) -> BaseDataset | None:
    """A data set that the training itself does not need, or None and a warning."""
    try:
        dataset = _leaf(DATASETS.build(cfg))
        dataset.get_data_info(0)
    except Exception as error:  # whatever a data set raises that is not there
        runner.logger.warning(
            f'LearningMonitor goes without {name}, whose images cannot be found: '
            f'{error}'
        )
        return None
    return dataset


def _find_shifts(step: object) -> Iterator[PixelShift | SimpleNamespace]:
    """All pixel shifts of a pipeline, in the order of the views."""
    if isinstance(step, PixelShift):
        yield step
    elif isinstance(step, TwoViews):
        yield SimpleNamespace(last_offset=(0, 0))  # the corner of the master crop
        yield step.shift
    else:
        for inner in getattr(step, 'transforms', []):
            yield from _find_shifts(inner)


def _shift(offsets: list[tuple[int, int] | None]) -> tuple[int, int] | None:
    """From the online to the target view, if both are known."""
    if not offsets or None in offsets:
        return None
    (down, right), (target_down, target_right) = offsets
    return target_down - down, target_right - right
