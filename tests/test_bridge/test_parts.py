"""No part of a CMAE is written that its class would not load."""

import pytest
import torch

from cmae_mm.bridge import ConversionError, convert

NECK = ('fc0.weight', 'fc0.bias', 'bn0.weight', 'fc1.weight')
DECODER = (
    'mask_token',
    'decoder_pos_embed',
    'decoder_embed.weight',
    'decoder_blocks.0.ln1.weight',
    'decoder_blocks.0.attn.qkv.weight',
    'decoder_blocks.0.ffn.layers.0.0.weight',
    'ln1.bias',
    'decoder_pred.weight',
    'decoder_pred.bias',
)
TENSORS = [
    *(f'pixel_decoder.{name}' for name in DECODER),
    *(f'feature_decoder.{name}' for name in DECODER),
    *(f'projector.{name}' for name in NECK),
    *(f'target_projector.{name}' for name in NECK),
    *(f'head.predictor.{name}' for name in NECK),
    'target_backbone.layers.0.attn.qkv.weight',
    'target_backbone.pos_embed',
]


@pytest.fixture
def attempt(tmp_path, released_weights):
    """Convert the released weights after a change; nothing is left of a failure."""

    def run(change, channels='rgb'):
        change(released_weights)
        torch.save(released_weights, tmp_path / 'theirs.pth')
        out = tmp_path / 'ours.pth'
        try:
            args = tmp_path / 'theirs.pth', out, 'cmae-released', 'cmae-mm'
            return convert(*args, heads=2, channels=channels)
        except ConversionError:
            assert not out.exists()
            raise

    return run


@pytest.mark.parametrize('name', TENSORS)
def test_a_missing_tensor_is_named(attempt, name):
    with pytest.raises(ConversionError) as error:
        attempt(lambda weights: weights.pop(name))
    part = name.split('.')[0].replace('head', 'contrastive_head')
    assert part in str(error.value)
    if 'blocks' not in name and 'bias' not in name:
        assert name.removeprefix('head.').split('.', 1)[1] in str(error.value)


@pytest.mark.parametrize('name', TENSORS)
@pytest.mark.parametrize('axis', [0, -1])
def test_a_tensor_of_another_shape_is_refused(attempt, name, axis):
    def double(weights):
        weights[name] = torch.cat([weights[name]] * 2, dim=axis)

    with pytest.raises(ConversionError) as error:
        attempt(double, channels='bgr')
    assert name.split('.')[0].replace('head', 'contrastive_head') in str(error.value)


def test_positions_of_another_grid_are_not_resized_in_passing(attempt):
    def widen(weights):
        weights['target_backbone.pos_embed'] = torch.randn(1, 26, 16)

    with pytest.raises(ConversionError, match=r'pos_embed \(1, 26, 16\) instead of'):
        attempt(widen)


@pytest.mark.parametrize(
    ('name', 'shape', 'match'),
    [
        ('target_backbone.patch_embed.projection.weight', (16, 1, 4, 4), '1 channels'),
        (
            'target_backbone.patch_embed.projection.bias',
            (),
            r'bias is a tensor .* \(\)',
        ),
        ('pixel_decoder.decoder_pred.bias', (47,), 'decoder_pred.bias has 47 rows'),
    ],
)
def test_colours_that_cannot_be_swapped_are_named(attempt, name, shape, match):
    with pytest.raises(ConversionError, match=match):
        attempt(lambda w: w.update({name: torch.ones(shape)}), channels='bgr')


@pytest.mark.parametrize('part', ['feature_decoder', 'projector', 'head'])
def test_a_part_may_be_missing(attempt, part):
    """Training then starts it afresh, and says so."""

    def drop(weights):
        for name in [name for name in weights if name.startswith(f'{part}.')]:
            del weights[name]

    done = attempt(drop)
    assert part.replace('head', 'contrastive_head') not in done.parts
    assert len(done.parts) == 6


VARIANTS = {
    'three layers': dict(num_layers=3),
    'no bias': dict(with_bias=False),
    'a last norm': dict(with_last_bn=True, norm_cfg=dict(type='BN1d')),
    'a last norm without weight': dict(
        with_last_bn=True, with_last_bn_affine=False, norm_cfg=dict(type='SyncBN')
    ),
}


@pytest.mark.parametrize('variant', VARIANTS.values(), ids=list(VARIANTS))
def test_variants_of_projectors_are_known(tmp_path, tiny_cfg, build, variant):
    tiny_cfg['projector'].update(variant)
    tiny_cfg['contrastive_head']['predictor'].update(variant)
    check(tmp_path, build(tiny_cfg))


@pytest.mark.parametrize(
    'decoder',
    [
        None,
        dict(type='cmae_mm.SharedFeatureDecoder', decoder_embed_dim=8),
        dict(type='cmae_mm.FeatureDecoder', decoder_embed_dim=8, decoder_depth=0),
    ],
    ids=['none', 'shared', 'no blocks'],
)
def test_variants_of_the_feature_decoder_are_known(tmp_path, tiny_cfg, build, decoder):
    if decoder and 'Shared' not in decoder['type']:
        decoder = {**decoder, 'decoder_num_heads': 2}
    tiny_cfg['feature_decoder'] = decoder
    check(tmp_path, build(tiny_cfg))


def test_a_hybrid_has_decoders_without_a_class_token(tmp_path, hybrid_cfg, build):
    check(tmp_path, build(hybrid_cfg))


def check(tmp_path, model):
    """All parts of a model of ours come over."""
    torch.save(model.state_dict(), tmp_path / 'a.pth')
    done = convert(
        tmp_path / 'a.pth', tmp_path / 'b.pth', 'cmae-mm', 'cmae-mm', heads=2
    )
    assert done.parts.keys() == {name.split('.')[0] for name in model.state_dict()}
