"""Every config parses, builds, and means what its header says."""

import copy
import functools
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import HOOKS, MODELS, init_default_scope

from cmae_mm.guards import check_config

CONFIGS = Path(__file__).parents[1] / 'configs'
FILES = sorted(f for f in CONFIGS.glob('*/*.py') if f.parent.name != '_base_')
NAMES = [str(f.relative_to(CONFIGS)) for f in FILES]
PRETRAIN = 'pretrain/{}_vit-base-p16_32xb128-amp-coslr-{}e_in1k.py'


@functools.cache
def parse(name):
    return Config.fromfile(CONFIGS / name)


def load(name):
    cfg = copy.deepcopy(parse(name))
    init_default_scope(cfg.default_scope)
    return cfg


def make_small(cfg):
    """The same backbone at an eighth of the width."""
    backbone = cfg.model.backbone
    if isinstance(backbone.arch, str):
        layers = max(12, 1 + max(backbone.get('out_indices', [0])))
        backbone.arch = dict(
            embed_dims=96, num_layers=layers, num_heads=12, feedforward_channels=192
        )
    backbone.init_cfg = None
    return backbone


@pytest.mark.parametrize('name', NAMES)
def test_config_has_our_hooks_and_runner(name):
    """That it builds, and how large: test_config_parameters.py."""
    cfg = load(name)
    assert cfg.custom_imports == dict(imports=['cmae_mm'], allow_failed_imports=False)
    hooks = [hook['type'] for hook in cfg.custom_hooks]
    assert 'cmae_mm.PlainCheckpointHook' in hooks
    assert 'cmae_mm.CheckPretrainedHook' in hooks
    HOOKS.build(cfg.default_hooks.checkpoint)  # refuses to keep a single checkpoint
    assert cfg.default_hooks.checkpoint.type == 'cmae_mm.DurableCheckpointHook'
    assert 'cmae_mm.StopOnSignalHook' in hooks
    assert 'cmae_mm.CheckSettingsHook' in hooks
    assert 'cmae_mm.ProgressBar' in hooks
    # A sharded run has another runner, and the hook alone.
    sharded = 'strategy' in cfg
    assert cfg.runner_type == ('FlexibleRunner' if sharded else 'cmae_mm.CheckedRunner')


def test_validation_and_test_look_at_pictures_the_same_way():
    """What `mim test` says of a checkpoint is what its training said."""
    validated = [name for name in NAMES if parse(name).get('val_dataloader')]
    assert len(validated) > 20
    for name in validated:
        cfg = parse(name)
        assert cfg.val_dataloader == cfg.test_dataloader, name
        assert cfg.val_evaluator == cfg.test_evaluator, name


@pytest.mark.parametrize('name', [name for name in NAMES if 'cmae_' in name])
def test_pretraining_names_what_it_cannot_read(name):
    """No stock loader, whose failures MMEngine may replace without a word."""
    cfg = load(name)
    assert cfg.default_hooks.quarantine.type == 'cmae_mm.QuarantineHook'
    dataset = cfg.train_dataloader.dataset
    while 'pipeline' not in dataset:
        dataset = dataset.get('dataset') or dataset.datasets[0]
    loaders = ('cmae_mm.FastMasterCrop', 'cmae_mm.LoadImage')
    assert dataset.pipeline[0].type in loaders


@pytest.mark.parametrize('name', NAMES)
def test_every_setting_is_read_by_somebody(name):
    assert check_config(parse(name).to_dict()) == []


@pytest.mark.parametrize('name', NAMES)
def test_header_gives_command_cost_and_expectation(name):
    header = (CONFIGS / name).read_text().split('_base_')[0]
    for word in ('# Command:', '# Cost:', '# Expect:'):
        assert word in header, f'{name} has no {word}'
    assert any(
        f'mim train {library}' in header
        for library in ('mmpretrain', 'mmsegmentation', 'mmdet')
    )
    assert Path(name).name in header.replace('\\\n#     ', '')


@pytest.mark.parametrize(
    'name',
    [
        name
        for name in NAMES
        if not name.startswith(('pretrain/', 'ablation/')) and '/cmae_' not in name
    ],
)
def test_transfer_names_its_checkpoint_once(name):
    cfg = load(name)
    init_cfg = cfg.model.backbone.get('init_cfg')
    assert init_cfg.type == 'Pretrained'
    assert init_cfg.prefix == 'backbone.'
    assert init_cfg.checkpoint.endswith('.pth')
    assert cfg.get('load_from') is None
    assert cfg.model.get('pretrained') is None


