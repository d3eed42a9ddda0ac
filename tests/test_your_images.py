"""The configs of docs/your-images.md run, made small, on generated images."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / 'docs/your-images.md'
BLOCKS = (
    'photos.py',
    'wide.py',
    'mean_and_std.py',
    'bands.py',
    'classify.py',
    'segment.py',
    'detect.py',
)
TINY = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the configs of this repository and the blocks of the document."""
    blocks = re.findall(r'```python\n(.*?)```', DOCUMENT.read_text(), re.S)
    for name, block in zip(BLOCKS, blocks, strict=True):
        (tmp_path / name).write_text(block)
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_photos(folder, count=4):
    folder.mkdir(parents=True)
    for i in range(count):
        photo = np.random.default_rng(i).integers(0, 255, (40, 60, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'{i}.jpg'), photo)


def write_bands(folder, count=4, size=(40, 70)):
    """TIFF of four bands of 16 bits, each in another range."""
    tifffile = pytest.importorskip('tifffile')
    folder.mkdir(parents=True)
    for i in range(count):
        image = np.random.default_rng(i).integers(0, 50, (*size, 4), dtype=np.uint16)
        image *= np.array([1, 10, 100, 1000], np.uint16)
        tifffile.imwrite(
            folder / f'{i}.tif', image, photometric='minisblack', planarconfig='contig'
        )


def write_objects(folder):
    """Four pictures of four bands with a ship each, for training and validation."""
    for split in ('train', 'val'):
        write_bands(folder / f'images/{split}', size=(192, 384))
        box = [40, 30, 100, 60]
        corners = [40, 30, 140, 30, 140, 90, 40, 90]
        ship = dict(category_id=1, bbox=box, segmentation=[corners], area=6000)
        content = dict(
            images=[
                dict(id=i, file_name=f'{i}.tif', height=192, width=384)
                for i in range(4)
            ],
            annotations=[dict(id=i, image_id=i, iscrowd=0, **ship) for i in range(4)],
            categories=[dict(id=1, name='ship')],
        )
        (folder / f'{split}.json').write_text(json.dumps(content))


def load(name):
    cfg = Config.fromfile(name)
    init_default_scope(cfg.default_scope)
    return cfg


def run_small(cfg, **options):
    """Train a few steps of a config with a tiny network; returns runner and log."""
    model = cfg.model
    model.backbone.arch = TINY
    if model.type == 'cmae_mm.CMAE':
        for decoder in (model.pixel_decoder, model.feature_decoder):
            decoder.update(decoder_embed_dim=8, decoder_depth=1, decoder_num_heads=2)
        for mlp in (model.projector, model.contrastive_head.predictor):
            mlp.update(hid_channels=12, out_channels=6, norm_cfg=dict(type='BN1d'))
        model.contrastive_head.predictor.in_channels = 6
        cfg.optim_wrapper.type = 'OptimWrapper'
    elif model.type == 'ImageClassifier':
        model.head.in_channels = TINY['embed_dims']
    for loader in (cfg.train_dataloader, cfg.get('val_dataloader')):
        if loader:
            loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    if 'max_epochs' in cfg.train_cfg:
        cfg.train_cfg.max_epochs = 1
    cfg.work_dir = options.pop('work_dir', 'work_dirs/small')
    cfg.default_hooks.logger.interval = 1
    cfg.update(options)
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 2
    for loss in runner.message_hub.get_scalar('train/loss').data[0]:
        assert np.isfinite(loss)
    (log,) = Path(cfg.work_dir).glob('*/*.log')
    return runner, log.read_text()


@pytest.mark.parametrize('name', sorted({*BLOCKS} - {'mean_and_std.py'}))
def test_it_builds_at_full_size(name, place):
    with torch.device('meta'):
        model = MODELS.build(load(name).model)
    assert model.backbone.embed_dims == 768


def test_a_folder_of_photos(place):
    write_photos(place / 'my/photos/some/folder')
    runner, _ = run_small(load('photos.py'))
    assert runner.model.backbone.patch_resolution == (14, 14)
    assert (place / 'work_dirs/small/epoch_1.pth').exists()


