"""A plan as lines for people."""

import copy
import math
import shlex
from dataclasses import dataclass, field

from mmengine.config import Config

from cmae_mm.pretraining.choices import choose_epochs
from cmae_mm.pretraining.recipes import RECIPES
from cmae_mm.zoo import find_root

from .plan import Schedule, count_files

GIB = 2**30


@dataclass(frozen=True)
class Plan:
    """All that is planned.

    Args:
        model (str): What is trained.
        cfg (Config): By which recipe.
        schedule (Schedule): In which time.
        parts (int): In which each GPU computes its share of a batch.
        state_bytes (int): Of a checkpoint.
        peak_bytes (int, optional): Of the memory of a GPU; None: not measured.
        notes (list[str]): What else is to be known.
    """

    model: str
    cfg: Config
    schedule: Schedule
    parts: int
    state_bytes: int
    peak_bytes: int | None
    notes: list[str] = field(default_factory=list)

    @property
    def per_gpu(self) -> int:
        """Images of a GPU in an optimiser step."""
        return self.schedule.batch // self.schedule.wish.gpus

    @property
    def rate(self) -> float:
        """Learning rate, in proportion to the batch if the config says of which."""
        rate = self.cfg.optim_wrapper.optimizer.lr
        base = self.cfg.get('auto_scale_lr', {}).get('base_batch_size')
        return rate * self.schedule.batch / base if base else rate

    @property
    def files(self) -> int:
        """Checkpoints on the disk at once."""
        return count_checkpoints(self.cfg, self.schedule.epochs, self.schedule.steps)

    @property
    def disk(self) -> int:
        """Bytes of the checkpoints."""
        return self.files * self.state_bytes

    def rows(self) -> list[tuple[str, str]]:
        """Names and texts, in the order to be read."""
        schedule, wish = self.schedule, self.schedule.wish
        gpus = f'{self.per_gpu} on each of {wish.gpus} GPUs' * (wish.gpus > 1)
        memory = 'not measured here'
        if self.peak_bytes is not None:
            memory = f'{self.peak_bytes / GIB:.2f} GiB for {self.at_once} images'
        rows = [
            ('model', self.model),
            ('images', f'{wish.images:,}'),
            ('batch', f'{schedule.batch}{f" ({gpus})" if gpus else ""}'),
            ('parts', self._describe_parts()),
            ('negatives', self._describe_negatives()),
            ('learning rate', f'{self.rate:.3g}'),
            ('epochs', f'{schedule.epochs} ({schedule.fitting} fit into the hours)'),
            (
                'steps',
                f'{schedule.steps:,} ({schedule.steps_per_epoch:,} in an epoch)',
            ),
            ('memory per GPU', memory),
            (
                'disk',
                f'{self.disk / GIB:.2f} GiB ({self.files} checkpoints of '
                f'{self.state_bytes / GIB:.3f})',
            ),
            ('speed', f'{schedule.speed.images_per_second:,.1f} images per second'),
            ('speed from', schedule.speed.origin),
            ('time', f'{duration(schedule.hours)} of {duration(wish.hours)}'),
        ]
        return rows + [('note', note) for note in self.notes]

    @property
    def at_once(self) -> int:
        """Images that a GPU computes at once."""
        return self.per_gpu // self.parts

    def _describe_parts(self) -> str:
        if self.parts == 1:
            return 'none: a GPU computes its images at once'
        return (
            f'{self.parts} of {self.at_once} images on each GPU, by '
            'train_cfg.type=cmae_mm.MicroBatchTrainLoop '
            f'train_cfg.micro_batches={self.parts}'
        )

    def _describe_negatives(self) -> str:
        """InfoNCE compares with what is gathered, which accumulation does not raise."""
        model = self.cfg.model
        head = (model.get('contrastive_head') or {}).get('type', '')
        if not model.get('contrastive_weight', 1):
            return 'none: contrastive_weight=0 is MAE'
        if head.split('.')[-1] != 'ContrastiveHead':
            return f'none: {head.split(".")[-1]} compares an image with itself only'
        gathered = self.schedule.batch
        if self.parts == 1:
            return f'{gathered - 1} per image'
        plain = self.at_once * self.schedule.wish.gpus - 1
        return (
            f'{gathered - 1} per image: these micro-batches hold the keys of the whole '
            'batch; plain accumulation (optim_wrapper.accumulative_counts='
            f'{self.parts}) would raise the batch, but leave {plain}'
        )