@pytest.mark.parametrize(
    'name', [name for name in NAMES if re.match(r'(pretrain|ablation)/', name)]
)
def test_pretraining_follows_the_published_recipe(name):
    """Section 7.1 of the notes on the method: rates, batch, warm-up, decay."""
    cfg = load(name)
    in_name = re.search(r'-(\d+)e_', name)
    epochs = int(in_name.group(1)) if in_name else 300
    assert cfg.train_cfg.max_epochs == epochs
    warmup, cosine = cfg.param_scheduler
    assert (warmup.type, cosine.type) == ('LinearLR', 'CosineAnnealingLR')
    assert (warmup.begin, warmup.end, warmup.start_factor) == (0, 40, 1e-4)
    assert (cosine.begin, cosine.end) == (40, epochs)
    assert cosine.get('T_max') is None and cosine.get('eta_min', 0) == 0
    assert warmup.convert_to_iter_based and cosine.convert_to_iter_based
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.lr == pytest.approx(1.5e-4 * 4096 / 256)
    assert (optimizer.betas, optimizer.weight_decay) == ((0.9, 0.95), 0.05)
    assert cfg.optim_wrapper.type == 'cmae_mm.AutocastOptimWrapper'
    assert cfg.train_dataloader.batch_size * 32 == 4096
    assert cfg.auto_scale_lr.base_batch_size == 4096
    assert cfg.model.ema_decay == 0.996
    assert cfg.model.contrastive_head.get('temperature', 0.07) == 0.07


def views_of(cfg):
    """Master size, and the shift range of the target view."""
    crop, views, _ = cfg.train_dataloader.dataset.pipeline
    return crop.scale, views.shift_range


def test_presets_differ_where_paper_and_released_code_do():
    released = load(PRETRAIN.format('cmae', 300))
    paper = load(PRETRAIN.format('cmae-paper', 300))
    assert views_of(released) == (256, (0, 32))
    assert views_of(paper) == (255, (0, 31))
    for cfg in (released, paper):
        crop, views = cfg.reference_pipeline[1], cfg.reference_pipeline[3]
        assert views_of(cfg) == (crop.scale, views.transforms[1][0].shift_range)
    assert released.model.backbone.mask_ratio == 0.65
    assert released.model.backbone.block_size == 2
    assert paper.model.backbone.mask_ratio == 0.75
    assert paper.model.backbone.block_size == 1
    assert released.model.contrastive_weight == pytest.approx(0.14)
    assert paper.model.contrastive_weight == 1.0
    assert not released.model.target_final_norm
    assert paper.model.target_final_norm


def test_mae_baseline_is_the_same_frame_without_the_second_view():
    cfg = load(PRETRAIN.format('mae', 300))
    steps = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert steps == ['cmae_mm.FastMasterCrop', 'PackInputs']
    assert cfg.train_dataloader.dataset.pipeline[0].scale == 224
    assert cfg.model.contrastive_weight == 0


def test_transfer_recipes():
    finetune = load('finetune/vit-base-p16_8xb128-coslr-100e_in1k.py')
    assert finetune.optim_wrapper.optimizer.lr == pytest.approx(2e-3)
    assert finetune.optim_wrapper.paramwise_cfg.layer_decay_rate == 0.65
    assert finetune.train_cfg.max_epochs == 100
    segment = load('ade20k/vit-base-p16_upernet_8xb2-amp-160k_ade20k-512x512.py')
    assert segment.train_cfg.max_iters == 160000
    assert segment.optim_wrapper.type == 'AmpOptimWrapper'
    assert segment.param_scheduler[1].end == 160000
    detect = load('coco/mask-rcnn_vit-base-p16_fpn_32xb2-amp-lsj-100e_coco.py')
    assert detect.optim_wrapper.optimizer.lr == pytest.approx(1e-4)
    assert detect.optim_wrapper.optimizer.weight_decay == 0.1
    # 25 epochs over a data set repeated 4 times are 100.
    assert detect.train_dataloader.dataset.times * detect.train_cfg.max_epochs == 100
    assert detect.param_scheduler[1].end == 25


