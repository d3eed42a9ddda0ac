"""The configs of the hybrid mean what their headers say."""

import copy
import functools
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

CONFIGS = Path(__file__).parents[1] / 'configs'
PRETRAIN = 'pretrain/cmae_convvit-base-p16_32xb128-amp-coslr-{}e_in1k.py'
FINETUNE = 'finetune/convvit-base_8xb128-coslr-100e_in1k.py'
SEGMENT = 'ade20k/convvit-base_upernet_8xb2-amp-160k_ade20k-512x512.py'
DETECT = 'coco/mask-rcnn_convvit-base_fpn_16xb2-amp-lsj-25e_coco.py'
TINY = dict(widths=(8, 12, 16), depths=(1, 1, 2), num_heads=2, init_cfg=None)


@functools.cache
def parse(name):
    return Config.fromfile(CONFIGS / name)


def load(name):
    cfg = copy.deepcopy(parse(name))
    init_default_scope(cfg.default_scope)
    return cfg


def test_pretraining_differs_from_the_plain_vit_by_the_encoder_only():
    hybrid = load(PRETRAIN.format(300)).to_dict()
    plain = load(PRETRAIN.format(300).replace('convvit', 'vit')).to_dict()
    encoder = hybrid['model'].pop('backbone')
    vit = plain['model'].pop('backbone')
    assert encoder.pop('type') == 'cmae_mm.CMAEConvViT'
    assert encoder == {key: vit[key] for key in encoder}  # masks, size, initialisation
    assert hybrid == plain


def test_the_whole_model_follows_the_encoder():
    """Decoders without a class token, for 196 patches of 768 numbers."""
    with torch.device('meta'):
        model = MODELS.build(load(PRETRAIN.format(300)).model)
    for decoder in (model.pixel_decoder, model.feature_decoder):
        assert decoder.num_extra_tokens == 0
        assert decoder.decoder_pos_embed.shape == (1, 196, 512)
    assert model.pixel_decoder.decoder_pred.out_features == 768
    assert model.projector.fc0.in_features == 768


def test_one_training_step_of_a_small_hybrid(build, tiny_cfg):
    """Both branches, without a class token, and a target that sees as little."""
    tiny_cfg['backbone'] = dict(
        type='cmae_mm.CMAEConvViT',
        widths=(8, 12, 16),
        depths=(1, 1, 2),
        num_heads=2,
        img_size=64,
        block_size=2,
        mask_ratio=0.5,
    )
    views = [torch.randn(2, 3, 64, 64), torch.randn(2, 3, 64, 64)]
    for sees_all in (True, False):
        losses = build({**tiny_cfg, 'target_sees_all': sees_all}).loss(views, [])
        total = losses['loss_reconstruction'] + losses['loss_contrastive']
        assert torch.isfinite(total)
        total.backward()


def test_longer_pretraining_differs_by_the_epochs_only():
    short, long = (load(PRETRAIN.format(epochs)).to_dict() for epochs in (300, 1600))
    assert long['train_cfg'].pop('max_epochs') == 1600
    assert long['param_scheduler'][1].pop('end') == 1600
    short['train_cfg'].pop('max_epochs')
    short['param_scheduler'][1].pop('end')
    assert long == short


def test_encoder_of_pretraining_builds_and_initialises():
    """Positions by rows, patch embedding and Linears by Xavier."""
    cfg = load(PRETRAIN.format(300)).model.backbone
    cfg.update(widths=(8, 12, 16), depths=(1, 1, 2), num_heads=2, img_size=64)
    encoder = MODELS.build(cfg)
    encoder.init_weights()
    assert encoder.masking.num_visible == 4  # one of four cells of 2x2 patches
    for layer in (encoder.token_proj, encoder.layers[0].attn.proj):
        limit = (6 / sum(layer.weight.shape)) ** 0.5
        assert 0.9 * limit < layer.weight.abs().max() <= limit
        assert not layer.bias.any()


