"""The arithmetic of a plan: images, GPUs and hours in; batch, epochs and disk out."""

import math
from dataclasses import dataclass

# An epoch should have so many steps, if it has as many images.
_STEPS = 16


@dataclass(frozen=True)
class Wish:
    """What somebody has and wants.

    Args:
        images (int): Of an epoch, 2 or more.
        gpus (int): That train together, 1 or more; without any, the machine is one.
        hours (float): Of the clock, above 0.
        epochs (int, optional): None: as many as fit.
        batch (int, optional): Images of an optimiser step over all GPUs. None: chosen.

    Raises:
        ValueError: If a number is out of its range.
    """

    images: int
    gpus: int
    hours: float
    epochs: int | None = None
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.images < 2:
            raise ValueError(
                f'Got {self.images} images. The contrastive loss compares an image '
                'with others: 2 are needed, and some hundreds to learn from.'
            )
        if self.gpus < 1 or not 0 < self.hours < math.inf:
            raise ValueError(
                f'Got {self.gpus} GPUs and {self.hours:g} hours; 1 GPU or more (a '
                'machine without any counts as one) and more than 0 hours are needed.'
            )
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f'Got {self.epochs} epochs; 1 or more are needed.')


def choose_batch(wish: Wish, recipe: int) -> int:
    """Images of an optimiser step over all GPUs.

    Args:
        wish (Wish): With the batch that is asked for, if any.
        recipe (int): The batch of the recipe, taken unless it leaves an epoch with
            fewer than 16 steps.

    Returns:
        int: A multiple of the GPUs, 2 or more.

    Raises:
        ValueError: If a batch that is asked for cannot be: fewer than 2 images, more
            than there are, or no multiple of the GPUs; or if there are fewer images
            than GPUs.
    """
    if wish.batch is None:
        batch = min(recipe, max(16 * wish.gpus, wish.images // _STEPS), wish.images)
        unit = 8 * wish.gpus if batch >= 16 * wish.gpus else wish.gpus
        batch -= batch % unit
        if batch < 2:
            raise ValueError(
                f'{wish.images} images cannot be dealt to {wish.gpus} GPUs. Take '
                'more images, or fewer GPUs.'
            )
        return batch
    if not 2 <= wish.batch <= wish.images:
        raise ValueError(
            f'A batch of {wish.batch} was asked for; InfoNCE compares the images of a '
            f'batch, and there are {wish.images}. Take from 2 to {wish.images}.'
        )
    if wish.batch % wish.gpus:
        below = wish.batch - wish.batch % wish.gpus
        raise ValueError(
            f'A batch of {wish.batch} cannot be dealt to {wish.gpus} GPUs. Take '
            f'{below or wish.gpus} or {below + wish.gpus}.'
        )
    return wish.batch


def count_parts(per_gpu: int, fits: int) -> int:
    """Equal parts in which a GPU computes its share of a batch.

    Args:
        per_gpu (int): Images of the share.
        fits (int): Images that the memory holds at once, 2 or more.

    Returns:
        int: As few as will do; 1 if the whole share fits.

    Raises:
        ValueError: If the share cannot be cut so.
    """
    for parts in range(1, per_gpu + 1):
        size, rest = divmod(per_gpu, parts)
        if not rest and size <= fits and (size > 1 or parts == 1):
            return parts
    raise ValueError(
        f'{per_gpu} images of each GPU cannot be cut into equal parts of 2 to {fits}, '
        f'which the memory holds. Ask for another batch, such as {fits} per GPU.'
    )


@dataclass(frozen=True)
class Speed:
    """How fast the training is.

    Args:
        images_per_second (float): Of all GPUs together, above 0.
        origin (str): Where the figure is from.
    """

    images_per_second: float
    origin: str


@dataclass(frozen=True)
class Schedule:
    """A training in time.

    Args:
        wish (Wish): What it is for.
        batch (int): Images of an optimiser step over all GPUs.
        speed (Speed): How fast.
        wanted (int, optional): Epochs that the wish or the config has; None: as many
            as fit.
        most (int): Epochs beyond which none are proposed.
    """

    wish: Wish
    batch: int
    speed: Speed
    wanted: int | None = None
    most: int = 1600

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches; each GPU has its share of the images, rounded up."""
        share = math.ceil(self.wish.images / self.wish.gpus)
        return share // (self.batch // self.wish.gpus)

    @property
    def fitting(self) -> int:
        """Whole epochs in the hours."""
        seconds = self.steps_per_epoch * self.batch / self.speed.images_per_second
        return int(self.wish.hours * 3600 / seconds)

    @property
    def fits(self) -> bool:
        """Whether what is wanted can be had."""
        return self.fitting >= (self.wanted or 1)

    @property
    def epochs(self) -> int:
        """What is wanted; else as many as fit."""
        return self.wanted or max(1, min(self.fitting, self.most))

    @property
    def steps(self) -> int:
        """Optimiser steps of all epochs."""
        return self.epochs * self.steps_per_epoch

    @property
    def hours(self) -> float:
        """Of the clock, for all epochs."""
        return self.steps * self.batch / self.speed.images_per_second / 3600

    def remedies(self) -> list[str]:
        """What has to change so that the epochs fit, each alone; none if they do."""
        if self.fits:
            return []
        wish = self.wish
        rate = self.speed.images_per_second
        gpus = math.ceil(wish.gpus * self.hours / wish.hours)
        # Of whole steps.
        steps = int(wish.hours * 3600 * rate / self.epochs / self.batch)
        found = [
            f'hours: {_up(self.hours)} in place of {wish.hours:g}',
            f'GPUs: {gpus} in place of {wish.gpus}, if the speed grows with them',
        ]
        if steps:
            found.append(f'images: {steps * self.batch} in place of {wish.images}')
        if 0 < self.fitting:
            found.append(f'epochs: {self.fitting} in place of {self.epochs}')
        return found


def _up(hours: float) -> str:
    """Rounded up, so that it is enough."""
    return f'{math.ceil(hours * 100) / 100:.2f}'


def count_files(written: int, kept: int) -> int:
    """Checkpoints that lie on the disk at once.

    Args:
        written (int): During the training, 1 or more.
        kept (int): ``max_keep_ckpts``; -1 keeps all.

    Returns:
        int: With the one that is written before the oldest is deleted.
    """
    return written if kept < 0 else min(written, kept + 1)
