"""The recipes of transfer: what each config trains, how, and for how long."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

CONFIGS = Path(__file__).parents[1] / 'configs'
FINETUNE = 'finetune/vit-{}_8xb128-coslr-{}e_in1k.py'
LONGER = 'finetune/vit-base-p16_cmae-1600e-pre_8xb128-coslr-100e_in1k.py'
LINEAR = 'linear/vit-{}_8xb2048-linear-coslr-90e_in1k.py'
PARTIAL = 'partial/vit-base-p16_partial-{}_8xb128-coslr-100e_in1k.py'
ADE20K = 'ade20k/vit-{}-p16_upernet_8xb2-amp-160k_ade20k-512x512.py'
COCO = 'coco/mask-rcnn_vitdet-{}_32xb2-amp-lsj-{}e_coco.py'
BATCH = r'_(\d+)xb(\d+)'
NAMED_BY_BATCH = sorted(
    str(file.relative_to(CONFIGS))
    for file in CONFIGS.glob('[!_]*/*.py')
    if re.search(BATCH, file.stem)
)
TINY = dict(embed_dims=16, num_layers=12, num_heads=2, feedforward_channels=32)


def load(name):
    cfg = Config.fromfile(CONFIGS / name)
    init_default_scope(cfg.default_scope)
    return cfg


def build(cfg):
    """At full size, without memory."""
    with torch.device('meta'):
        return MODELS.build(cfg.model)


def count(module):
    return sum(param.numel() for param in module.parameters())


# Parameters of the classifier as timm counts them, from the papers' ViTs.
@pytest.mark.parametrize(
    ('size', 'epochs', 'rate', 'layer_decay', 'drop_path', 'parameters'),
    [
        ('small-p16', 100, 2e-3, 0.65, 0.1, 22_050_664),
        ('base-p16', 100, 2e-3, 0.65, 0.1, 86_567_656),
        ('large-p16', 50, 4e-3, 0.75, 0.2, 304_326_632),
        ('huge-p14', 50, 4e-3, 0.75, 0.3, 632_045_800),
    ],
)
def test_fine_tuning(size, epochs, rate, layer_decay, drop_path, parameters):
    """MAE's recipes: base rates 5e-4 and 1e-3 for 256 images, batch 1024."""
    cfg = load(FINETUNE.format(size, epochs))
    optim = cfg.optim_wrapper
    assert optim.constructor == 'cmae_mm.LayerDecayOptimWrapperConstructor'
    assert optim.optimizer.lr == pytest.approx(rate)
    assert optim.optimizer.weight_decay == 0.05
    assert optim.optimizer.betas == (0.9, 0.999)
    assert optim.paramwise_cfg.layer_decay_rate == layer_decay
    assert cfg.train_dataloader.batch_size * 8 == 1024
    warmup, cosine = cfg.param_scheduler
    assert (warmup.end, cosine.begin) == (5, 5)
    assert cosine.end == cfg.train_cfg.max_epochs == epochs
    assert cosine.T_max == epochs - 5
    assert cfg.model.backbone.drop_path_rate == drop_path
    model = build(cfg)
    assert count(model) == parameters
    assert count(model) == sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    'name',
    sorted(file.stem for file in (CONFIGS / 'finetune').glob('*.py')),
)
def test_fine_tuning_regularises_as_published(name):
    """Section 7.2 of the notes on the method; mmpretrain's files hold most of it."""
    cfg = load(f'finetune/{name}.py')
    warmup, cosine = cfg.param_scheduler
    assert (warmup.type, warmup.start_factor) == ('LinearLR', 1e-4)
    assert (cosine.type, cosine.eta_min) == ('CosineAnnealingLR', 1e-6)
    assert warmup.convert_to_iter_based and cosine.convert_to_iter_based
    mixup, cutmix = cfg.model.train_cfg.augments
    assert (mixup.type, mixup.alpha) == ('Mixup', 0.8)
    assert (cutmix.type, cutmix.alpha) == ('CutMix', 1.0)
    head = cfg.model.head
    assert (head.loss.type, head.loss.label_smooth_val) == ('LabelSmoothLoss', 0.1)
    (start,) = head.init_cfg if isinstance(head.init_cfg, list) else [head.init_cfg]
    assert (start['type'], start['std']) == ('TruncNormal', 2e-5)
    _, crop, flip, augment, erasing, _ = cfg.train_dataloader.dataset.pipeline
    assert (crop.scale, crop.interpolation, flip.prob) == (224, 'bicubic', 0.5)
    assert augment.policies == 'timm_increasing'
    assert (augment.magnitude_level, augment.num_policies) == (9, 2)
    assert augment.magnitude_std == 0.5
    assert (erasing.erase_prob, erasing.mode) == (0.25, 'rand')
    assert (erasing.min_area_ratio, erasing.max_area_ratio) == (0.02, 1 / 3)
    _, edge, middle, _ = cfg.test_dataloader.dataset.pipeline
    assert (edge.scale, edge.interpolation) == (256, 'bicubic')
    assert middle.crop_size == 224


