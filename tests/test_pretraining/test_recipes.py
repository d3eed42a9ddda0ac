"""The packaged recipes under their short names."""

from pathlib import Path

import pytest
from mmengine.config import Config

from cmae_mm.pretraining.recipes import (
    RECIPES,
    check_arch,
    fit_views,
    load_recipe,
    pipeline_of,
    read_config,
)

CONFIGS = Path(__file__).parents[2] / 'configs'


def test_a_misspelt_arch_gets_the_nearest_and_all_names():
    with pytest.raises(ValueError, match=r"'vit-smal'; did you mean vit-small\?") as e:
        check_arch('vit-smal')
    assert all(name in str(e.value) for name in RECIPES)
    with pytest.raises(ValueError, match=r"no arch 'resnet'. Known are"):
        check_arch('resnet')


@pytest.mark.parametrize(
    'short_side, side',
    [(8, 32), (32, 32), (47, 64), (96, 128), (200, 224), (4000, 224)],
)
def test_views_come_near_to_the_images(short_side, side):
    cfg = load_recipe('vit-small')
    assert fit_views(cfg, RECIPES['vit-small'].sides, short_side) == side
    backbone = cfg.model.backbone
    crop, views = pipeline_of(cfg)[:2]
    assert backbone.img_size == views['size'] == side
    assert side % (backbone.patch_size * backbone.block_size) == 0
    # Offsets up to the last but one pixel that the master crop leaves.
    assert views.shift_range == (0, crop.scale - side + (side < 224))


def test_small_views_are_those_of_the_packaged_configs():
    """The same numbers as configs/scenes and configs/cifar10 say."""
    for name, short_side, arch in (
        ('scenes/cmae_vit-nano-p8_bs32-8e_scenes.py', 64, 'vit-nano'),
        ('cifar10/cmae_vit-nano-p4_bs64-2e_cifar10.py', 32, 'vit-nano'),
    ):
        packaged = Config.fromfile(CONFIGS / name)
        cfg = load_recipe(arch)
        fit_views(cfg, RECIPES[arch].sides, short_side)
        assert cfg.model == packaged.model
        ours, theirs = pipeline_of(cfg), pipeline_of(packaged)
        assert ours[0].scale == theirs[1].scale
        assert ours[0].crop_ratio_range == theirs[1].crop_ratio_range
        shifted = theirs[3].transforms[1]
        assert ours[1].shift_range == shifted[0].shift_range
        assert ours[1].colour.blur_sigma == tuple(shifted[-1].magnitude_range)
        # The rate by the same rule.
        rate, batch = packaged.optim_wrapper.optimizer.lr, packaged.auto_scale_lr
        assert packaged.train_dataloader.batch_size == batch.base_batch_size
        assert cfg.optim_wrapper.optimizer.lr == rate
        assert cfg.optim_wrapper.type == packaged.optim_wrapper.type


def test_a_config_of_a_user_must_be_one_of_a_pretraining(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no config .*none\.py'):
        read_config(tmp_path / 'none.py')
    linear = CONFIGS / 'scenes/vit-nano-p8_linear-12e_scenes.py'
    with pytest.raises(ValueError, match='no config of a pre-training'):
        read_config(linear)
    nested = read_config(CONFIGS / 'camvid/cmae_vit-tiny-p16_bs32-6e_camvid.py')
    assert pipeline_of(nested)[0].type == 'cmae_mm.LoadImage'
