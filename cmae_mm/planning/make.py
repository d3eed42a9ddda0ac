"""Makes a plan: measures what has to be measured, and adds it up."""

import math
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config

from cmae_mm.pretraining.recipes import read_config

from .measure import StepCost, measure_step
from .plan import Schedule, Speed, Wish, choose_batch
from .proposal import propose_arch, recipe_for
from .report import Plan
from .speed import Device, at_once, measure_device


def make_plan(
    wish: Wish,
    config: Path | None = None,
    short_side: int | None = None,
    images_per_second: float | None = None,
    measure: Callable[..., StepCost] = measure_step,
) -> Plan:
    """Plan a pre-training.

    Args:
        wish (Wish): Images, GPUs, hours, and perhaps epochs and batch.
        config (Path, optional): Of a pre-training; None proposes a packaged recipe.
        short_side (int, optional): Of the images, in pixels, for a proposal.
        images_per_second (float, optional): Of one GPU, from the log of a run of this
            config with as many GPUs. None measures it here.
        measure (callable): In place of :func:`measure_step`.

    Returns:
        Plan: The plan; ``plan.schedule.remedies()`` tells whether it fits.

    Raises:
        ValueError: If something that is asked for cannot be.
        RuntimeError: If not even two images fit into the memory, or a step fails.
    """
    if images_per_second is not None and config is None:
        raise ValueError(
            '--images-per-second belongs to one model: name its CONFIG as well.'
        )
    if images_per_second is not None and not 0 < images_per_second < math.inf:
        raise ValueError(
            f'--images-per-second {images_per_second:g} is no speed; a number above 0 '
            'is expected.'
        )
    notes, wanted = [], wish.epochs
    if config:
        cfg, model = read_config(config), str(config)
        wanted = wanted or cfg.train_cfg.max_epochs
    else:
        model, why = propose_arch(wish, short_side, measure)
        notes.append(f'{model} is proposed: {why} (the rule: docs/planning.md)')
        cfg = recipe_for(model, short_side)
    times = repeats(cfg)
    if times > 1:
        notes.append(
            f'the config goes through its images {times} times in an epoch; planned is '
            'once, so count them as often, or take a config that does not repeat'
        )
    batch = choose_batch(wish, recipe_batch(cfg, wish))
    counts = cfg.optim_wrapper.get('accumulative_counts', 1)
    if counts > 1:
        notes.append(
            f'optim_wrapper.accumulative_counts={counts} of the config makes steps of '
            f'{counts * batch} images, but each is still compared with {batch - 1} '
            'others; cmae_mm.MicroBatchTrainLoop compares with all'
        )
    if images_per_second is None:
        device = measure_device(cfg, batch // wish.gpus, measure)
        speed = Speed(wish.gpus * device.images_per_second, _origin(device, wish))
        parts, peak, state = device.parts, device.peak_bytes, device.state_bytes
        if device.name != 'cuda':
            notes.append('there is no GPU here: memory and speed are those of the CPU')
    else:
        origin = f'given: {images_per_second:g} per second and GPU'
        speed = Speed(wish.gpus * images_per_second, origin)
        parts, peak = cfg.train_cfg.get('micro_batches', 1), None
        state = measure(at_once(cfg), 2, 1).state_bytes
    schedule = Schedule(wish, batch, speed, wanted)
    return Plan(model, cfg, schedule, parts, state, peak, notes)


def recipe_batch(cfg: Config, wish: Wish) -> int:
    """The batch that the rate of a config belongs to; else what it would train."""
    scale = cfg.get('auto_scale_lr', {})
    own = cfg.train_dataloader.batch_size * wish.gpus
    return scale.get('base_batch_size', own)


def repeats(cfg: Config) -> int:
    """How often an epoch of a config goes through its images."""
    dataset = cfg.train_dataloader.get('dataset') or {}
    return dataset.get('times', 1) if dataset.get('type') == 'RepeatDataset' else 1


def _origin(device: Device, wish: Wish) -> str:
    """Where a measured speed is from."""
    text = (
        f'measured now on this machine ({device.name}), {device.measured_at} images at '
        'once, without reading them'
    )
    if wish.gpus > 1:
        text += (
            f'; times {wish.gpus} GPUs, which is derived and not measured, without '
            'what they send each other (docs/scaling.md)'
        )
    return text