def count_checkpoints(cfg: Config, epochs: int, steps: int) -> int:
    """Checkpoints that a run of a config has on the disk at once.

    Args:
        cfg (Config): Of a training.
        epochs (int): Its length.
        steps (int): The same in optimiser steps, for hooks that count those.

    Returns:
        int: 1 or more.
    """
    hook = cfg.get('default_hooks', {}).get('checkpoint') or {}
    units = epochs if hook.get('by_epoch', True) else steps
    written = max(1, math.ceil(units / max(1, hook.get('interval', 1))))
    return count_files(written, hook.get('max_keep_ckpts', -1))


def duration(hours: float) -> str:
    """Such as '3 h 12 min'."""
    if hours < 1 / 60:
        return f'{hours * 3600:.0f} s'
    minutes = round(hours * 60)
    if minutes >= 48 * 60:
        return f'{hours / 24:.1f} days'
    return (
        f'{minutes // 60} h {minutes % 60} min' if minutes >= 60 else f'{minutes} min'
    )


def start_command(plan: Plan, folder: str = 'DIR') -> str:
    """What to type for a plan.

    Args:
        plan (Plan): The plan.
        folder (str): With the images. Defaults to a word that stands for it.

    Returns:
        str: ``cmae pretrain`` for one GPU, ``mim train`` for several. For several GPUs
        and a proposal that no packaged config has, what is missing.
    """
    folder = shlex.quote(folder)
    wish = plan.schedule.wish
    parts = {}
    if plan.parts > 1:
        loop = 'cmae_mm.MicroBatchTrainLoop'
        parts = {'train_cfg.type': loop, 'train_cfg.micro_batches': plan.parts}
    recipe = RECIPES.get(plan.model)
    if wish.gpus == 1:
        model = (
            f'--arch {plan.model}' if recipe else f'--config {shlex.quote(plan.model)}'
        )
        options = ' '.join(f'--cfg-options {key}={parts[key]}' for key in parts)
        return (
            f'cmae pretrain {folder} --out OUT {model} --epochs {plan.schedule.epochs} '
            f'--batch {plan.schedule.batch} {options}'
        ).strip()
    if recipe and recipe.model:
        return f'no packaged config trains {plan.model} on several GPUs; take one GPU'
    settings = {
        'train_dataloader.batch_size': plan.per_gpu,
        'optim_wrapper.optimizer.lr': f'{plan.rate:.6g}',
        **parts,
        **_length(plan.cfg, plan.schedule.epochs),
        **_images(plan.cfg, folder),
    }
    options = ' '.join(f'{key}={value}' for key, value in settings.items())
    config = plan.model
    if recipe:
        config = (find_root() / 'configs' / recipe.config).resolve()
    return (
        f'mim train mmpretrain {shlex.quote(str(config))} --launcher pytorch '
        f'--gpus {wish.gpus} --cfg-options {options}'
    )


def _images(cfg: Config, folder: str) -> dict[str, str | bool]:
    """Settings that put a folder, as deep as it is, in the place of ImageNet.

    Data sets of other types stay: a config that has one says which images it is for.
    """
    if cfg.train_dataloader.dataset.get('type') != 'ImageNet':
        return {}
    place = 'train_dataloader.dataset'
    return {
        f'{place}.data_root': folder,
        f'{place}.data_prefix': '.',  # all of the folder, rather than its train
        f'{place}.with_label': False,
    }


def _length(cfg: Config, epochs: int) -> dict[str, int]:
    """Settings that give a config another length, its schedules in proportion."""
    if epochs == cfg.train_cfg.max_epochs:
        return {}
    longer = copy.deepcopy(cfg)
    choose_epochs(longer, epochs)
    found = {'train_cfg.max_epochs': epochs}
    pairs = zip(cfg.param_scheduler, longer.param_scheduler, strict=False)
    for i, (before, after) in enumerate(pairs):
        for name in ('begin', 'end', 'T_max'):
            if before.get(name) != after.get(name):
                found[f'param_scheduler.{i}.{name}'] = after[name]
    return found