@pytest.mark.parametrize('name', [FINETUNE, SEGMENT, DETECT])
def test_pretrained_encoder_fills_the_whole_backbone(name):
    """At full size, on the meta device: names and shapes without memory."""
    with torch.device('meta'):
        encoder = MODELS.build(load(PRETRAIN.format(300)).model.backbone)
        backbone = MODELS.build(load(name).model.backbone)
    held = {key: value.shape for key, value in encoder.state_dict().items()}
    for key, value in backbone.state_dict().items():
        if key == 'pos_embed':
            assert held[key] == (1, 196, 768)  # resized while loading
        elif not key.startswith('ln2'):  # the norm behind the pooling
            assert held[key] == value.shape, key


@pytest.mark.parametrize(
    ('name', 'grids'),
    [
        (SEGMENT, [(16, 24), (8, 12), (4, 6), (2, 3)]),
        (DETECT, [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]),
    ],
)
def test_pyramid_of_the_whole_model(name, grids):
    """Backbone and neck of full shape, at a fraction of the width."""
    cfg = load(name).model
    cfg.backbone.update(TINY)
    if name == SEGMENT:
        cfg.neck.channels = 16
        cfg.decode_head.in_channels = [8, 12, 16, 16]
        cfg.auxiliary_head.in_channels = 16
    else:
        cfg.neck[1].in_channels = [8, 12, 16, 16]
    model = MODELS.build(cfg).eval()
    maps = model.extract_feat(torch.randn(1, 3, 64, 96))
    assert [tuple(m.shape[2:]) for m in maps] == grids


def test_recipes():
    """ConvMAE's, section 7.5 and 7.6 of the notes on the method."""
    finetune = load(FINETUNE)
    assert finetune.optim_wrapper.optimizer.lr == pytest.approx(2e-3)
    assert finetune.optim_wrapper.paramwise_cfg.layer_decay_rate == 0.65
    assert finetune.model.backbone.drop_path_rate == 0.1
    assert finetune.train_dataloader.batch_size * 8 == 1024
    assert finetune.train_cfg.max_epochs == 100
    segment = load(SEGMENT)
    assert segment.optim_wrapper.type == 'AmpOptimWrapper'
    assert segment.optim_wrapper.optimizer.lr == pytest.approx(1e-4)
    assert segment.optim_wrapper.optimizer.weight_decay == 0.05
    assert segment.optim_wrapper.paramwise_cfg.layer_decay_rate == 0.75
    assert segment.model.backbone.drop_path_rate == 0.2
    assert segment.model.test_cfg.stride == (341, 341)
    assert segment.model.decode_head.channels == 768
    assert segment.model.auxiliary_head.in_index == 2
    detect = load(DETECT)
    assert detect.optim_wrapper.type == 'AmpOptimWrapper'
    assert detect.optim_wrapper.optimizer.lr == pytest.approx(8e-5)
    assert detect.optim_wrapper.optimizer.weight_decay == 0.1
    assert detect.optim_wrapper.paramwise_cfg.layer_decay_rate == 1.0
    assert detect.train_dataloader.batch_size * 16 == 32
    assert detect.train_dataloader.dataset.times * detect.train_cfg.max_epochs == 25
    warmup, cosine = detect.param_scheduler
    assert (warmup.start_factor, warmup.end, cosine.end) == (1e-3, 461, 25)


def norms_that_decay(model, name):
    """Parameters of norms that the config lets decay."""
    from mmengine.optim import build_optim_wrapper

    cfg = load(name).optim_wrapper
    cfg.type = 'OptimWrapper'  # mixed precision needs a GPU
    cfg.pop('loss_scale', None)
    wrapper = build_optim_wrapper(model, cfg)
    decays = {
        id(param)
        for group in wrapper.optimizer.param_groups
        for param in group['params']
        if group['weight_decay']
    }
    return [
        key
        for key, module in model.named_modules()
        if isinstance(module, torch.nn.LayerNorm)
        and {id(param) for param in module.parameters()} & decays
    ]


def test_fine_tuning_lets_no_norm_decay():
    cfg = load(FINETUNE).model
    cfg.backbone.update(TINY)
    cfg.head.in_channels = 16
    model = MODELS.build(cfg)
    assert norms_that_decay(model, FINETUNE) == []