def test_wide_views(place):
    write_photos(place / 'my/photos')
    cfg = load('wide.py')
    view, target = DATASETS.build(cfg.train_dataloader.dataset)[0]['inputs']
    assert view.shape == target.shape == (3, 192, 384)
    runner, _ = run_small(cfg)
    assert runner.model.backbone.patch_resolution == (12, 24)


def test_mean_and_std_of_the_channels(place):
    assert (place / 'mean_and_std.py').read_text().startswith('# mean_and_std.py\n')
    write_bands(place / 'my/bands')
    tifffile = pytest.importorskip('tifffile')
    images = []
    for file in sorted(Path('my/bands').iterdir()):
        image = tifffile.imread(file).astype(np.float32)
        image[..., 2] = 9999.9  # rounding makes the variance of a constant negative
        tifffile.imwrite(file, image, photometric='minisblack', planarconfig='contig')
        images.append(image.astype(np.float64))
    # As it is typed: what lies beside a file hides modules of the same names.
    out = subprocess.run(
        [sys.executable, 'mean_and_std.py'], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r'^mean=(\[.*\]), std=(\[.*\])$', out, re.M)
    mean, std = (np.array(json.loads(numbers)) for numbers in found.groups())
    np.testing.assert_allclose(mean, np.mean(images, (0, 1, 2)), rtol=0, atol=0.0051)
    np.testing.assert_allclose(std, np.std(images, (0, 1, 2)), rtol=0, atol=0.0051)


def mae_weights(width=16, narrow=8, patch=16, side=14):
    """Random weights in the names of facebookresearch/mae, four blocks and one."""

    def layer(name, *shape):
        return {f'{name}.weight': shape, f'{name}.bias': shape[:1]}

    def block(name, width, hidden):
        return {
            **layer(f'{name}.norm1', width),
            **layer(f'{name}.attn.qkv', 3 * width, width),
            **layer(f'{name}.attn.proj', width, width),
            **layer(f'{name}.norm2', width),
            **layer(f'{name}.mlp.fc1', hidden, width),
            **layer(f'{name}.mlp.fc2', width, hidden),
        }

    shapes = {
        'cls_token': (1, 1, width),
        'pos_embed': (1, 1 + side**2, width),
        **layer('patch_embed.proj', width, 3, patch, patch),
        **block('blocks.0', width, 32),
        **block('blocks.1', width, 32),
        **block('blocks.2', width, 32),
        **block('blocks.3', width, 32),
        **layer('norm', width),
        'mask_token': (1, 1, narrow),
        'decoder_pos_embed': (1, 1 + side**2, narrow),
        **layer('decoder_embed', narrow, width),
        **block('decoder_blocks.0', narrow, 4 * narrow),
        **layer('decoder_norm', narrow),
        **layer('decoder_pred', 3 * patch**2, narrow),
    }
    return {name: 0.3 * torch.randn(shape) for name, shape in shapes.items()}


def convert_mae(place):
    """Convert MAE's weights as the document says; returns them."""
    weights = mae_weights()
    torch.save(dict(model=weights), place / 'theirs.pth')
    tool = runpy.run_path(str(ROOT / 'tools/convert_checkpoint.py'))
    command = 'theirs.pth mae.pth --from mae --to cmae-mm --heads 2'
    with pytest.raises(SystemExit) as stop:
        tool['main'](command.split())
    assert stop.value.code == 0
    return weights


def test_photos_go_on_from_mae(place):
    """Encoder and pixel decoder are MAE's, the rest is fresh; a rate of 0 shows it."""
    weights = convert_mae(place)
    write_photos(place / 'my/photos')
    cfg = load('photos.py')
    cfg.optim_wrapper.optimizer.lr = 0.0
    runner, log = run_small(cfg, load_from='mae.pth')
    state = runner.model.state_dict()
    for branch in ('backbone', 'target_backbone'):
        for theirs, ours in (
            ('patch_embed.proj', 'patch_embed.projection'),
            ('blocks.1.attn.qkv', 'layers.1.attn.qkv'),
        ):
            for kind in ('weight', 'bias'):
                torch.testing.assert_close(
                    state[f'{branch}.{ours}.{kind}'], weights[f'{theirs}.{kind}']
                )
    assert torch.equal(
        state['pixel_decoder.decoder_pred.weight'], weights['decoder_pred.weight']
    )
    assert 'Checkpoint for backbone: 54 of 54 tensors' in log
    assert 'Checkpoint for feature_decoder: fresh, not in the file' in log
    assert 'Checkpoint for target_backbone: a copy of the online branch' in log