def test_after_1600_epochs_the_rate_is_half():
    """Base rate 2.5e-4 for 256 images; nothing else differs."""
    short = load(FINETUNE.format('base-p16', 100)).to_dict()
    long = load(LONGER).to_dict()
    assert long['optim_wrapper']['optimizer'].pop('lr') == pytest.approx(1e-3)
    assert short['optim_wrapper']['optimizer'].pop('lr') == pytest.approx(2e-3)
    for cfg in (short, long):
        cfg['model']['backbone']['init_cfg'].pop('checkpoint')
    assert long == short


@pytest.mark.parametrize(
    ('size', 'width'),
    [('small-p16', 384), ('base-p16', 768), ('large-p16', 1024), ('huge-p14', 1280)],
)
def test_linear_probing_trains_nothing_but_the_classifier(size, width):
    cfg = load(LINEAR.format(size))
    optim = cfg.optim_wrapper
    assert (optim.type, optim.optimizer.type) == ('AmpOptimWrapper', 'LARS')
    assert optim.optimizer.lr == pytest.approx(0.1 * 16384 / 256)
    assert (optim.optimizer.weight_decay, optim.optimizer.momentum) == (0, 0.9)
    assert cfg.train_dataloader.batch_size * 8 == 16384
    warmup, cosine = cfg.param_scheduler
    assert (warmup.begin, warmup.end, cosine.begin) == (0, 10, 10)
    assert cfg.train_cfg.max_epochs == cosine.end == 90
    assert (cosine.T_max, cosine.eta_min) == (80, 0)
    steps = [step['type'] for step in cfg.train_dataloader.dataset.pipeline]
    assert steps[1:-1] == ['RandomResizedCrop', 'RandomFlip']
    model = build(cfg)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained == {'head.layers.head.weight', 'head.layers.head.bias'}
    assert model.head.layers.head.weight.shape == (1000, width)
    assert model.backbone.pos_embed.shape[2] == width


@pytest.mark.parametrize('name', NAMED_BY_BATCH)
def test_rates_are_scaled_from_the_batch_in_the_name(name):
    """For `--auto-scale-lr` of mmpretrain and mmdet; mmseg has none."""
    gpus, each = map(int, re.search(BATCH, name).groups())
    cfg = Config.fromfile(CONFIGS / name)
    assert cfg.train_dataloader.batch_size == each
    scaling = cfg.get('auto_scale_lr')
    assert (scaling is None) == name.startswith('ade20k/')
    assert scaling is None or scaling.base_batch_size == gpus * each


@pytest.mark.parametrize('blocks', [1, 2, 4, 6])
def test_partial_fine_tuning_trains_the_last_blocks(blocks):
    """And nothing else of the encoder but the norm behind the pooling."""
    cfg = load(PARTIAL.format(blocks))
    assert cfg.optim_wrapper == load(LONGER).optim_wrapper
    cfg.model.backbone.update(
        arch=TINY, img_size=32, patch_size=8, init_cfg=None, drop_path_rate=0.9
    )
    cfg.model.head.in_channels = 16
    model = MODELS.build(cfg.model)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    parts = {name.rsplit('.', 1)[0] for name in trained if 'layers.' not in name}
    assert parts == {'backbone.ln2', 'head.fc'}
    numbers = {int(n.split('.')[2]) for n in trained if 'backbone.layers.' in n}
    assert numbers == set(range(12 - blocks, 12))
    assert not model.backbone.pos_embed.requires_grad
    assert not model.backbone.cls_token.requires_grad

    # In training, too, what is frozen gives the same for the same image; drop path
    # goes on in what is trained.
    seen = {}
    for number in (11 - blocks, 11):
        model.backbone.layers[number].register_forward_hook(
            lambda _, __, out, number=number: seen.setdefault(number, []).append(out)
        )
    model.train()
    image = torch.randn(1, 3, 32, 32).expand(16, -1, -1, -1)
    model.backbone(image)
    frozen, last = seen[11 - blocks][0], seen[11][0]
    torch.testing.assert_close(frozen, frozen[:1].expand_as(frozen))
    assert (last - last[:1]).abs().max() > 1e-3


