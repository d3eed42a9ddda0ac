import logging
import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS

from cmae_mm.engine import CheckPretrainedHook

ARCH = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)


@pytest.fixture
def checkpoint(build, tiny_cfg, tmp_path):
    """A CMAE checkpoint on disk."""
    path = tmp_path / 'cmae.pth'
    torch.save(dict(state_dict=build(tiny_cfg).state_dict()), path)
    return str(path)


def runner_for(checkpoint, prefix='backbone.', **vit):
    """As much of a runner as the hook looks at."""
    model = MODELS.build(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(
                **{
                    'type': 'VisionTransformer',
                    'arch': ARCH,
                    'img_size': 16,
                    'patch_size': 4,
                    'init_cfg': dict(
                        type='Pretrained', checkpoint=checkpoint, prefix=prefix
                    ),
                    **vit,
                }
            ),
        )
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return SimpleNamespace(
        model=model,
        logger=logging.getLogger('test'),
        optim_wrapper=OptimWrapper(optimizer),
    )


def test_a_fitting_checkpoint_is_reported(checkpoint, caplog):
    caplog.set_level(logging.INFO)
    runner = runner_for(checkpoint)
    CheckPretrainedHook().before_run(runner)
    assert '30 of 30 parameters' in caplog.text
    runner.model.init_weights()
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    for name, param in runner.model.backbone.named_parameters():
        assert torch.equal(param, weights[f'backbone.{name}'])


def test_another_image_size_fits_too(checkpoint):
    """Positions are resized while loading, also to a non-square grid."""
    runner = runner_for(checkpoint, img_size=(32, 24))
    CheckPretrainedHook().before_run(runner)
    runner.model.init_weights()
    assert runner.model.backbone.pos_embed.shape == (1, 1 + 8 * 6, 16)


def checkpoint_of_grid(path, grid, meta):
    """A ViT of patches of 4 px on a grid; returns its positions, too."""
    image = [4 * side for side in grid]
    backbone = dict(type='VisionTransformer', arch=ARCH, img_size=image, patch_size=4)
    weights = MODELS.build(backbone).state_dict()
    cfg = Config(dict(seed=0, model=dict(type='CMAE', backbone=backbone)))
    meta = dict(
        config=dict(cfg=cfg.pretty_text),
        bridge=dict(bridge=dict(grid=list(grid))),
        none={},
        other=dict(cfg='model = build("backbone")'),
    )[meta]
    weights['pos_embed'] = torch.randn_like(weights['pos_embed'])
    named = {f'backbone.{name}': value for name, value in weights.items()}
    torch.save(dict(meta=meta, state_dict=named), path)
    return weights['pos_embed']


@pytest.mark.parametrize('meta', ['config', 'bridge'])
@pytest.mark.parametrize('backbone', ['VisionTransformer', 'cmae_mm.ViTDet'])
@pytest.mark.parametrize(
    ('source', 'ours', 'fits'),
    [
        ((2, 8), (2, 8), True),
        ((4, 4), (8, 6), True),
        ((2, 8), (4, 4), False),
        ((4, 4), (2, 8), False),
        ((2, 3), (4, 4), False),
    ],
)
def test_positions_are_not_read_as_those_of_another_grid(
    tmp_path, meta, backbone, source, ours, fits
):
    """Of equal number they would be taken as they are, else as of a square."""
    file = str(tmp_path / 'cmae.pth')
    positions = checkpoint_of_grid(file, source, meta)
    image = [4 * side for side in ours]
    options = dict(global_blocks=1) if 'ViTDet' in backbone else {}
    runner = runner_for(file, type=backbone, img_size=image, **options)
    hook = CheckPretrainedHook(min_share=0.8)
    if not fits:
        size = r'img_size=\({}, {}\)'.format(*(4 * side for side in source))
        with pytest.raises(RuntimeError, match=size):
            hook.before_run(runner)
        return
    hook.before_run(runner)
    runner.model.init_weights()
    if source == ours:
        assert torch.equal(runner.model.backbone.pos_embed[0, -16:], positions[0, 1:])