def test_bands_go_on_from_mae_to_transfer(place):
    """Wide TIFF of 4 bands and 16 bits: MAE's weights, pre-training, two tasks."""
    weights = convert_mae(place)
    write_bands(place / 'my/bands')
    cfg = load('bands.py')
    cfg.optim_wrapper.optimizer.lr = 0.0
    runner, log = run_small(cfg, load_from='mae.pth', work_dir='work_dirs/bands')
    backbone = runner.model.backbone
    assert backbone.patch_embed.projection.weight.shape == (16, 4, 16, 16)
    online = backbone.state_dict()
    for name, tensor in runner.model.target_backbone.state_dict().items():
        assert torch.equal(tensor, online[name]), name
    torch.testing.assert_close(
        backbone.layers[0].attn.qkv.weight.data, weights['blocks.0.attn.qkv.weight']
    )
    assert 'Colour operations left out' in log
    assert 'Resize the pos_embed shape' in log
    # All but the kernel of the patch embedding, whose channels are others; of the
    # decoder all but the last layer and the positions.
    assert 'Checkpoint for backbone: 53 of 54 tensors' in log
    assert 'Checkpoint for pixel_decoder: 18 of 20 tensors' in log

    for split in ('train', 'val'):
        for label in 'ab':
            write_bands(place / f'my/labelled/{split}/{label}', count=2)
    cfg = load('classify.py')
    cfg.model.backbone.init_cfg.checkpoint = 'work_dirs/bands/epoch_1.pth'
    runner, log = run_small(cfg, work_dir='work_dirs/classify')
    assert 'backbone starts from work_dirs/bands/epoch_1.pth' in log
    assert 0 <= runner.message_hub.get_scalar('val/accuracy/top1').current() <= 100

    for split in ('train', 'val'):
        write_bands(place / f'my/segments/images/{split}', size=(200, 400))
        labels = place / f'my/segments/labels/{split}'
        labels.mkdir(parents=True)
        for i in range(4):
            label = np.random.default_rng(i).integers(0, 2, (200, 400), dtype=np.uint8)
            cv2.imwrite(str(labels / f'{i}.png'), label)
    cfg = load('segment.py')
    norm = dict(type='BN')
    cfg.model.neck.update(embed_dim=16, norm_cfg=norm)
    cfg.model.backbone.out_indices = [0, 1, 2, 3]
    cfg.model.decode_head.update(in_channels=[16] * 4, channels=8, norm_cfg=norm)
    cfg.model.auxiliary_head.update(in_channels=16, channels=8, norm_cfg=norm)
    cfg.model.backbone.init_cfg.checkpoint = 'work_dirs/bands/epoch_1.pth'
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    runner, log = run_small(cfg, work_dir='work_dirs/segment')
    assert 'backbone starts from work_dirs/bands/epoch_1.pth' in log
    assert 0 <= runner.message_hub.get_scalar('val/mIoU').current() <= 100

    write_objects(place / 'my/objects')
    cfg = load('detect.py')
    norm = dict(type='BN')
    feature2pyramid, fpn = cfg.model.neck
    feature2pyramid.update(embed_dim=16, norm_cfg=norm)
    fpn.update(in_channels=[16] * 4, out_channels=8, norm_cfg=norm)
    cfg.model.backbone.out_indices = [0, 1, 2, 3]
    cfg.model.rpn_head.update(in_channels=8, feat_channels=8)
    roi = cfg.model.roi_head
    for extractor in (roi.bbox_roi_extractor, roi.mask_roi_extractor):
        extractor.out_channels = 8
    roi.bbox_head.update(in_channels=8, fc_out_channels=16)
    roi.mask_head.update(in_channels=8, conv_out_channels=8)
    cfg.model.backbone.init_cfg.checkpoint = 'work_dirs/bands/epoch_1.pth'
    runner, log = run_small(cfg, work_dir='work_dirs/detect')
    assert 'backbone starts from work_dirs/bands/epoch_1.pth' in log
    # Hardly trained: -1 where it finds nothing at all.
    assert -1 <= runner.message_hub.get_scalar('val/coco/segm_mAP').current() <= 1
