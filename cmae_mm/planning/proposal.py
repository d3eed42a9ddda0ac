"""Which of the packaged recipes suits so many images, GPUs and hours."""

from collections.abc import Callable

from mmengine.config import Config
from mmengine.device import get_device

from cmae_mm.pretraining.choices import choose_precision
from cmae_mm.pretraining.recipes import RECIPES, fit_views, load_recipe

from .measure import OutOfMemory, StepCost, measure_step
from .plan import Wish

# Image passes (images x epochs) from which a network is proposed; from small to large.
# A rule of thumb between what the small configs get (docs/results.md: 32,000 and
# 40,000) and the 384 million of the recipes for ImageNet; nobody has measured it.
PASSES = {
    'vit-nano': 0,
    'vit-tiny': 1_000_000,
    'vit-small': 10_000_000,
    'vit-base': 100_000_000,
    'vit-large': 384_000_000,
}
# More epochs than the longest recipe has add no passes.
MOST_EPOCHS = 1600


def propose_arch(
    wish: Wish,
    short_side: int | None = None,
    measure: Callable[..., StepCost] = measure_step,
) -> tuple[str, str]:
    """Take the largest network that gets its image passes in the hours.

    Args:
        wish (Wish): Images, GPUs and hours.
        short_side (int, optional): Of the images, in pixels; None: as the recipes.
        measure (callable): In place of :func:`measure_step`.

    Returns:
        tuple[str, str]: A name of ``cmae_mm.pretraining.recipes.RECIPES``, and why.
    """
    # So few that a CPU is soon done with them, so many that a GPU has work.
    images = 64 if get_device() == 'cuda' else 8
    epochs = wish.epochs or MOST_EPOCHS
    found, passes_of_found = 'vit-nano', 0
    for arch, needed in PASSES.items():
        passes = epochs * wish.images
        if passes < needed:
            why = f'{arch} asks for {needed:,} (images x epochs)'
            return found, _reason(passes_of_found, why)
        try:
            seconds = measure(recipe_for(arch, short_side), images, 2).seconds
        except OutOfMemory:
            return found, _reason(passes_of_found, f'{arch} does not fit the memory')
        trained = wish.gpus * images / seconds * wish.hours * 3600
        passes = min(passes, int(trained))
        if passes < needed:
            why = f'{arch} would get {passes:,} and asks for {needed:,}'
            return found, _reason(passes_of_found, why)
        found, passes_of_found = arch, passes
    return found, _reason(passes_of_found, 'there is none larger in this rule')


def _reason(passes: int, why: str) -> str:
    return f'about {passes:,} image passes fit; {why}'


def recipe_for(arch: str, short_side: int | None = None) -> Config:
    """A recipe as ``cmae pretrain`` would train it here.

    Args:
        arch (str): A name of ``RECIPES``.
        short_side (int, optional): Of the images, in pixels.

    Returns:
        Config: With views that suit the images, and the precision of the device.
    """
    cfg = load_recipe(arch)
    sides = RECIPES[arch].sides
    fit_views(cfg, sides, short_side or max(sides))
    choose_precision(cfg)
    return cfg