@pytest.mark.parametrize(
    'name', [n for n in NAMES if '/vit' in n and 'upernet' in n or 'rcnn_vit-' in n]
)
def test_backbone_takes_any_input_also_non_square(name):
    """Positions are interpolated at run time."""
    cfg = load(name)
    backbone = MODELS.build(make_small(cfg))
    patch = cfg.model.backbone.patch_size
    maps = backbone(torch.randn(1, 3, 4 * patch, 7 * patch))
    assert [tuple(m.shape[2:]) for m in maps] == [(4, 7)] * len(backbone.out_indices)


@pytest.mark.parametrize(
    'name',
    [
        'scenes/vit-nano-p8_linear-12e_scenes.py',
        'scenes/vit-nano-p8_upernet_bs8-600i_scenes-96x96.py',
        'scenes/mask-rcnn_vit-nano-p8_fpn_bs8-2e_scenes.py',
    ],
)
def test_pretrained_backbone_loads_completely_in_all_three_libraries(name):
    """Nothing missing; left over at most the final norm that transfer drops."""
    cmae = MODELS.build(load('scenes/cmae_vit-nano-p8_bs32-8e_scenes.py').model)
    weights = {
        key.removeprefix('backbone.'): value
        for key, value in cmae.state_dict().items()
        if key.startswith('backbone.')
    }
    cfg = load(name)
    cfg.model.backbone.init_cfg = None
    backbone = MODELS.build(cfg.model).backbone
    with_norm = hasattr(backbone, 'ln1')
    outcome = backbone.load_state_dict(weights, strict=False)
    # The linear probe adds a norm behind its pooling.
    assert [key for key in outcome.missing_keys if 'ln2' not in key] == []
    assert set(outcome.unexpected_keys) == (
        set() if with_norm else {'ln1.weight', 'ln1.bias'}
    )
    for key, value in weights.items():
        if key != 'pos_embed' and not key.startswith('ln1'):
            assert torch.equal(backbone.state_dict()[key], value), key


