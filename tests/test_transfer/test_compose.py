"""Composed configs: what they are made of, and that they build for every encoder."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, PARAM_SCHEDULERS, init_default_scope

from cmae_mm.guards.settings import check_config
from cmae_mm.transfer import mask_rcnn, upernet
from cmae_mm.transfer.coco_data import read_coco
from cmae_mm.transfer.encoder import EncoderInfo
from cmae_mm.transfer.label_maps import read_label_maps
from cmae_mm.transfer.running import claim, need_library, write_config

FAST = ('nano', 'huge', 'hybrid')
# Width, depth, heads, patch, side in pre-training.
SIZES = dict(
    cifar=(128, 4, 4, 4, 32),
    nano=(128, 4, 4, 8, 64),
    tiny=(192, 6, 6, 16, 128),
    small=(384, 12, 6, 16, 224),
    base=(768, 12, 12, 16, 224),
    large=(1024, 24, 16, 16, 224),
    huge=(1280, 32, 16, 14, 224),
)


# One of each kind; the others take as long, and are slow together.
ENCODERS = [
    pytest.param(size, marks=[] if size in FAST else pytest.mark.slow)
    for size in (*SIZES, 'hybrid')
]


def make_encoder(size, image=None):
    common = dict(
        checkpoint=Path('/pretrain/epoch_1.pth'),
        mean=[1.0, 2.0, 3.0],
        std=[4.0, 5.0, 6.0],
        to_rgb=True,
    )
    if size == 'hybrid':
        backbone = dict(type='cmae_mm.CMAEConvViT', img_size=(224, 224))
        return EncoderInfo(backbone=backbone, image=(224, 224), **common)
    width, depth, heads, patch, side = SIZES[size]
    arch = dict(
        embed_dims=width,
        num_layers=depth,
        num_heads=heads,
        feedforward_channels=4 * width,
    )
    image = image or (side, side)
    backbone = dict(
        type='cmae_mm.CMAEViT',
        arch=arch,
        img_size=image,
        patch_size=patch,
        norm_cfg=dict(type='LN', eps=1e-6),
    )
    return EncoderInfo(backbone=backbone, image=image, **common)


def reload(cfg, folder):
    """As a user's runner reads it, after our own check of all settings."""
    cfg = Config.fromfile(write_config(cfg, folder))
    init_default_scope(cfg.default_scope)
    assert check_config(cfg) == []
    with torch.device('meta'):
        return cfg, MODELS.build(cfg.model)


