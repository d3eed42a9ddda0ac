"""How many images of a config a device holds, and how fast it trains on them."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

from mmengine.config import Config
from mmengine.device import get_device

from .batch import fitting_batch, free_memory
from .measure import StepCost, measure_step
from .plan import count_parts

# A measured step should take no longer, seconds.
_PATIENCE = 5
_FEW, _MORE = 2, 8


@dataclass(frozen=True)
class Device:
    """What one device does with its share of a batch.

    Args:
        parts (int): In which it computes the share.
        measured_at (int): Images of the step whose time was taken.
        images_per_second (float): In that step.
        peak_bytes (int): With the images of one part: measured, or on the line through
            two measurements.
        state_bytes (int): Of a checkpoint.
        name (str): 'cuda', 'cpu', ...
    """

    parts: int
    measured_at: int
    images_per_second: float
    peak_bytes: int
    state_bytes: int
    name: str


def measure_device(
    cfg: Config,
    per_gpu: int,
    measure: Callable[..., StepCost] = measure_step,
    free: Callable[[str], int | None] = free_memory,
) -> Device:
    """Measure steps of a few images, and of as many as are wanted if that is quick.

    Args:
        cfg (Config): Of a pre-training.
        per_gpu (int): Images of the device's share of a batch.
        measure (callable): In place of :func:`measure_step`.
        free (callable): In place of :func:`free_memory`.

    Returns:
        Device: Memory and speed.

    Raises:
        RuntimeError: If not even 2 images fit, or a step fails.
        ValueError: If the share cannot be cut into parts that fit.
    """
    cfg = at_once(cfg)
    costs: dict[int, StepCost] = {}

    def cost(images: int) -> int:
        costs[images] = measure(cfg, images, 1 if images == _FEW else 3)
        return costs[images].peak_bytes

    for images in (_FEW, _MORE):
        cost(images)
    room = free(get_device())
    fits = per_gpu
    if room is not None:
        fits = fitting_batch(
            lambda images: costs[images].peak_bytes,
            room,
            most=max(2, per_gpu),
            small=(_FEW, _MORE),
        )
    parts = count_parts(per_gpu, fits)
    share = per_gpu // parts
    quick = max(_MORE, int(_MORE * _PATIENCE / costs[_MORE].seconds))
    images = max(2, min(share, quick))
    if images not in costs:
        cost(images)
    return Device(
        parts=parts,
        measured_at=images,
        images_per_second=images / costs[images].seconds,
        peak_bytes=_bytes_of(share, costs),
        state_bytes=costs[images].state_bytes,
        name=costs[images].device,
    )


def at_once(cfg: Config) -> Config:
    """A config without micro-batches; the original stays as it is."""
    cfg = copy.deepcopy(cfg)
    if cfg.train_cfg.pop('micro_batches', None):
        cfg.train_cfg.type = 'cmae_mm.EndlessEpochLoop'
    return cfg


def _bytes_of(images: int, costs: dict[int, StepCost]) -> int:
    """On the line through the smallest and the largest measured batch."""
    if images in costs:
        return costs[images].peak_bytes
    few, more = min(costs), max(costs)
    rise = (costs[more].peak_bytes - costs[few].peak_bytes) / (more - few)
    return round(costs[few].peak_bytes + rise * (images - few))
