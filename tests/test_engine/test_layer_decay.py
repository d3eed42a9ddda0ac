import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

VIT = dict(
    type='mmpretrain.VisionTransformer',
    arch=dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32),
    img_size=32,
    patch_size=8,
    out_type='featmap',
    out_indices=[0, 1, 2, 3],
    final_norm=False,
)
CLASSIFIER = dict(
    type='mmpretrain.ImageClassifier',
    backbone={**VIT, 'out_type': 'cls_token', 'out_indices': -1},
    head=dict(type='mmpretrain.LinearClsHead', num_classes=3, in_channels=16),
)
SEGMENTOR = dict(
    type='mmseg.EncoderDecoder',
    backbone=VIT,
    decode_head=dict(
        type='mmseg.FCNHead', in_channels=16, in_index=3, channels=8, num_classes=3
    ),
)
DETECTOR = dict(
    type='mmdet.RetinaNet',
    backbone={**VIT, 'out_indices': [3]},
    neck=dict(type='mmdet.FPN', in_channels=[16], out_channels=8, num_outs=1),
    bbox_head=dict(
        type='mmdet.RetinaHead',
        num_classes=3,
        in_channels=8,
        feat_channels=8,
        anchor_generator=dict(
            type='mmdet.AnchorGenerator', scales=[4], ratios=[1.0], strides=[8]
        ),
        bbox_coder=dict(type='mmdet.DeltaXYWHBBoxCoder'),
    ),
)


def wrap(model):
    """Optimiser wrapper with layer decay 0.5, learning rate 1, weight decay 0.1."""
    return build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor='cmae_mm.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(
                layer_decay_rate=0.5,
                norm_decay_mult=0.0,
                bias_decay_mult=0.0,
                custom_keys={
                    '.cls_token': dict(decay_mult=0.0),
                    '.pos_embed': dict(decay_mult=0.0),
                },
            ),
        ),
    )


def settings(model, wrapper):
    """Learning rate and weight decay of each parameter by name."""
    names = {id(param): name for name, param in model.named_parameters()}
    return {
        names[id(param)]: (group['lr'], group['weight_decay'])
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    }


@pytest.mark.parametrize(
    ('scope', 'cfg'),
    [('mmpretrain', CLASSIFIER), ('mmseg', SEGMENTOR), ('mmdet', DETECTOR)],
)
def test_rates_are_a_geometric_series_in_all_three_libraries(scope, cfg):
    init_default_scope(scope)
    model = MODELS.build(copy.deepcopy(cfg))
    found = settings(model, wrap(model))
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert set(found) == trained
    for name, (rate, decay) in found.items():
        if name.startswith('backbone.layers.'):
            depth = int(name.split('.')[2]) + 1
        elif name.startswith('backbone.'):
            depth = 0
        else:
            depth = 5
        assert rate == pytest.approx(0.5 ** (5 - depth)), name
        flat = model.get_parameter(name).ndim == 1
        positions = name in ('backbone.cls_token', 'backbone.pos_embed')
        assert decay == (0.0 if flat or positions else 0.1), name


def test_equal_groups_are_merged(build, tiny_cfg):
    model = build(tiny_cfg)
    wrapper = wrap(model)
    groups = wrapper.optimizer.param_groups
    keys = {(g['lr'], g['weight_decay']) for g in groups}
    assert len(groups) == len(keys)
    # Target and fixed positions stay out.
    count = sum(len(g['params']) for g in groups)
    assert count == sum(p.requires_grad for p in model.parameters())


def test_without_a_rate_two_groups_are_left(build, tiny_cfg):
    """Pre-training: with and without weight decay."""
    model = build(tiny_cfg)
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor='cmae_mm.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
        ),
    )
    assert len(wrapper.optimizer.param_groups) == 2


@pytest.mark.parametrize('fused', [False, True])
def test_one_step_equals_one_group_per_parameter(build, tiny_cfg, views, fused):
    """Merging changes nothing but the number of groups, fusing only the rounding."""
    from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor

    ours = build(tiny_cfg)
    theirs = copy.deepcopy(ours)
    stock = LearningRateDecayOptimWrapperConstructor(
        dict(
            type='OptimWrapper', optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1)
        ),
        dict(layer_decay_rate=0.5),
    )
    from cmae_mm.engine.layer_decay import LayerDecayOptimWrapperConstructor, can_fuse

    optimizer = dict(type='AdamW', lr=1.0, weight_decay=0.1)
    if not fused:
        optimizer['fused'] = False
    merged = LayerDecayOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=optimizer), dict(layer_decay_rate=0.5)
    )
    for model, constructor in ((ours, merged), (theirs, stock)):
        wrapper = constructor(model)
        torch.manual_seed(2)
        losses = model.loss(views, [])
        wrapper.update_params(losses['loss_reconstruction'])
        if model is ours:
            assert wrapper.optimizer.defaults['fused'] is (fused and can_fuse(model))
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        if fused:
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(mine, other)


def test_a_missing_weight_decay_explains_itself(build, tiny_cfg):
    from cmae_mm.engine import LayerDecayOptimWrapperConstructor

    constructor = LayerDecayOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1.0)),
        dict(layer_decay_rate=0.5),
    )
    with pytest.raises(ValueError, match='no weight_decay'):
        constructor(build(tiny_cfg))


def test_a_backbone_without_depth_explains_itself():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(NotImplementedError, match='get_layer_depth'):
        wrap(model)