@pytest.mark.parametrize(
    ('source', 'ours', 'told', 'fits'),
    [
        ((2, 8), (2, 8), True, True),
        ((2, 8), (4, 4), True, False),
        ((2, 8), (2, 12), True, False),
        ((4, 4), (6, 4), True, True),
        ((2, 6), (4, 4), False, False),
        ((2, 6), (2, 6), False, True),
        ((4, 4), (6, 4), False, True),
    ],
)
def test_continued_pretraining_keeps_positions_in_place(
    build, tiny_cfg, tmp_path, source, ours, told, fits
):
    """`load_from` gives encoder and decoders positions of one grid."""
    file = str(tmp_path / 'cmae.pth')
    checkpoint_of_grid(file, source, 'config' if told else 'none')
    checkpoint = torch.load(file, weights_only=True)
    tiny_cfg['backbone']['img_size'] = [4 * side for side in ours]
    model = build(tiny_cfg)
    runner = SimpleNamespace(model=model, logger=logging.getLogger('test'))
    hook = CheckPretrainedHook()
    if fits:
        hook.after_load_checkpoint(runner, checkpoint)
        model.load_state_dict(checkpoint['state_dict'], strict=False)
        return
    known = f'{source[0]}x{source[1]} patches'
    with pytest.raises(RuntimeError, match=known if told else '12 patches'):
        hook.after_load_checkpoint(runner, checkpoint)


@pytest.mark.parametrize('meta', ['none', 'other'])
def test_an_unknown_grid_is_taken_on_trust(tmp_path, meta):
    file = str(tmp_path / 'cmae.pth')
    checkpoint_of_grid(file, (2, 8), meta)
    CheckPretrainedHook().before_run(runner_for(file))


@pytest.mark.parametrize(
    'change',
    [
        dict(prefix='encoder.'),
        dict(arch={**ARCH, 'embed_dims': 32}),
        dict(patch_size=8, arch={**ARCH, 'num_layers': 8}),
    ],
)
def test_a_misfit_is_an_error_not_a_random_start(checkpoint, change):
    with pytest.raises(RuntimeError, match=r'holds only \d+ of the \d+ parameters'):
        CheckPretrainedHook().before_run(runner_for(checkpoint, **change))


def test_a_test_does_not_ask_for_the_pretrained_file(tmp_path):
    runner = runner_for(str(tmp_path / 'none.pth'))
    runner.optim_wrapper = dict(type='OptimWrapper')
    CheckPretrainedHook().before_run(runner)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        CheckPretrainedHook().before_run(runner_for(str(tmp_path / 'none.pth')))


def test_a_checkpoint_of_something_else_is_refused(checkpoint):
    hook = CheckPretrainedHook()
    runner = runner_for(checkpoint)
    hook.after_load_checkpoint(runner, dict(state_dict=runner.model.state_dict()))
    with pytest.raises(RuntimeError, match='nothing for ImageClassifier'):
        hook.after_load_checkpoint(runner, dict(state_dict=dict(other=torch.ones(1))))


def test_continued_pretraining_says_what_is_fresh(build, tiny_cfg, caplog):
    """Weights of MAE: encoder and pixel decoder are there, the rest is not."""
    model = build(tiny_cfg)
    weights = {
        name: value
        for name, value in model.state_dict().items()
        if name.startswith(('backbone.', 'pixel_decoder.'))
    }
    runner = SimpleNamespace(model=model, logger=logging.getLogger('test'))
    with caplog.at_level(logging.INFO, logger='test'):
        CheckPretrainedHook().after_load_checkpoint(runner, dict(state_dict=weights))
    assert re.search(r'Checkpoint for backbone: (\d+) of \1 tensors', caplog.text)
    assert 'Checkpoint for feature_decoder: fresh' in caplog.text
    assert 'Checkpoint for target_backbone: a copy of the online branch' in caplog.text


def test_weights_of_another_width_are_refused(build, tiny_cfg):
    """Not loaded in part (here two biases), with the rest at a random start."""
    weights = build(tiny_cfg).state_dict()
    wider = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=32)
    tiny_cfg['backbone']['arch'] = wider
    runner = SimpleNamespace(model=build(tiny_cfg), logger=logging.getLogger('test'))
    with pytest.raises(RuntimeError, match='another shape: only 2 of 30 tensors'):
        CheckPretrainedHook().after_load_checkpoint(runner, dict(state_dict=weights))


def test_of_a_sharded_model_the_whole_is_compared(checkpoint, caplog):
    """Slices have other shapes."""
    runner = runner_for(checkpoint)
    whole, runner.model = runner.model, SimpleNamespace(outline=runner.model)
    with caplog.at_level(logging.INFO, logger='test'):
        CheckPretrainedHook().before_run(runner)
        weights = dict(state_dict=whole.state_dict())
        CheckPretrainedHook().after_load_checkpoint(runner, weights)
    assert '30 of 30 parameters' in caplog.text
    assert 'Checkpoint for backbone: 30 of 30 tensors' in caplog.text


def test_impossible_share_is_refused():
    with pytest.raises(ValueError, match='min_share'):
        CheckPretrainedHook(min_share=0)
