"""The numbers of docs/method.md are those of the models it speaks of."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

ROOT = Path(__file__).parents[1]
METHOD = (ROOT / 'docs/method.md').read_text(encoding='utf-8')


PRESETS = {
    'released': 'cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py',
    'paper': 'cmae-paper_vit-base-p16_32xb128-amp-coslr-300e_in1k.py',
}


@pytest.fixture(scope='module', params=PRESETS)
def preset(request):
    """Name, config and model of a preset, ViT-B, as shapes without memory."""
    cfg = Config.fromfile(ROOT / 'configs/pretrain' / PRESETS[request.param])
    init_default_scope('mmpretrain')
    with torch.device('meta'):
        return request.param, cfg, MODELS.build(cfg.model)


def shapes_said(column):
    """Rows of the table of shapes: what goes along an arrow, and its shape."""
    rows = re.findall(r'^\| ([^|]+) \| (\([^|]+\)) \| (\([^|]+\)) \|', METHOD, re.M)
    return {row[0]: row[1 if column == 'released' else 2] for row in rows}


def test_shapes_are_those_of_the_model(preset):
    name, cfg, model = preset
    said = shapes_said(name)
    view = torch.empty(5, 3, 224, 224, device='meta')
    latent, masking = model.backbone(view)
    tokens = model.pixel_decoder.complete(latent, masking)
    completed = model.complete_features(latent, masking, tokens)
    query = model.projector((completed,))[0]
    made = {
        'each view': view,
        'visible tokens and class token': latent,
        'rebuilt pixels of masked patches': model.pixel_decoder.rebuild(
            tokens, masking
        ),
        'completed mean feature': completed,
        'tokens of the momentum encoder': model.target_backbone(view, None)[-1],
        'projection of either branch': query,
        'query after the predictor': model.contrastive_head.predictor((query,))[0],
    }
    assert model.project_target(view, None).shape == query.shape
    for what, tensor in made.items():
        assert said[what] == str(tuple(tensor.shape)).replace('(5', '(B'), what
    # Without the class token, which decoders keep until the end.
    assert said['tokens inside each decoder'] == f'(B, {tokens.shape[1] + 1}, 512)'
    side = cfg.train_dataloader.dataset.pipeline[0].scale
    assert said['master crop'] == f'(3, {side}, {side})'
    others = ['keys of all GPUs', 'cosines', 'tokens inside each decoder']
    assert set(said) == {*made, *others, 'master crop'}


def test_what_is_kept_is_counted_right(preset):
    _, _, model = preset

    def millions(part):
        return f'{sum(p.numel() for p in part.parameters()) / 1e6:.1f}'

    kept = f"{millions(model.backbone)} of the model's {millions(model)} million"
    if preset[0] == 'released':
        assert kept in METHOD
    decoders = (model.pixel_decoder, model.feature_decoder)
    said = ' and '.join(map(millions, decoders)) + ' million'
    assert said in METHOD.replace('\n', ' ')


def test_the_presets_differ_as_said(preset):
    name, cfg, model = preset
    column = 1 if name == 'released' else 2
    rows = re.findall(r'^\| (.+?) \| (.+?) \| (.+?) \|$', METHOD, re.M)
    said = {row[0]: row[column] for row in rows if 'presets' not in row[1]}
    backbone = model.backbone
    assert f'{cfg.model.backbone.mask_ratio:.0%}'.replace('%', ' %') in said['mask']
    assert f'{backbone.masking.num_visible} visible' in said['mask']
    assert f'{model.contrastive_weight:g}' in said[r'$\lambda_c$']
    norm = said['last LayerNorm of the momentum encoder']
    assert norm.startswith('yes' if model.target_backbone.final_norm else 'no')
    crop, views = cfg.train_dataloader.dataset.pipeline[:2]
    shift = f'0 to {views.shift_range[1] - 1} pixels, {crop.scale} x {crop.scale}'
    assert said['shift, master crop'] == shift
    assert cfg.model.ema_decay == 0.996 and '0.996' in METHOD
    assert cfg.model.contrastive_head.temperature == 0.07


def test_the_mean_overlap_is_computed_right():
    shares = (224 - np.arange(32)) / 224
    mean = np.outer(shares, shares).mean()
    assert f'{100 * mean:.1f} % in common' in METHOD