def test_partial_fine_tuning_ends_in_linear_probing_and_in_fine_tuning():
    probe = 'partial/vit-base-p16_partial-0_8xb2048-linear-coslr-90e_in1k.py'
    assert load(probe).to_dict() == load(LINEAR.format('base-p16')).to_dict()
    assert load(PARTIAL.format(12)).to_dict() == load(LONGER).to_dict()


def assert_upernet_schedule(cfg):
    """Section 7.5 of the notes on the method, for the ViT and for the hybrid."""
    warmup, poly = cfg.param_scheduler
    assert (warmup.start_factor, warmup.begin, warmup.end) == (1e-6, 0, 1500)
    assert (poly.type, poly.power, poly.eta_min) == ('PolyLR', 1.0, 0)
    assert (poly.begin, poly.end) == (1500, 160000)
    assert cfg.model.test_cfg.stride == (341, 341)
    resize, crop = cfg.train_dataloader.dataset.pipeline[2:4]
    assert (resize.scale, resize.ratio_range) == ((2048, 512), (0.5, 2.0))
    assert crop.crop_size == (512, 512)
    assert cfg.optim_wrapper.optimizer.betas == (0.9, 0.999)


def test_upernet_of_the_hybrid_has_the_same_schedule():
    """Its other values: test_hybrid_configs.py."""
    cfg = load('ade20k/convvit-base_upernet_8xb2-amp-160k_ade20k-512x512.py')
    assert_upernet_schedule(cfg)


@pytest.mark.parametrize(
    ('size', 'width', 'heads', 'blocks', 'outputs', 'drop_path'),
    [
        ('small', 384, 6, 12, [3, 5, 7, 11], 0.1),
        ('base', 768, 12, 12, [3, 5, 7, 11], 0.1),
        ('large', 1024, 16, 24, [7, 11, 15, 23], 0.2),
    ],
)
def test_upernet(size, width, heads, blocks, outputs, drop_path):
    cfg = load(ADE20K.format(size))
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[1].end == 160000
    assert cfg.train_dataloader.batch_size * 8 == 16
    optim = cfg.optim_wrapper
    assert (optim.type, optim.optimizer.lr) == ('AmpOptimWrapper', 8e-5)
    assert optim.optimizer.weight_decay == 0.05
    assert optim.paramwise_cfg.layer_decay_rate == 0.8
    assert_upernet_schedule(cfg)
    assert cfg.model.backbone.drop_path_rate == drop_path
    model = build(cfg)
    backbone = model.backbone
    assert backbone.out_indices == outputs
    assert (backbone.embed_dims, len(backbone.layers)) == (width, blocks)
    assert backbone.layers[0].attn.num_heads == heads
    # The widths of neck and heads agree: a picture goes through.
    with torch.device('meta'):
        logits = model.eval()(torch.zeros(1, 3, 64, 96))
    assert logits.shape == (1, 150, 16, 24)