@pytest.mark.parametrize(
    ('size', 'patch', 'millions', 'grid'),
    [
        # Published: DeiT-S 22, ViT-L 304, ViT-H/14 632, with a classifier.
        ('small', 'p16', 21.67, 14),
        ('base', 'p16', 85.80, 14),
        ('large', 'p16', 303.30, 14),
        ('huge', 'p14', 630.76, 16),
    ],
)
def test_encoders_of_all_sizes(size, patch, millions, grid):
    """Parameters of encoder and target; decoders that follow the encoder."""
    cfg = load(f'pretrain/cmae_vit-{size}-{patch}_32xb128-amp-coslr-300e_in1k.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    count = sum(p.numel() for p in model.backbone.parameters()) / 1e6
    assert count == pytest.approx(millions, abs=0.01)
    width = model.backbone.embed_dims
    assert model.backbone.patch_resolution == (grid, grid)
    assert model.pixel_decoder.num_patches == grid**2
    assert model.feature_decoder.decoder_pred.out_features == width
    assert model.projector.fc0.in_features == width
    assert model.target_backbone.embed_dims == width


ABLATIONS = sorted(f.stem for f in (CONFIGS / 'ablation').glob('*.py'))
FULL = PRETRAIN.format('cmae', 300)
VIEWS = 'train_dataloader.dataset.pipeline'
NO_COLOUR = {f'{VIEWS}.1.colour': None}
# Views cut one by one; test_views_of_the_ablations looks at them.
OWN_CROPS = dict.fromkeys([f'{VIEWS}.{i}' for i in (0, 1)] + [f'{VIEWS}.2.meta_keys'])
# Every setting in which an ablation differs from the full method, and its value there.
CHANGES = {
    'no-contrastive': {'model.contrastive_weight': 0.0, **NO_COLOUR},
    'vanilla-contrastive': {'model.feature_decoder': None, **OWN_CROPS},
    'no-feature-decoder': {'model.feature_decoder': None},
    'shared-decoder': {
        'model.feature_decoder': dict(
            type='cmae_mm.SharedFeatureDecoder',
            decoder_embed_dim=512,
            init_cfg=parse(FULL).model.feature_decoder.init_cfg,
        )
    },
    'byol-loss': {
        'model.contrastive_head': dict(
            type='cmae_mm.PositivePairHead',
            predictor=parse(FULL).model.contrastive_head.predictor,
        ),
        'model.contrastive_weight': 1.0,
    },
    'target-visible': {'model.target_sees_all': False},
    'momentum-cosine': {'model.ema_end_decay': 1.0},
    'no-colour': NO_COLOUR,
    'same-view': {f'{VIEWS}.1.shift_range': (0, 1)},
    'random-crop': OWN_CROPS,
    'random-crop_no-colour': OWN_CROPS,
    **{
        f'feature-decoder-depth-{depth}': {'model.feature_decoder.decoder_depth': depth}
        for depth in (0, 1, 4, 8)
    },
    **{
        f'contrastive-weight-{weight}': {
            'model.contrastive_weight': pytest.approx(0.14 * weight)
        }
        for weight in (0.5, 1.5, 2)
    },
    **{
        f'shift-range-{reach}': {
            f'{VIEWS}.0.scale': 224 + reach,
            f'{VIEWS}.1.shift_range': (0, reach),
        }
        for reach in (16, 64, 128)
    },
    'mask-0.5_block-2': {'model.backbone.mask_ratio': 0.5},
    'mask-0.65_block-1': {'model.backbone.block_size': 1},
    'mask-0.75_block-1': {
        'model.backbone.mask_ratio': 0.75,
        'model.backbone.block_size': 1,
    },
    'mask-0.75_block-2': {'model.backbone.mask_ratio': 0.75},
}


def changed(before, after, path=''):
    """What ``after`` has in every place that differs; None where it has nothing."""
    if before == after:
        return {}
    if isinstance(before, dict) and isinstance(after, dict):
        alike = before.get('type') == after.get('type')
        keys = before.keys() | after
    else:
        alike = isinstance(before, list) and isinstance(after, list)
        alike = alike and len(before) == len(after)
        keys = range(len(before)) if alike else ()
    if not alike:
        return {path: after}
    found = {}
    for key in keys:
        inside = f'{path}.{key}' if path else key
        if isinstance(before, dict):
            found |= changed(before.get(key), after.get(key), inside)
        else:
            found |= changed(before[key], after[key], inside)
    return found


def without_helpers(name):
    """A config without the names that its file gives to parts of a pipeline."""
    helpers = ('pipeline', 'reference_pipeline', 'view', 'target_view', 'own_crop')
    return {k: v for k, v in load(name).to_dict().items() if k not in helpers}


@pytest.mark.parametrize('stem', ABLATIONS)
def test_ablation_changes_what_it_says_and_nothing_else(stem):
    found = changed(without_helpers(FULL), without_helpers(f'ablation/{stem}.py'))
    expected = CHANGES[stem]
    if expected.keys() & OWN_CROPS:
        assert found.keys() == expected.keys()
    else:
        assert found == expected


def steps_of(view):
    return [step['type'] for step in view]


def test_views_of_the_ablations():
    def pipeline(stem):
        return load(f'ablation/{stem}.py').train_dataloader.dataset.pipeline

    assert views_of(load('ablation/same-view.py'))[1] == (0, 1)
    assert pipeline('no-colour')[1].colour is None
    random_crop = pipeline('random-crop')
    assert steps_of(random_crop) == ['cmae_mm.LoadImage', 'MultiView', 'PackInputs']
    online, target = random_crop[1].transforms
    assert steps_of(online) == ['RandomResizedCrop', 'RandomFlip']
    assert steps_of(target)[:2] == ['RandomResizedCrop', 'RandomFlip']
    assert steps_of(target)[-1] == 'GaussianBlur'
    assert online[0]['scale'] == target[0]['scale'] == 224
    target = pipeline('random-crop_no-colour')[1].transforms[1]
    assert steps_of(target) == ['RandomResizedCrop', 'RandomFlip']
    assert pipeline('no-contrastive')[1].colour is None


@pytest.mark.parametrize('stem', ABLATIONS)
def test_no_parameter_of_an_ablation_is_left_without_a_gradient(stem):
    """Distributed training would wait for it."""
    cfg = load(f'ablation/{stem}.py').model
    cfg.backbone.update(
        arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16),
        img_size=64,
    )
    for decoder in (cfg.pixel_decoder, cfg.feature_decoder):
        if decoder is not None:
            decoder.decoder_embed_dim = 16
    cfg.pixel_decoder.decoder_depth = 1
    if 'ema_end_decay' in cfg:
        cfg.ema_end_decay = None  # wants a runner, and changes no gradient
    model = MODELS.build(cfg)
    losses = model.loss([torch.randn(4, 3, 64, 64) for _ in range(2)], [])
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    waiting = [
        name
        for name, param in model.named_parameters()
        if param.requires_grad and param.grad is None
    ]
    assert waiting == []
