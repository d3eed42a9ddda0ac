"""The settings that depend on images and machine. Each function sets, and says why."""

import os
from collections.abc import Callable

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device

from cmae_mm.planning.batch import fitting_batch, free_memory

from .pictures import Pictures
from .recipes import RECIPES, fit_views, pipeline_of

# An epoch should have so many steps, if it has as many images.
_STEPS = 16
# No batch is made smaller than this for their sake.
_SMALL = 16
# Share of the free memory that a step may take.
_SHARE = 0.8
# Steps between two checkpoints, at least.
_BETWEEN_CHECKPOINTS = 200


def choose_arch() -> tuple[str, str]:
    """A network that suits the device, and the reason."""
    if torch.cuda.is_available():
        return 'vit-small', 'there is a GPU, and no --arch was given'
    return 'vit-tiny', 'there is no GPU here, and no --arch was given'


def choose_views(cfg: Config, arch: str, pictures: Pictures) -> str:
    """Size of views and patches."""
    side = fit_views(cfg, RECIPES[arch].sides, pictures.short_side)
    backbone = cfg.model.backbone
    patch = backbone.get('patch_size', 16)  # the hybrid encoder's is the default
    return (
        f'{side} x {side} pixels in patches of {patch}, for pictures of '
        f'{pictures.short_side}'
    )


def choose_data(cfg: Config, pictures: Pictures) -> None:
    """The folder in the place of the recipe's images."""
    cfg.train_dataloader.dataset = dict(
        type='cmae_mm.UnlabelledImages',
        data_root=pictures.folder,
        pipeline=pipeline_of(cfg),
    )
    cores = os.cpu_count() or 1
    if hasattr(os, 'sched_getaffinity'):
        cores = len(os.sched_getaffinity(0))
    cfg.train_dataloader.num_workers = min(8, max(1, cores - 1))
    cfg.train_dataloader.persistent_workers = True
    # Memory from which a GPU copies faster; torch complains where there is none.
    cfg.train_dataloader.pin_memory = torch.cuda.is_available()


