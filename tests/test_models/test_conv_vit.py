import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS

from cmae_mm.models import CMAEConvViT, ConvViT

TINY = dict(widths=(8, 12, 16), depths=(2, 1, 3), num_heads=2)


def make(**kwargs):
    backbone = ConvViT(**{**TINY, 'img_size': 64, **kwargs})
    backbone.init_weights()
    backbone.eval()  # returns nothing in mmpretrain
    return backbone


@pytest.mark.parametrize(
    ('size', 'grids'),
    [
        ((64, 64), [(16, 16), (8, 8), (4, 4)]),
        ((96, 160), [(24, 40), (12, 20), (6, 10)]),
        ((50, 70), [(13, 18), (7, 9), (4, 5)]),  # filled up at the border
    ],
)
def test_maps_of_all_stages_for_any_input(size, grids):
    maps = make(out_type='featmap')(torch.randn(2, 3, *size))
    assert [tuple(m.shape) for m in maps] == [
        (2, width, *grid) for width, grid in zip((8, 12, 16), grids, strict=True)
    ]


def test_pretrained_weights_load_and_give_the_same_features():
    """All but the multi-scale sum, which is for pre-training only."""
    encoder = CMAEConvViT(**TINY, img_size=64)
    encoder.init_weights()
    backbone = make(out_type='raw')
    outcome = backbone.load_state_dict(encoder.state_dict(), strict=False)
    assert not outcome.missing_keys
    assert {key.split('.')[0] for key in outcome.unexpected_keys} == {'scale_projs'}
    for param in encoder.scale_projs.parameters():
        torch.nn.init.zeros_(param)
    image = torch.randn(2, 3, 48, 80)
    assert torch.equal(backbone(image)[0], encoder(image, masking=None)[0])


def test_pretrained_positions_are_resized_to_the_grid_built():
    """And a large backbone then gives what a small one gives for the large image."""
    encoder = CMAEConvViT(**TINY, img_size=64)
    encoder.init_weights()
    small, large = make(), make(img_size=(96, 128))
    for backbone in (small, large):
        outcome = backbone.load_state_dict(encoder.state_dict(), strict=False)
        assert not outcome.missing_keys
    assert large.pos_embed.shape == (1, 6 * 8, 16)
    image = torch.randn(1, 3, 96, 128)
    assert torch.equal(small(image)[0], large(image)[0])


def test_outputs_are_one_another():
    maps = make(out_type='featmap', final_norm=False)
    tokens = make(out_type='raw', final_norm=False)
    pooled = make(out_type='avg_featmap', final_norm=False)
    torch.nn.init.normal_(pooled.ln2.weight)
    for other in (tokens, pooled):
        other.load_state_dict(maps.state_dict(), strict=False)
    image = torch.randn(2, 3, 64, 64)
    last = maps(image)[-1]
    assert torch.equal(tokens(image)[0], last.flatten(2).transpose(1, 2))
    mean = last.mean(dim=(2, 3))
    by_hand = (mean - mean.mean(1, keepdim=True)) * pooled.ln2.weight
    by_hand = by_hand / (mean.var(1, correction=0, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(pooled(image)[0], by_hand)


def test_stochastic_depth_rises_linearly_over_all_stages():
    backbone = make(drop_path_rate=0.5)
    rates = [b.drop_path.drop_prob for stage in backbone.stages for b in stage.blocks]
    rates += [layer.attn.out_drop.drop_prob for layer in backbone.layers]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_learning_rates_of_layer_decay():
    """Stages of convolutions are layer 0, as in ConvMAE's recipes."""
    model = MODELS.build(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(
                type='cmae_mm.ConvViT', out_type='avg_featmap', img_size=64, **TINY
            ),
            head=dict(type='mmpretrain.LinearClsHead', num_classes=3, in_channels=16),
        )
    )
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor='cmae_mm.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.5, norm_decay_mult=0.0),
        ),
    )
    rates = {
        id(param): group['lr']
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    }
    first = ('stages', 'patch_embed', 'token_proj', 'pos_embed')
    for name, param in model.named_parameters():
        part, _, rest = name.removeprefix('backbone.').partition('.')
        if part in first:
            depth = 0
        elif part == 'layers':
            depth = 1 + int(rest.split('.')[0])
        else:  # the norms at the end, and the head
            assert part in ('ln1', 'ln2', 'head'), name
            depth = 4
        assert rates[id(param)] == 0.5 ** (4 - depth), name


def test_published_depth_for_layer_decay():
    with torch.device('meta'):
        backbone = ConvViT()
    assert backbone.get_layer_depth('backbone.layers.10.ln1.bias', 'backbone.') == (
        11,
        13,
    )
    assert backbone.get_layer_depth('decode_head.conv.weight', 'backbone.') == (12, 13)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(depths=(2, 1)), 'one number per stage'),
        (dict(widths=(8,), depths=(1,), strides=(4,)), 'two stages or more'),
        (dict(out_type='cls_token'), 'cls_token'),
    ],
)
def test_impossible_settings_explain_themselves(change, words):
    with pytest.raises(ValueError, match=words):
        make(**change)