@pytest.mark.parametrize(
    ('size', 'epochs', 'layer_decay', 'drop_path', 'width', 'blocks'),
    [
        ('base-p16', 100, 0.7, 0.1, 768, 12),
        ('large-p16', 100, 0.8, 0.4, 1024, 24),
        ('huge-p16', 75, 0.9, 0.5, 1280, 32),
    ],
)
def test_vitdet(size, epochs, layer_decay, drop_path, width, blocks):
    """ViTDet's values; rate, weight decay and cosine are known of CMAE."""
    cfg = load(COCO.format(size, epochs))
    optim = cfg.optim_wrapper
    assert optim.type == 'AmpOptimWrapper'
    assert optim.optimizer.lr == pytest.approx(1e-4)
    assert optim.optimizer.weight_decay == 0.1
    assert optim.paramwise_cfg.layer_decay_rate == layer_decay
    assert cfg.train_dataloader.batch_size * 32 == cfg.auto_scale_lr.base_batch_size
    assert cfg.train_dataloader.dataset.times * cfg.train_cfg.max_epochs == epochs
    warmup, cosine = cfg.param_scheduler
    assert (warmup.start_factor, warmup.end) == (1e-3, 250)
    assert (cosine.type, cosine.end) == ('CosineAnnealingLR', cfg.train_cfg.max_epochs)
    assert optim.optimizer.betas == (0.9, 0.999)
    jitter, crop = cfg.train_dataloader.dataset.dataset.pipeline[2:4]
    assert (jitter.scale, jitter.ratio_range) == ((1024, 1024), (0.1, 2.0))
    assert crop.crop_size == (1024, 1024)
    assert cfg.test_dataloader.dataset.pipeline[1].scale == (1024, 1024)
    assert cfg.model.data_preprocessor.pad_size_divisor == 1024
    assert cfg.model.backbone.drop_path_rate == drop_path

    model = build(cfg)
    backbone = model.backbone
    assert (backbone.embed_dims, len(backbone.layers)) == (width, blocks)
    with torch.device('meta'):
        plain = MODELS.build(
            dict(
                type='mmpretrain.VisionTransformer',
                arch=cfg.model.backbone.arch,
                img_size=1024,
                with_cls_token=False,
                out_type='featmap',
                final_norm=False,
            )
        )
    head = width // backbone.layers[0].attn.num_heads
    tables = 2 * head * ((blocks - 4) * 27 + 4 * 127)
    assert count(backbone) == count(plain) + tables
    # 4 convolutions in each head, with LayerNorm; one linear layer, 2 in the RPN.
    assert len(model.roi_head.bbox_head.shared_fcs) == 1
    box, mask = model.roi_head.bbox_head, model.roi_head.mask_head
    for convs in (box.shared_convs, mask.convs):
        assert [conv.norm_name for conv in convs] == ['ln'] * 4
    assert len(model.rpn_head.rpn_conv) == 2
    with torch.device('meta'):
        maps = model.neck((torch.zeros(1, width, 64, 64),))
    assert [m.shape[-1] for m in maps] == [256, 128, 64, 32, 16]


@pytest.mark.parametrize(
    'name',
    [
        COCO.format('base-p16', 100),
        COCO.format('huge-p16', 75),
        'scenes/mask-rcnn_vitdet-nano-p8_bs8-2e_scenes.py',
    ],
)
def test_a_plain_checkpoint_passes_the_check_of_vitdet(name):
    """Only relative positions, and ViT-H's patch embedding, are missing in it."""
    cfg = load(name)
    backbone = build(cfg).backbone
    wanted = dict(backbone.named_parameters())
    fresh = [n for n in wanted if 'rel_pos' in n]
    fresh += ['patch_embed.projection.weight'] if 'huge' in name else []
    (check,) = (
        hook
        for hook in cfg.custom_hooks
        if hook['type'] == 'cmae_mm.CheckPretrainedHook'
    )
    assert check['min_share'] < 1 - len(fresh) / len(wanted) < 0.9


def test_small_vitdet_runs_in_mask_rcnn():
    """Finite gradients everywhere, some in the whole backbone, and a prediction."""
    cfg = load('scenes/mask-rcnn_vitdet-nano-p8_bs8-2e_scenes.py')
    cfg.model.backbone.init_cfg = None
    cfg.model.train_cfg.rpn_proposal.max_per_img = 20
    model = MODELS.build(cfg.model)
    from mmdet.testing import demo_mm_inputs

    shapes = [[3, 96, 88]]
    data = demo_mm_inputs(1, shapes, num_items=[2], num_classes=6, with_mask=True)
    data = model.data_preprocessor(data, training=True)
    losses = model(**data, mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert all(param.grad.isfinite().all() for param in model.parameters())
    for name, param in model.backbone.named_parameters():
        assert param.grad.any(), name
    with torch.no_grad():
        (found,) = model.eval()(**data, mode='predict')
    assert found.pred_instances.masks.shape[1:] == (96, 88)