def choose_precision(cfg: Config) -> str:
    """bfloat16 where the device is made for it."""
    wrapper = cfg.optim_wrapper
    if wrapper.type == 'OptimWrapper':
        return 'float32, in which so small a network loses no time'
    if not torch.cuda.is_available():
        wrapper.type = 'OptimWrapper'
        return 'float32: there is no GPU'
    if torch.cuda.get_device_capability()[0] < 8:
        wrapper.update(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic')
        return 'float16 with a loss scaler: this GPU is older than bfloat16'
    return 'bfloat16'


def choose_epochs(cfg: Config, epochs: int | None) -> str:
    """Length of the training; schedules by epochs keep their proportions."""
    before = cfg.train_cfg.max_epochs
    if epochs is None:
        return f'{before}, those of the recipe (--epochs changes it)'
    cfg.train_cfg.max_epochs = epochs
    for scheduler in cfg.param_scheduler:
        if scheduler.get('by_epoch', True):
            _stretch(scheduler, before, epochs)
    cfg.param_scheduler = [
        scheduler
        for scheduler in cfg.param_scheduler
        if scheduler.get('begin', 0) < scheduler.get('end', epochs)
    ]
    return f'{epochs}, as asked'


def _stretch(scheduler: ConfigDict, before: int, now: int) -> None:
    """Move a schedule by epochs into a training of another length.

    The half period of a cosine, ``T_max``, keeps its share of the time from ``begin``
    to ``end``, which most often is all of it.
    """
    length = scheduler.get('end', before) - scheduler.get('begin', 0)
    for edge in ('begin', 'end'):
        if edge in scheduler:
            scheduler[edge] = _moved(scheduler[edge], before, now)
    if scheduler.get('T_max') is not None:
        moved = scheduler.get('end', now) - scheduler.get('begin', 0)
        share = scheduler['T_max'] / max(1, length)
        scheduler['T_max'] = max(1, round(share * moved))


def _moved(epoch: int, before: int, now: int) -> int:
    """Where an epoch of a schedule lies in a training of another length.

    A longer training keeps its warm-up, as the recipes of 800 and 1600 epochs do.
    """
    if epoch >= before:
        return now
    return min(epoch, round(epoch * now / before))


def choose_batch(
    cfg: Config,
    pictures: Pictures,
    asked: int | None,
    wanted: int,
    measure: Callable[[int], int],
) -> str:
    """Images of a step: what was asked for, or what data and memory allow.

    Args:
        cfg (Config): Changed in place.
        pictures (Pictures): The data.
        asked (int, optional): A wish.
        wanted (int): What to take without one, if data and memory allow it.
        measure (Callable[[int], int]): Bytes that a step with so many images takes,
            such as :func:`step_bytes`.

    Returns:
        str: The number, and why.

    Raises:
        ValueError: If more images are asked for than there are, or fewer than 2.
        RuntimeError: If not even 2 images fit into the memory.
    """
    if asked is not None:
        _check_batch(asked, pictures)
        batch, why = asked, 'as asked'
    else:
        batch, why = _wanted_batch(wanted, pictures)
        device = get_device()
        free = free_memory(device)
        if free is None:
            why += '; the free memory is not known here, --batch sets another'
        else:
            fits = _even(fitting_batch(measure, free, most=batch, share=_SHARE))
            held = f'{_SHARE * 100:.0f} % of the {free / 2**30:.1f} GiB free ({device})'
            if fits < batch:
                batch, why = fits, f'more would not fit into {held}'
            else:
                why += f'; it fits into {held}'
    cfg.train_dataloader.batch_size = batch
    return f'{batch} images, {pictures.count // batch} steps per epoch: {why}'


def _check_batch(batch: int, pictures: Pictures) -> None:
    if batch < 2:
        raise ValueError(
            f'--batch {batch}: InfoNCE compares an image with the others of its batch. '
            'Take 2 or more; the paper takes 4096.'
        )
    if batch > pictures.count:
        raise ValueError(
            f'--batch {batch}: there are {pictures.count} images below '
            f'{pictures.folder}, which make no such batch. Take {pictures.count} or '
            'fewer.'
        )


def _wanted_batch(wanted: int, pictures: Pictures) -> tuple[int, str]:
    """The recipe's batch, or less if there are few images."""
    few = min(pictures.count, _even(max(_SMALL, pictures.count // _STEPS)))
    if wanted <= few:
        return wanted, 'the batch of the recipe'
    return few, f"the recipe's {wanted} would leave few steps to an epoch"


def _even(batch: int) -> int:
    """A multiple of 8, which devices like, unless it is small."""
    return batch if batch < 16 else batch - batch % 8


def step_bytes(cfg: Config, images: int) -> int:
    """Bytes that a real step of a config takes."""
    from cmae_mm.planning.measure import measure_step

    return measure_step(cfg, images, steps=1).peak_bytes


def choose_rate(cfg: Config) -> str:
    """The learning rate, by the rule of the recipes: in proportion to the batch."""
    optimizer = cfg.optim_wrapper.optimizer
    base = optimizer.lr * 256 / cfg.auto_scale_lr.base_batch_size
    batch = cfg.train_dataloader.batch_size
    optimizer.lr = base * batch / 256
    cfg.auto_scale_lr.base_batch_size = batch  # for mim train --auto-scale-lr
    return f'{optimizer.lr:.3g} = {base:.3g} x {batch} / 256, the rule of the recipe'


def choose_intervals(cfg: Config, pictures: Pictures) -> None:
    """Lines of the log and checkpoints, neither too rare nor too many."""
    steps = pictures.count // cfg.train_dataloader.batch_size
    hooks = cfg.default_hooks
    hooks.logger.interval = min(100, steps)
    epochs = -(-_BETWEEN_CHECKPOINTS // steps)
    hooks.checkpoint.interval = min(cfg.train_cfg.max_epochs, epochs)