@pytest.mark.parametrize('size', ENCODERS)
def test_upernet_for_every_encoder(size, few_scenes, tmp_path):
    data = read_label_maps(few_scenes / 'scenes')
    encoder = make_encoder(size)
    crop = upernet.choose_crop(
        upernet.choose_recipe(encoder), side=300, patch=encoder.patch
    )
    cfg, said = upernet.compose_upernet(encoder, data, 1000, 4, crop, on_gpu=False)
    cfg, model = reload(cfg, tmp_path)
    small = size in ('cifar', 'nano', 'tiny')
    assert crop == (256 if small else 300 // encoder.patch * encoder.patch)
    recipe = upernet.choose_recipe(encoder).config
    assert cfg.composed_from == Path(recipe).stem, 'the report looks it up'
    rate, base = (2e-3, 8) if small else (1e-4 if size == 'hybrid' else 8e-5, 16)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(rate * 4 / base)
    assert f'{rate:.3g} for {base} images' in said
    assert cfg.optim_wrapper.type == 'OptimWrapper', 'mixed precision needs a GPU'
    assert cfg.model.backbone.init_cfg.checkpoint == '/pretrain/epoch_1.pth'
    assert (model.backbone.embed_dims, model.backbone.num_layers) == (
        encoder.width,
        encoder.depth,
    )
    warm_up, decay = cfg.param_scheduler
    assert warm_up.end == decay.begin <= 100 and decay.end == 1000
    with torch.device('meta'):
        maps = model.extract_feat(torch.zeros(1, 3, crop, crop))
        assert model.eval()(torch.zeros(1, 3, crop, crop)).shape[:2] == (1, 7)
    assert len(maps) == 4
    if encoder.patch != 14:
        finest = 2 if encoder.patch == 4 else 4
        assert [crop // m.shape[-1] for m in maps] == [finest * 2**i for i in range(4)]


@pytest.mark.parametrize('size', ENCODERS)
def test_mask_rcnn_for_every_encoder(size, few_scenes, tmp_path):
    data = read_coco(few_scenes / 'scenes')
    encoder = make_encoder(size)
    cfg, said = mask_rcnn.compose_mask_rcnn(encoder, data, 10, 4, 512, on_gpu=False)
    cfg, model = reload(cfg, tmp_path)
    small = size in ('cifar', 'nano', 'tiny')
    assert cfg.composed_from == Path(mask_rcnn.choose_recipe(encoder).config).stem
    base = 8 if small else 32 if size == 'hybrid' else 64
    rate = 1e-3 if small else 8e-5 if size == 'hybrid' else 1e-4
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(rate * 4 / base)
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[1].end == 10
    assert model.roi_head.mask_head.num_classes == 6
    assert model.roi_head.bbox_head.fc_cls.out_features == 7
    with torch.device('meta'):
        maps = model.extract_feat(torch.zeros(1, 3, 512, 512))
    assert [512 // m.shape[-1] for m in maps][:4] == [4, 8, 16, 32]
    assert len(maps) == len(cfg.model.rpn_head.anchor_generator.get('strides', [0] * 5))


def test_precision_on_a_gpu_is_that_of_the_recipe(few_scenes):
    data = read_label_maps(few_scenes / 'scenes')
    cfg, _ = upernet.compose_upernet(make_encoder('base'), data, 10, 2, 64, on_gpu=True)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'


def test_a_grid_that_is_not_square_keeps_its_size(few_scenes):
    encoder = make_encoder('nano', image=(32, 128))
    maps, objects = (
        read(few_scenes / 'scenes') for read in (read_label_maps, read_coco)
    )
    cfg, _ = upernet.compose_upernet(encoder, maps, 10, 2, 64, on_gpu=False)
    assert cfg.model.backbone.img_size == (32, 128)
    cfg, _ = mask_rcnn.compose_mask_rcnn(encoder, objects, 1, 2, 64, on_gpu=False)
    assert cfg.model.backbone.img_size == (32, 128)


@pytest.mark.parametrize('reduce', [False, True])
def test_the_data_set_reads_what_was_checked(few_scenes, reduce):
    data = read_label_maps(few_scenes / 'scenes', reduce)
    cfg, _ = upernet.compose_upernet(
        make_encoder('nano'), data, 10, 2, 64, on_gpu=False
    )
    init_default_scope('mmseg')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    assert len(dataset) == 12 and dataset.metainfo['classes'] == data.classes
    labels = dataset[0]['data_samples'].gt_sem_seg.data
    assert labels.shape == (1, 64, 64) and (labels == 255).any() == reduce
    assert labels[labels != 255].max() < len(data.classes)


@pytest.mark.parametrize('size', ['nano', 'base'])
def test_short_trainings_reach_their_rate(size, few_scenes):
    encoder = make_encoder(size)
    maps, objects = (
        read(few_scenes / 'scenes') for read in (read_label_maps, read_coco)
    )
    segment, _ = upernet.compose_upernet(encoder, maps, 10, 2, 64, on_gpu=False)
    # 24 images in batches of 4: 6 steps.
    detect, _ = mask_rcnn.compose_mask_rcnn(encoder, objects, 1, 4, 64, on_gpu=False)
    for cfg, steps in ((segment, 10), (detect, 6)):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedules = []
        for schedule in cfg.param_scheduler:
            if schedule.pop('convert_to_iter_based', False):
                schedule.update(by_epoch=False, end=steps)
            schedules.append(
                PARAM_SCHEDULERS.build(schedule, default_args=dict(optimizer=optimizer))
            )
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]['lr'])
            optimizer.step()
            for schedule in schedules:
                schedule.step()
        assert rates[0] < 0.01 and max(rates) > 0.85 and rates[-1] < 0.3


def test_lengths_and_sizes():
    small, large = (upernet.choose_recipe(make_encoder(s)) for s in ('nano', 'base'))
    assert upernet.choose_iters(small, images=10, batch_size=8) == 600
    # ADE20K: 20210 images in batches of 16.
    assert upernet.choose_iters(large, 20210, 16) == pytest.approx(160_000, rel=0.01)
    assert upernet.choose_crop(large, side=1000, patch=16) == 512
    assert upernet.choose_crop(small, side=10, patch=8) == 32
    blocks = {depth: upernet.output_blocks(depth) for depth in (4, 6, 12, 24)}
    assert blocks == {
        4: [0, 1, 2, 3],
        6: [1, 2, 3, 5],
        12: [3, 5, 7, 11],
        24: [7, 11, 15, 23],
    }
    recipe = mask_rcnn.choose_recipe(make_encoder('base'))
    assert mask_rcnn.choose_epochs(recipe, images=1000, batch_size=2) == 100
    assert mask_rcnn.choose_epochs(recipe, images=3, batch_size=2) == 300
    assert mask_rcnn.choose_side(recipe, 97) == 128
    assert mask_rcnn.choose_side(recipe, 4000) == 1024


def test_what_is_refused(few_scenes, tmp_path, monkeypatch):
    data = read_label_maps(few_scenes / 'scenes')
    encoder = make_encoder('nano')
    with pytest.raises(ValueError, match='BatchNorm.*2 images'):
        upernet.compose_upernet(encoder, data, 10, 1, 64, on_gpu=False)
    with pytest.raises(ValueError, match='--crop 60 is not a multiple'):
        upernet.compose_upernet(encoder, data, 10, 2, 60, on_gpu=False)
    with pytest.raises(ValueError, match='--size 60 is not a multiple'):
        objects = read_coco(few_scenes / 'scenes')
        mask_rcnn.compose_mask_rcnn(encoder, objects, 1, 2, 60, on_gpu=False)
    (tmp_path / 'iter_1.pth').touch()
    with pytest.raises(ValueError, match='checkpoints that this command did not write'):
        claim(tmp_path, dict(iters=1))
    monkeypatch.setattr('cmae_mm.transfer.running.module_version', lambda name: None)
    with pytest.raises(RuntimeError, match='not installed. Try: pip install mmdet'):
        need_library('mmdet')
