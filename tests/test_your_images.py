"""The configs of docs/your-images.md run, made small, on generated images."""

import json
import re
import runpy
import subprocess
import sys
from functools import partial
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


def make_small(cfg, **options):
    """A runner of a config, with a tiny network and for a few steps."""
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
    # MMEngine's own name is the second: two runners of one would share their log.
    cfg.experiment_name = Path(cfg.work_dir).name
    cfg.default_hooks.logger.interval = 1
    cfg.update(options)
    return Runner.from_cfg(cfg)


def log_of(runner):
    (log,) = Path(runner.work_dir).glob('*/*.log')
    return log.read_text()


def run_small(cfg, **options):
    """Train a few steps of a config with a tiny network; returns runner and log."""
    runner = make_small(cfg, **options)
    runner.train()
    assert runner.iter == 2
    for loss in runner.message_hub.get_scalar('train/loss').data[0]:
        assert np.isfinite(loss)
    return runner, log_of(runner)


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


def convert(command):
    """Run the tool as the document says."""
    tool = runpy.run_path(str(ROOT / 'tools/convert_checkpoint.py'))
    with pytest.raises(SystemExit) as stop:
        tool['main'](command.split())
    assert stop.value.code == 0


def convert_mae(place):
    """Convert MAE's weights as the document says; returns them."""
    weights = mae_weights()
    torch.save(dict(model=weights), place / 'theirs.pth')
    convert('theirs.pth mae.pth --from mae --to cmae-mm --heads 2')
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


def convert_cmae(source):
    """Convert a CMAE whose target is another network; returns it in our names."""
    model = make_small(load('photos.py'), work_dir='work_dirs/theirs').model
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    weights = model.state_dict()
    theirs = weights
    if source == 'cmae-released':
        theirs = {k.replace('contrastive_head.', 'head.'): weights[k] for k in weights}
        source += ' --channels rgb'
    torch.save(dict(state_dict=theirs), 'theirs.pth')
    convert(f'theirs.pth ours.pth --from {source} --to cmae-mm --heads 2')
    return weights


def check_all_of_cmae_is_there(state, weights, log):
    assert state.keys() == weights.keys()
    for name in weights:
        torch.testing.assert_close(state[name], weights[name], msg=name)
    for part in {name.split('.')[0] for name in weights}:
        count = sum(name.startswith(f'{part}.') for name in weights)
        assert f'Checkpoint for {part}: {count} of {count} tensors' in log
    assert 'a copy of the online branch' not in log
    assert 'fresh' not in log


@pytest.mark.parametrize('source', ['cmae-released', 'cmae-mm'])
def test_photos_go_on_from_cmae_with_its_own_target(place, source):
    weights = convert_cmae(source)
    write_photos(place / 'my/photos')
    runner = make_small(load('photos.py'), load_from='ours.pth')
    runner.load_or_resume()
    check_all_of_cmae_is_there(runner.model.state_dict(), weights, log_of(runner))


def test_training_goes_on_with_the_target_of_the_file(place):
    """At a rate of 0 it goes two steps of the momentum towards the online branch."""
    weights = convert_cmae('cmae-released')
    write_photos(place / 'my/photos')
    cfg = load('photos.py')
    cfg.optim_wrapper.optimizer.lr = 0.0
    runner, _ = run_small(cfg, load_from='ours.pth')
    stays = cfg.model.ema_decay**2
    parameters = dict(runner.model.named_parameters())
    for name, target in parameters.items():
        if not name.startswith('target_'):
            continue
        online = weights[name.removeprefix('target_')]
        torch.testing.assert_close(parameters[name.removeprefix('target_')], online)
        wanted = stays * weights[name] + (1 - stays) * online
        torch.testing.assert_close(target.data, wanted, rtol=0, atol=1e-6)
        assert not torch.allclose(target, online)


def convert_timm():
    """Convert a ViT of timm with its classifier; returns the encoder."""
    pytest.importorskip('timm')
    weights = {k: v for k, v in mae_weights().items() if 'decoder' not in k}
    del weights['mask_token']
    torch.save({**weights, 'head.weight': torch.ones(5, 16)}, 'theirs.pth')
    convert('theirs.pth ours.pth --from timm --to cmae-mm --heads 2')
    return {
        'patch_embed.projection.weight': weights['patch_embed.proj.weight'],
        'layers.1.attn.qkv.bias': weights['blocks.1.attn.qkv.bias'],
        'layers.3.ffn.layers.1.weight': weights['blocks.3.mlp.fc2.weight'],
        'ln1.weight': weights['norm.weight'],
    }


def convert_hf(masked):
    """Convert a ViT or ViTMAE of Hugging Face; returns some of it."""
    transformers = pytest.importorskip('transformers')
    size = dict(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
    )
    if masked:
        size |= dict(
            decoder_hidden_size=8,
            decoder_num_hidden_layers=1,
            decoder_num_attention_heads=2,
            decoder_intermediate_size=32,
        )
        model = transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig(**size))
    else:
        model = transformers.ViTModel(transformers.ViTConfig(**size))
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    model.save_pretrained('theirs')
    convert('theirs ours.pth --from hf --to cmae-mm')
    weights = {k.removeprefix('vit.'): v for k, v in model.state_dict().items()}
    attention = 'encoder.layer.1.attention.attention'
    parts = [weights[f'{attention}.{name}.bias'] for name in ('query', 'key', 'value')]
    return {
        'patch_embed.projection.weight': weights[
            'embeddings.patch_embeddings.projection.weight'
        ],
        'layers.1.attn.qkv.bias': torch.cat(parts),
        'layers.3.ffn.layers.1.weight': weights['encoder.layer.3.output.dense.weight'],
        'ln1.weight': weights['layernorm.weight'],
    }


@pytest.mark.parametrize(
    ('convert_theirs', 'pixel_decoder'),
    [
        (convert_timm, 'fresh, not in the file'),
        (partial(convert_hf, masked=False), 'fresh, not in the file'),
        (partial(convert_hf, masked=True), '20 of 20 tensors'),
    ],
    ids=['timm', 'hf', 'hf-mae'],
)
def test_photos_go_on_from_encoders(place, convert_theirs, pixel_decoder):
    theirs = convert_theirs()
    write_photos(place / 'my/photos')
    runner = make_small(load('photos.py'), load_from='ours.pth')
    fresh = {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.load_or_resume()
    state, log = runner.model.state_dict(), log_of(runner)
    for name, tensor in theirs.items():
        torch.testing.assert_close(state[f'backbone.{name}'], tensor)
    for name in state:
        if name.startswith('target_'):  # a copy, not that of the fresh start
            assert torch.equal(state[name], state[name.removeprefix('target_')]), name
    for part in ('feature_decoder', 'projector', 'contrastive_head'):
        names = [name for name in state if name.startswith(f'{part}.')]
        assert names and all(torch.equal(state[n], fresh[n]) for n in names)
        assert f'Checkpoint for {part}: fresh, not in the file' in log
    assert 'Checkpoint for backbone: 54 of 54 tensors' in log
    assert f'Checkpoint for pixel_decoder: {pixel_decoder}' in log
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
