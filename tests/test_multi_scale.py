"""Segmentation tested on several scales, each also mirrored (`--tta`)."""

import copy
import logging
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import MODELS, init_default_scope

from cmae_mm.engine import CheckPretrainedHook

CONFIGS = Path(__file__).parents[1] / 'configs'
SCENES = 'scenes/vit-nano-p8_upernet_bs8-600i_scenes-96x96.py'
ADE20K = 'ade20k/vit-base-p16_upernet_8xb2-amp-160k_ade20k-512x512.py'
HYBRID = 'ade20k/convvit-base_upernet_8xb2-amp-160k_ade20k-512x512.py'


def load(name):
    """A config as `mim test --tta` changes it."""
    cfg = Config.fromfile(CONFIGS / name)
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg = None
    cfg.tta_model.module = cfg.model
    return cfg


def picture(folder, pixels):
    """What a data set knows of a picture and its label map, written to files."""
    labels = np.full(pixels.shape[:2], 2, np.uint8)
    cv2.imwrite(str(folder / 'picture.png'), pixels)
    cv2.imwrite(str(folder / 'labels.png'), labels)
    return dict(
        img_path=str(folder / 'picture.png'),
        seg_map_path=str(folder / 'labels.png'),
        reduce_zero_label=False,
        label_map=None,
        seg_fields=[],
    )


@pytest.fixture
def pixels():
    blocks = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


@pytest.fixture
def model():
    """The whole model of `scenes` at random, around it the one of several scales."""
    torch.manual_seed(0)
    model = MODELS.build(load(SCENES).tta_model)
    model.module.init_weights()
    # The first initialisation gives all places nearly the same class.
    torch.nn.init.normal_(model.module.decode_head.conv_seg.weight)
    return model.eval()


@pytest.mark.parametrize(
    ('name', 'height', 'sides'),
    [
        (ADE20K, 60, [512, 512, 512, 640, 768, 896]),
        (HYBRID, 60, [512, 512, 512, 640, 768, 896]),
        (SCENES, 96, [72, 96, 120, 144]),
    ],
)
def test_views_have_the_stated_sizes_each_twice(tmp_path, name, height, sides):
    pixels = np.zeros((height, height * 3 // 2, 3), np.uint8)
    data = Compose(load(name).tta_pipeline)(picture(tmp_path, pixels))
    found = [tuple(view.shape[1:]) for view in data['inputs']]
    assert found == [(side, side * 3 // 2) for side in sides for _ in range(2)]
    flips = [sample.metainfo['flip'] for sample in data['data_samples']]
    assert flips == [False, True] * len(sides)
    # The labels stay as they are in the file.
    labels = {tuple(sample.gt_sem_seg.shape) for sample in data['data_samples']}
    assert labels == {pixels.shape[:2]}


@torch.no_grad()
def test_it_is_the_mean_of_the_views(tmp_path, model, pixels):
    """Each view predicted alone, put back by hand, then averaged."""
    cfg = load(SCENES)
    data = Compose(cfg.tta_pipeline)(picture(tmp_path, pixels))
    expected = torch.zeros(7, 96, 96)
    for view, sample in zip(data['inputs'], data['data_samples'], strict=True):
        tensor = model.module.data_preprocessor(dict(inputs=[view]), False)['inputs']
        logits = model.module.encode_decode(tensor, [dict(img_shape=view.shape[1:])])
        if sample.flip:
            logits = logits.flip(3)
        logits = torch.nn.functional.interpolate(logits, (96, 96), mode='bilinear')
        expected += logits[0].softmax(0) / 8
    (found,) = model.test_step(pseudo_collate([data]))
    classes = found.pred_sem_seg.data[0]
    assert torch.equal(classes, expected.argmax(0))
    assert len(classes.unique()) > 1


@torch.no_grad()
def test_a_mirrored_picture_gives_the_mirrored_result(tmp_path, model, pixels):
    pipeline = Compose(load(SCENES).tta_pipeline)
    results = []
    for seen in (pixels, pixels[:, ::-1]):
        data = pipeline(picture(tmp_path, np.ascontiguousarray(seen)))
        (found,) = model.test_step(pseudo_collate([copy.deepcopy(data)]))
        results.append(found.pred_sem_seg.data[0])
    agree = (results[0] == results[1].flip(1)).float().mean()
    assert agree > 0.999
    assert not torch.equal(results[0], results[1])


def test_the_check_of_checkpoints_looks_through_it(model):
    runner = SimpleNamespace(model=model, logger=logging.getLogger('test'))
    check = CheckPretrainedHook()
    check.after_load_checkpoint(runner, dict(state_dict=model.module.state_dict()))
    with pytest.raises(RuntimeError, match='nothing for EncoderDecoder'):
        check.after_load_checkpoint(runner, dict(state_dict=dict(other=torch.ones(1))))


@torch.no_grad()
def test_the_hybrid_goes_through(tmp_path, pixels):
    """Four levels of its own, windows of 512 px, at a fraction of the width."""
    cfg = load(HYBRID)
    model = cfg.model
    model.backbone.update(widths=(8, 12, 16), depths=(1, 1, 2), num_heads=2)
    model.neck.channels = 16
    model.decode_head.update(in_channels=[8, 12, 16, 16], channels=8)
    model.auxiliary_head.update(in_channels=16, channels=8)
    data = Compose(cfg.tta_pipeline)(picture(tmp_path, pixels))
    # Of twelve views the first, and a larger one that is mirrored.
    data = {key: [views[0], views[7]] for key, views in data.items()}
    (found,) = MODELS.build(cfg.tta_model).eval().test_step(pseudo_collate([data]))
    assert found.pred_sem_seg.data.shape == (1, 96, 96)
    assert found.pred_sem_seg.data.max() < 150
