"""The packaged recipes, by the name of their network."""

from math import log
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config, ConfigDict

from cmae_mm.guards.spelling import nearest
from cmae_mm.zoo import find_root

_NAME = 'pretrain/cmae_{}_32xb128-amp-coslr-300e_in1k.py'
# Pixels of a view -> of a patch, as in the packaged configs: ImageNet, CamVid, scenes,
# CIFAR-10. 196 patches, then 64.
_PATCHES = {224: 16, 128: 16, 64: 8, 32: 4}


class Recipe(NamedTuple):
    """What a network is trained by.

    Attributes:
        config (str): Below ``configs``.
        model (str, optional): A smaller model that takes the place of the config's,
            with a schedule for small batches.
        sides (tuple[int, ...]): Pixels of a view that it can be trained on.
    """

    config: str
    model: str | None = None
    sides: tuple[int, ...] = (224, 128, 64, 32)


# From small to large.
RECIPES = {
    'vit-nano': Recipe(_NAME.format('vit-base-p16'), 'cmae_vit-nano.py', (64, 32)),
    'vit-tiny': Recipe(_NAME.format('vit-base-p16'), 'cmae_vit-tiny.py', (128, 64, 32)),
    'vit-small': Recipe(_NAME.format('vit-small-p16')),
    'vit-base': Recipe(_NAME.format('vit-base-p16')),
    'vit-large': Recipe(_NAME.format('vit-large-p16')),
    'vit-huge': Recipe(_NAME.format('vit-huge-p14')),
    # Its patch is 16 pixels, always: small views would have too few of them.
    'hybrid': Recipe(_NAME.format('convvit-base-p16'), sides=(224,)),
}


def check_arch(arch: str) -> None:
    """Refuse a network that there is no recipe of.

    Raises:
        ValueError: With the nearest right name, and all of them.
    """
    if arch not in RECIPES:
        meant = ' or '.join(nearest(arch, RECIPES))
        raise ValueError(
            f'There is no arch {arch!r}{f"; did you mean {meant}?" if meant else "."} '
            f'Known are {", ".join(RECIPES)}.'
        )


def load_recipe(arch: str) -> Config:
    """Read the recipe of a network.

    Args:
        arch (str): A name of :data:`RECIPES`.

    Returns:
        Config: On ImageNet, for 300 epochs.
    """
    recipe = RECIPES[arch]
    configs = find_root() / 'configs'
    cfg = Config.fromfile(configs / recipe.config)
    if recipe.model:
        shared = configs / '_base_'
        cfg.model = Config.fromfile(shared / 'models' / recipe.model).model
        schedule = Config.fromfile(shared / 'schedules/adamw_cpu-coslr.py')
        cfg.optim_wrapper = schedule.optim_wrapper
        cfg.auto_scale_lr = schedule.auto_scale_lr
    return cfg


def read_config(file: Path) -> Config:
    """Read a user's config of a pre-training.

    Args:
        file (Path): The config.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is not one of a pre-training by epochs.
    """
    if not file.is_file():
        raise FileNotFoundError(f'There is no config {file} (looked in {Path.cwd()})')
    cfg = Config.fromfile(file)
    kind = cfg.get('model', {}).get('type')
    if kind != 'cmae_mm.CMAE' or 'max_epochs' not in cfg.get('train_cfg', {}):
        raise ValueError(
            f'{file} is no config of a pre-training by epochs: expected are '
            f"model.type='cmae_mm.CMAE' and train_cfg.max_epochs; model.type is "
            f'{kind!r}. For all else there is mim train.'
        )
    return cfg


def fit_views(cfg: Config, sides: tuple[int, ...], short_side: int) -> int:
    """Cut views, and patches of them, that suit the images.

    Of the possible sizes the one nearest to the images is taken. What goes with it is
    in the proportions of the packaged configs of that size.

    Args:
        cfg (Config): A recipe; changed in place.
        sides (tuple[int, ...]): Possible heights and widths of a view, in pixels.
        short_side (int): Of the images, in pixels.

    Returns:
        int: Height and width of a view.
    """
    side = min(sides, key=lambda side: abs(log(side / short_side)))
    if side == 224:  # the recipe's
        return side
    cfg.model.backbone.update(img_size=side, patch_size=_PATCHES[side])
    crop, views = pipeline_of(cfg)[:2]
    crop.scale = side + side // 8
    views.update(size=side, shift_range=(0, side // 8 + 1))
    if side <= 64:  # less than that would be a blot
        crop.crop_ratio_range = (0.4, 1.0)
    if side <= 32:  # a blur of 2 pixels would leave nothing
        views.colour.blur_sigma = (0.1, 0.6)
    return side


def pipeline_of(cfg: Config) -> list[ConfigDict]:
    """The transforms of the training images, also of data sets within others.

    Args:
        cfg (Config): Of a training.

    Raises:
        ValueError: If there are none.
    """
    dataset = cfg.train_dataloader.dataset
    while 'pipeline' not in dataset:
        inner = dataset.get('dataset') or (dataset.get('datasets') or [None])[0]
        if inner is None:
            raise ValueError(
                f'{cfg.filename}: train_dataloader.dataset has no pipeline, so it is '
                'not known what is to be done with the images.'
            )
        dataset = inner
    return dataset.pipeline
