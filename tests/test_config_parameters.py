"""Every config builds at full size, with the parameters that its networks have.

Pre-training and classification are counted by formula from the papers' widths and
depths. For UperNet and Mask R-CNN, whose heads are mmseg's and mmdet's, the sum of
:func:`vit` or of the hybrid and what the libraries add is written down.
"""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

CONFIGS = Path(__file__).parents[1] / 'configs'
NAMES = sorted(str(file.relative_to(CONFIGS)) for file in CONFIGS.glob('[!_]*/*.py'))
SIZES = {  # width, depth, patch
    'small': (384, 12, 16),
    'base': (768, 12, 16),
    'large': (1024, 24, 16),
    'huge': (1280, 32, 14),
}
# ConvMAE's base encoder; and its sum over three scales, which pre-training adds.
HYBRID = 84_605_824
SCALES = (16 * 256 + 1) * 768 + (4 * 384 + 1) * 768


def block(width):
    """Attention (4 width^2), MLP (8 width^2), their biases and two norms."""
    return 12 * width**2 + 13 * width


def vit(width, depth, patch, norm=True):
    """With class token, for 224 px."""
    embed = (3 * patch**2 + 1) * width
    positions = ((224 // patch) ** 2 + 1) * width
    return embed + width + positions + depth * block(width) + 2 * width * norm


def decoder(width, depth, out, patches, extra=1):
    """Width 512: embedding, mask token, positions, blocks, norm, prediction."""
    embed = (width + 1) * 512 + 512 + (patches + extra) * 512
    return embed + depth * block(512) + 2 * 512 + (512 + 1) * out


def mlp(width):
    """Linear, BatchNorm, Linear without bias."""
    return (width + 1) * 1536 + 2 * 1536 + 1536 * 256


def cmae(width=768, depth=12, patch=16, features=2, target_norm=False):
    """All parameters, and those that are trained; ``features``: blocks or None."""
    patches = (224 // patch) ** 2
    online = vit(width, depth, patch) + decoder(width, 8, 3 * patch**2, patches)
    # Fixed positions: of the encoder, and of each decoder.
    fixed = (patches + 1) * (width + 512)
    if features is not None:
        online += decoder(width, features, width, patches)
        fixed += (patches + 1) * 512
    heads = mlp(width) + mlp(256)
    target = vit(width, depth, patch, target_norm) + mlp(width)
    return online + heads + target, online + heads - fixed


def hybrid_cmae():
    online = (
        HYBRID + SCALES + decoder(768, 8, 768, 196, 0) + decoder(768, 2, 768, 196, 0)
    )
    heads = mlp(768) + mlp(256)
    target = HYBRID + SCALES - 2 * 768 + mlp(768)
    return online + heads + target, online + heads - 196 * (768 + 2 * 512)


def mae():
    """One encoder, one decoder."""
    online = vit(*SIZES['base']) + decoder(768, 8, 768, 196)
    return online, online - 197 * (768 + 512)


def classifier(size, trained_blocks=None):
    """Behind the mean of the patches, for 1000 classes; None trains everything."""
    width, depth, patch = SIZES[size]
    head = (width + 1) * 1000
    whole = vit(width, depth, patch) + head
    if trained_blocks is None:
        return whole, whole
    norm = 2 * width * (trained_blocks > 0)
    return whole, head + norm + trained_blocks * block(width)


def all_trained(parameters):
    return parameters, parameters


# The first pattern that a config's path fits.
EXPECTED = {
    'ablation/feature-decoder-depth-0': cmae(features=0),
    'ablation/feature-decoder-depth-1': cmae(features=1),
    'ablation/feature-decoder-depth-4': cmae(features=4),
    'ablation/feature-decoder-depth-8': cmae(features=8),
    'ablation/no-contrastive': mae(),
    'ablation/no-feature-decoder': cmae(features=None),
    'ablation/vanilla-contrastive': cmae(features=None),
    # Of the second decoder, the prediction alone is its own.
    'ablation/shared-decoder': tuple(
        count + (512 + 1) * 768 for count in cmae(features=None)
    ),
    'ablation/': cmae(),
    'pretrain/cmae_vit-small': cmae(*SIZES['small']),
    'pretrain/cmae_vit-base': cmae(),
    'pretrain/cmae_vit-large': cmae(*SIZES['large']),
    'pretrain/cmae_vit-huge': cmae(*SIZES['huge']),
    'pretrain/cmae-paper_vit-base': cmae(target_norm=True),
    'pretrain/cmae_convvit-base': hybrid_cmae(),
    'pretrain/mae_vit-base': mae(),
    'finetune/vit-small': classifier('small'),
    'finetune/vit-base': classifier('base'),
    'finetune/vit-large': classifier('large'),
    'finetune/vit-huge': classifier('huge'),
    'finetune/convvit-base': all_trained(HYBRID + 769 * 1000),
    'linear/vit-small': classifier('small', 0),
    'linear/vit-base': classifier('base', 0),
    'linear/vit-large': classifier('large', 0),
    'linear/vit-huge': classifier('huge', 0),
    'partial/vit-base-p16_partial-0_': classifier('base', 0),
    'partial/vit-base-p16_partial-1_': classifier('base', 1),
    'partial/vit-base-p16_partial-2_': classifier('base', 2),
    'partial/vit-base-p16_partial-4_': classifier('base', 4),
    'partial/vit-base-p16_partial-6_': classifier('base', 6),
    'partial/vit-base-p16_partial-12_': classifier('base'),
    'ade20k/convvit-base': all_trained(159_634_092),
    'ade20k/vit-small': all_trained(41_702_444),
    'ade20k/vit-base': all_trained(163_286_828),
    'ade20k/vit-large': all_trained(439_898_412),
    'coco/mask-rcnn_convvit-base': all_trained(109_966_704),
    'coco/mask-rcnn_vit-base': all_trained(116_567_792),
    'coco/mask-rcnn_vitdet-base': all_trained(113_890_224),
    'coco/mask-rcnn_vitdet-large': all_trained(334_677_232),
    'coco/mask-rcnn_vitdet-huge': all_trained(666_194_480),
    'camvid/cmae_vit-tiny': (6_304_288, 3_383_520),
    'camvid/mask-rcnn_vit-tiny': all_trained(3_960_418),
    'camvid/vit-tiny-p16_upernet': all_trained(3_529_366),
    'cifar10/cmae_vit-nano': (1_935_856, 1_061_488),
    'cifar10/vit-nano': all_trained(809_610),
    'scenes/cmae_vit-nano': (1_982_080, 1_089_280),
    'scenes/mask-rcnn_vit-nano': all_trained(1_575_380),
    'scenes/mask-rcnn_vitdet-nano': all_trained(1_542_292),
    'scenes/vit-nano-p8_linear': (827_526, 774),
    'scenes/vit-nano-p8_upernet': all_trained(1_107_214),
}


@pytest.mark.parametrize('name', NAMES)
def test_parameters_of_every_config(name):
    """And how many of them are trained."""
    cfg = Config.fromfile(CONFIGS / name)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        parameters = [*MODELS.build(cfg.model).parameters()]
    expected = next(
        count for start, count in EXPECTED.items() if name.startswith(start)
    )
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    assert (sum(p.numel() for p in parameters), trained) == expected
