import re

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.models import VisionTransformer

from cmae_mm.bridge.errors import ConversionError
from cmae_mm.bridge.hybrid import measure_hybrid
from cmae_mm.bridge.vit import Hints, ViTSize, measure


def backbone(arch, **kwargs):
    with torch.device('meta'):
        return VisionTransformer(arch, **kwargs).state_dict()


def test_the_sizes_of_the_paper_are_found():
    for arch, width, depth, heads, patch in [
        ('deit-s', 384, 12, 6, 16),
        ('b', 768, 12, 12, 16),
        ('l', 1024, 24, 16, 16),
        ('h', 1280, 32, 16, 14),
    ]:
        size = measure(backbone(arch, patch_size=patch), Hints())
        grid = (224 // patch, 224 // patch)
        assert size == ViTSize(
            width, depth, heads, 4 * width, patch, grid, 3, pooled=False
        )
        assert size.image == (224, 224)
        assert size.heads_assumed
        said = measure(backbone(arch, patch_size=patch), Hints(heads=heads))
        assert said == size and not said.heads_assumed


def test_what_tensors_do_not_tell_must_be_said():
    arch = dict(embed_dims=24, num_layers=1, num_heads=3, feedforward_channels=8)
    weights = backbone(arch, img_size=(8, 12), patch_size=4, in_channels=5)
    with pytest.raises(ConversionError, match='width 24 .*--heads'):
        measure(weights, Hints(grid=(2, 3)))
    with pytest.raises(ConversionError, match='5 heads do not divide'):
        measure(weights, Hints(heads=5, grid=(2, 3)))
    with pytest.raises(ConversionError, match='6 patches, which are not 2x2.*--grid'):
        measure(weights, Hints(heads=3))
    for grid in [(-2, -3), (1, 2, 3), (2.0, 3.0), '23', 6]:
        with pytest.raises(ConversionError, match='6 patches, which are not .*--grid'):
            measure(weights, Hints(heads=3, grid=grid))
    for heads in ('3', [3], 3.0):
        with pytest.raises(ConversionError, match='which is no whole number.*--heads'):
            measure(weights, Hints(heads=heads, grid=(2, 3)))
    for eps in ('1e-6', float('nan'), -1.0, [1e-6]):
        with pytest.raises(ConversionError, match='eps .* is said to be'):
            measure(weights, Hints(heads=3, grid=(2, 3), eps=eps))
    size = measure(weights, Hints(heads=3, grid=(2, 3), eps=1e-12))
    assert (size.image, size.channels, size.eps) == ((8, 12), 5, 1e-12)


def test_patches_must_be_square():
    arch = dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8)
    weights = backbone(arch, img_size=16, patch_size=(4, 8))
    with pytest.raises(ConversionError, match=r'\(8, 3, 4, 8\)'):
        measure(weights, Hints(heads=1))


@pytest.mark.parametrize(
    'name',
    ['patch_embed.projection.weight', 'pos_embed', 'layers.0.ffn.layers.0.0.weight'],
)
@pytest.mark.parametrize('shape', [(), (17,), (0, 1, 2)])
def test_tensors_of_odd_shapes_are_named(name, shape):
    arch = dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8)
    weights = backbone(arch, img_size=16, patch_size=4)
    weights[name] = torch.ones(shape)
    said = re.escape(f'{name} is a tensor of the shape {shape}')
    with pytest.raises(ConversionError, match=said):
        measure(weights, Hints(heads=1))


@pytest.mark.parametrize(
    ('name', 'shape', 'match'),
    [
        ('stages.x.patch_embed.projection.weight', (4, 3, 2, 2), r'stages\.x\.patch'),
        ('stages..bias', (4,), r'stages\.\.bias is in it'),
        ('stages.7.bias', (4,), r'stages\.2\.patch_embed\S* is missing'),
        ('pos_embed', (16,), r'pos_embed is a tensor of the shape \(16,\)'),
        ('stages.1.patch_embed.projection.weight', (4,), r'stages\.1\.patch_embed'),
    ],
)
def test_odd_tensors_of_a_hybrid_are_named(hybrid_cfg, name, shape, match):
    weights = MODELS.build(hybrid_cfg['backbone']).state_dict()
    assert measure_hybrid(weights, Hints(heads=2)).depths == (1, 1, 2)
    with pytest.raises(ConversionError, match=f'hybrid.*{match}'):
        measure_hybrid({**weights, name: torch.ones(shape)}, Hints(heads=2))


def test_a_norm_after_the_mean_is_seen():
    arch = dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8)
    weights = backbone(arch, final_norm=False, out_type='avg_featmap')
    size = measure(weights, Hints(heads=1))
    assert size.pooled and not size.final_norm
    weights = backbone(arch, out_type='avg_featmap')
    size = measure(weights, Hints(heads=1))
    assert size.pooled and size.final_norm
    del weights['ln1.bias']
    with pytest.raises(ConversionError, match=r'Missing: ln1\.bias'):
        measure(weights, Hints(heads=1))
    with pytest.raises(ConversionError, match=r'Missing: ln1\.bias, ln1\.weight;'):
        measure(backbone(arch, final_norm=False), Hints(heads=1))


def test_another_architecture_is_refused():
    weights = backbone('deit-t')
    weights['layers.3.attn.gamma1.weight'] = torch.ones(192)
    del weights['layers.2.attn.qkv.bias']
    with pytest.raises(
        ConversionError, match=r'layers\.2\.attn\.qkv\.bias.*layers\.3\.attn\.gamma1'
    ):
        measure(weights, Hints(heads=3))
    with pytest.raises(ConversionError, match='no plain vision.*through cmae convert'):
        measure({'stem.conv.weight': torch.ones(1)}, Hints())


def test_the_first_hint_wins():
    hints = Hints(heads=3).or_else(heads=4, eps=1e-12, grid=None)
    assert hints == Hints(heads=3, eps=1e-12)
