import copy

import pytest
import torch
import torch.nn.functional as F


def test_target_follows_the_equation(build, tiny_cfg, views):
    """theta_t <- 0.9 theta_t + 0.1 theta_s, recomputed by hand for two steps."""
    model = build({**tiny_cfg, 'ema_decay': 0.9})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = {n: p.clone() for n, p in model.target_backbone.named_parameters()}
    for _ in range(2):
        online = {n: p.clone() for n, p in model.backbone.named_parameters()}
        losses = model.loss(views, [])
        for name in expected:
            expected[name] = 0.9 * expected[name] + 0.1 * online[name]
        optimizer.zero_grad()
        (losses['loss_reconstruction'] + losses['loss_contrastive']).backward()
        optimizer.step()
    for name, param in model.target_backbone.named_parameters():
        torch.testing.assert_close(param, expected[name])
    moved = model.backbone.layers[0].attn.qkv.weight
    assert not torch.equal(model.target_backbone.layers[0].attn.qkv.weight, moved)


def test_target_starts_as_a_copy(build, tiny_cfg):
    model = build(tiny_cfg)
    for target, online in (
        (model.target_backbone, model.backbone),
        (model.target_projector, model.projector),
    ):
        named = dict(online.named_parameters())
        for name, param in target.named_parameters():
            assert torch.equal(param, named[name]), name
            assert param is not named[name]


def test_gradients_reach_the_online_branch_only(build, tiny_cfg, views):
    model = build(tiny_cfg)
    losses = model.loss(views, [])
    (losses['loss_reconstruction'] + losses['loss_contrastive']).backward()
    for name, param in model.named_parameters():
        has_gradient = param.grad is not None and bool(param.grad.abs().sum() > 0)
        # Fixed sin-cos positions are no more trained than the target.
        fixed = name.startswith('target_') or 'pos_embed' in name
        assert has_gradient != fixed, name


def test_weight_zero_is_exactly_mae(build, tiny_cfg, views):
    """Losses and all gradients equal those of mmpretrain's MAE."""
    tiny_cfg['backbone'].update(block_size=1)
    cmae = build({**tiny_cfg, 'contrastive_weight': 0.0})
    backbone = {**tiny_cfg['backbone'], 'type': 'MAEViT'}
    backbone.pop('block_size')
    decoder = {**tiny_cfg['pixel_decoder'], 'type': 'MAEPretrainDecoder'}
    geometry = dict(num_patches=16, patch_size=4, embed_dim=16)
    head = {**tiny_cfg['head'], 'type': 'MAEPretrainHead', 'norm_pix': True}
    mae = build(
        dict(
            type='MAE',
            backbone=backbone,
            neck={**geometry, **decoder},
            head={'patch_size': 4, **head},
        )
    )
    cmae, mae, view = cmae.double(), mae.double(), views[0].double()
    mae.load_state_dict(
        {k.replace('pixel_decoder.', 'neck.'): v for k, v in cmae.state_dict().items()}
    )
    torch.manual_seed(1)
    ours = cmae.loss([view, view], [])
    torch.manual_seed(1)
    theirs = mae.loss(view, [])
    assert list(ours) == ['loss_reconstruction']
    torch.testing.assert_close(
        ours['loss_reconstruction'], theirs['loss'], rtol=1e-14, atol=0
    )
    ours['loss_reconstruction'].backward()
    theirs['loss'].backward()
    named = dict(mae.named_parameters())
    for name, param in cmae.named_parameters():
        other = named[name.replace('pixel_decoder.', 'neck.')]
        assert (param.grad is None) == (other.grad is None)
        if param.grad is not None:
            torch.testing.assert_close(param.grad, other.grad, rtol=1e-12, atol=1e-15)


def test_weight_zero_takes_a_single_view(build, tiny_cfg, views):
    model = build({**tiny_cfg, 'contrastive_weight': 0.0})
    assert torch.isfinite(model.loss(views[0], [])['loss_reconstruction'])
    assert not hasattr(model, 'target_backbone')


def test_contrastive_loss_is_weighted_infonce_of_the_figure(build, tiny_cfg, views):
    """The branch recomputed step by step from the model's parts."""
    model = build({**tiny_cfg, 'contrastive_weight': 0.14})
    torch.manual_seed(1)
    loss = model.loss(views, [])['loss_contrastive']

    torch.manual_seed(1)
    latent, masking = model.backbone(views[0])
    decoder = model.feature_decoder
    tokens = decoder.decoder_norm(decoder.complete(latent, masking))
    tokens = decoder.decoder_pred(tokens)
    query = model.projector((tokens.mean(1),))[0]
    query = model.contrastive_head.predictor((query,))[0]
    key = model.target_backbone(views[1], masking=None)[0][:, 1:].mean(1)
    key = model.target_projector((key,))[0]
    total = 0.0
    for i in range(3):
        similarity = torch.stack(
            [F.cosine_similarity(query[i], key[j], dim=0) for j in range(3)]
        )
        total -= torch.log_softmax(similarity / 0.07, dim=0)[i]
    torch.testing.assert_close(loss, 0.14 * total / 3)


def test_reconstruction_ignores_visible_patches(build, tiny_cfg, views):
    """Changing visible pixels of the target image leaves the loss alone."""
    model = build(tiny_cfg)
    latent, masking = model.backbone(views[0])
    pixels = model.pixel_decoder(latent, masking)
    before = model.head.loss(pixels, views[0], masking)
    pixel_mask = masking.mask.view(3, 1, 4, 1, 4, 1).expand(3, 3, 4, 4, 4, 4)
    pixel_mask = pixel_mask.reshape(3, 3, 16, 16)
    visible_changed = views[0] + 5 * (1 - pixel_mask) * torch.randn(3, 3, 16, 16)
    assert torch.equal(model.head.loss(pixels, visible_changed, masking), before)
    masked_changed = views[0] + 5 * pixel_mask * torch.randn(3, 3, 16, 16)
    assert not torch.equal(model.head.loss(pixels, masked_changed, masking), before)


def test_same_seed_same_losses(build, tiny_cfg, views):
    model = build(tiny_cfg)
    twin = copy.deepcopy(model)
    torch.manual_seed(3)
    first = model.loss(views, [])
    torch.manual_seed(3)
    second = twin.loss(views, [])
    assert {k: v.item() for k, v in first.items()} == {
        k: v.item() for k, v in second.items()
    }


@pytest.mark.parametrize('target_final_norm', [True, False])
def test_backbone_loads_strictly_into_a_vision_transformer(
    build, tiny_cfg, target_final_norm
):
    from mmpretrain.models import VisionTransformer

    model = build({**tiny_cfg, 'target_final_norm': target_final_norm})
    weights = {
        key[len('backbone.') :]: value
        for key, value in model.state_dict().items()
        if key.startswith('backbone.')
    }
    cfg = tiny_cfg['backbone']
    vit = VisionTransformer(arch=cfg['arch'], img_size=16, patch_size=4, out_type='raw')
    vit.load_state_dict(weights, strict=True)
    image = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(vit(image)[0], model.extract_feat(image)[0])
    assert target_final_norm == any(
        key.startswith('target_backbone.ln1') for key in model.state_dict()
    )


def test_features_see_the_whole_image_and_are_not_random(build, tiny_cfg, views):
    model = build(tiny_cfg).eval()
    first, second = model(views[0])[0], model(views[0])[0]
    assert torch.equal(first, second)
    assert first.shape == (3, 17, 16)


def test_predict_gives_a_feature_to_every_sample(build, tiny_cfg, views):
    from mmpretrain.structures import DataSample

    model = build(tiny_cfg).eval()
    samples = [DataSample().set_gt_label(i) for i in range(3)]
    predicted = model(views[0], samples, mode='predict')
    expected = model(views[0])[0][:, 1:].mean(1)
    for sample, feature, label in zip(predicted, expected, range(3), strict=True):
        assert torch.equal(sample.feature, feature)
        assert sample.gt_label.item() == label


def parameters_of(cfg, build):
    return {name for name, _ in build(cfg).named_parameters()}


def test_without_feature_decoder_the_visible_latents_are_pooled(build, tiny_cfg, views):
    model = build({**tiny_cfg, 'feature_decoder': None})
    latent, masking = model.backbone(views[0])
    pooled = model.complete_features(latent, masking, tokens=None)
    torch.testing.assert_close(pooled, latent[:, 1:].mean(1))
    gone = parameters_of(tiny_cfg, build) - {n for n, _ in model.named_parameters()}
    assert gone and all(name.startswith('feature_decoder.') for name in gone)
    assert torch.isfinite(model.loss(views, [])['loss_contrastive'])


def test_shared_decoder_trains_the_pixel_decoders_blocks(build, tiny_cfg, views):
    """All that the feature decoder has left is its last layer."""
    shared = dict(type='cmae_mm.SharedFeatureDecoder', decoder_embed_dim=8)
    model = build({**tiny_cfg, 'feature_decoder': shared})
    names = {n for n, _ in model.named_parameters() if n.startswith('feature_decoder')}
    assert names == {
        'feature_decoder.decoder_pred.weight',
        'feature_decoder.decoder_pred.bias',
    }
    model.loss(views, [])['loss_contrastive'].backward()
    assert model.pixel_decoder.decoder_blocks[0].attn.qkv.weight.grad.abs().sum() > 0
    assert model.pixel_decoder.decoder_pred.weight.grad is None


def test_shared_decoder_computes_its_blocks_once(build, tiny_cfg, views):
    shared = dict(type='cmae_mm.SharedFeatureDecoder', decoder_embed_dim=8)
    model = build({**tiny_cfg, 'feature_decoder': shared})
    calls = []
    block = model.pixel_decoder.decoder_blocks[0]
    block.register_forward_hook(lambda *_: calls.append(1))
    model.loss(views, [])
    assert len(calls) == 1


def test_positive_pairs_alone(build, tiny_cfg, views):
    tiny_cfg['contrastive_head']['type'] = 'cmae_mm.PositivePairHead'
    losses = build(tiny_cfg).loss(views, [])
    assert set(losses) == {'loss_reconstruction', 'loss_contrastive', 'similarity'}
    assert 0 <= losses['loss_contrastive'].item() <= 4


def masked_pixels(masking):
    """1 where a pixel of the toy images is masked, (3, 3, 16, 16)."""
    cells = masking.mask.view(3, 1, 4, 1, 4, 1)
    return cells.expand(3, 3, 4, 4, 4, 4).reshape(3, 3, 16, 16)


def test_target_may_see_what_the_online_encoder_sees(build, tiny_cfg, views):
    """Then what stands at the masked places of its view does not matter."""
    model = build({**tiny_cfg, 'target_sees_all': False})
    masking = model.backbone(views[0])[1]
    changed = views[1] + 5 * masked_pixels(masking)
    same = [model.project_target(v, masking) for v in (changed, views[1])]
    assert torch.equal(*same)
    differ = [model.project_target(v, None) for v in (changed, views[1])]
    assert not torch.allclose(*differ, rtol=1e-2)
    torch.manual_seed(5)
    first = model.loss(views, [])['loss_contrastive']
    torch.manual_seed(5)
    changed = views[1] + 5 * masked_pixels(model.backbone(views[0])[1])
    torch.manual_seed(5)
    second = model.loss([views[0], changed], [])['loss_contrastive']
    torch.testing.assert_close(first, second, rtol=1e-3, atol=0)


def test_momentum_may_rise_along_a_cosine(build, tiny_cfg, views):
    from mmengine.logging import MessageHub

    model = build({**tiny_cfg, 'ema_decay': 0.9, 'ema_end_decay': 1.0})
    MessageHub.get_instance('no-training')  # instead of what other tests have left
    with pytest.raises(RuntimeError, match='how far the training is'):
        model.loss(views, [])
    hub = MessageHub.get_instance('rising-momentum')
    hub.update_info('max_iters', 10)
    hub.update_info('iter', 5)
    assert model.current_decay() == pytest.approx(0.95)
    model.loss(views, [])


@pytest.fixture
def mae_weights(build, tiny_cfg):
    """Weights as they come from MAE: an encoder, and a pixel decoder."""
    torch.manual_seed(7)
    weights = build(tiny_cfg).state_dict()
    kept = ('backbone.', 'pixel_decoder.')
    return {name: value for name, value in weights.items() if name.startswith(kept)}


@pytest.mark.parametrize('target_final_norm', [True, False])
def test_weights_without_a_target_start_it_as_a_copy(
    build, tiny_cfg, mae_weights, target_final_norm
):
    """Through PyTorch's loading and through MMEngine's own."""
    from mmengine.runner.checkpoint import load_state_dict

    for load in (
        lambda model: model.load_state_dict(dict(mae_weights), strict=False),
        lambda model: load_state_dict(model, dict(mae_weights), strict=False),
    ):
        model = build({**tiny_cfg, 'target_final_norm': target_final_norm})
        load(model)
        online = dict(model.backbone.named_parameters())
        for name, param in model.target_backbone.named_parameters():
            assert torch.equal(param, mae_weights[f'backbone.{name}']), name
            assert torch.equal(param, online[name]), name


def test_weights_with_a_target_keep_it(build, tiny_cfg):
    torch.manual_seed(7)
    weights = build(tiny_cfg).state_dict()
    weights['target_backbone.cls_token'] = torch.full((1, 1, 16), 3.0)
    model = build(tiny_cfg)
    model.load_state_dict(weights)
    assert (model.target_backbone.cls_token == 3).all()


def test_checkpoint_of_the_whole_model_keeps_its_target(build, tiny_cfg, tmp_path):
    weights = build(tiny_cfg).state_dict()
    weights['target_backbone.cls_token'] = torch.full((1, 1, 16), 3.0)
    torch.save(dict(state_dict=weights), tmp_path / 'cmae.pth')
    start = dict(type='Pretrained', checkpoint=str(tmp_path / 'cmae.pth'))
    model = build({**tiny_cfg, 'init_cfg': start})
    assert (model.target_backbone.cls_token == 3).all()
    assert torch.equal(model.backbone.cls_token, weights['backbone.cls_token'])


def test_other_geometries_go_through_the_whole_model(build, tiny_cfg):
    """5 channels, 12x24 px, patches of 3 px: nothing but the backbone says so."""
    tiny_cfg['backbone'].update(
        img_size=(12, 24), patch_size=3, in_channels=5, block_size=2
    )
    model = build(tiny_cfg)
    views = [torch.randn(2, 5, 12, 24), torch.randn(2, 5, 12, 24)]
    losses = model.loss(views, [])
    assert all(torch.isfinite(value) for value in losses.values())
    assert model.pixel_decoder.decoder_pred.out_features == 3 * 3 * 5


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'projector': None}, 'no projector'),
        ({'contrastive_weight': -1.0}, 'below 0'),
        ({'ema_decay': 1.5}, '0.996'),
    ],
)
def test_bad_configs_explain_themselves(tiny_cfg, change, words):
    from cmae_mm.registry import MODELS

    with pytest.raises(ValueError, match=words):
        MODELS.build({**tiny_cfg, **change})


def test_nothing_masked_explains_itself(tiny_cfg):
    from cmae_mm.registry import MODELS

    tiny_cfg['backbone']['mask_ratio'] = 0.0
    with pytest.raises(ValueError, match='nothing to rebuild'):
        MODELS.build(tiny_cfg)


def test_one_view_explains_itself(build, tiny_cfg, views):
    with pytest.raises(ValueError, match='two views'):
        build(tiny_cfg).loss(views[0], [])
    with pytest.raises(ValueError, match='3 views'):
        build(tiny_cfg).loss([*views, views[0]], [])


def test_published_parameter_counts():
    """ViT-B/16 against the counts of the released code (millions)."""
    from pathlib import Path

    from mmengine.config import Config

    from cmae_mm.registry import MODELS

    configs = Path(__file__).parents[2] / 'configs'
    cfg = Config.fromfile(configs / '_base_/presets/released.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    counts = {
        name: round(sum(p.numel() for p in part.parameters()) / 1e6, 2)
        for name, part in model.named_children()
    }
    assert counts['backbone'] == 85.80
    assert counts['target_backbone'] == 85.80
    assert counts['pixel_decoder'] == 26.11
    assert counts['feature_decoder'] == 7.19
    assert counts['projector'] == counts['target_projector'] == 1.58
    assert round(sum(p.numel() for p in model.contrastive_head.parameters()), -4) == (
        790_000
    )
    # What the moving average covers: 148 tensors of the encoder, 5 of the projector
    assert len(list(model.target_backbone.parameters())) == 150 - 2
    assert len(list(model.target_projector.parameters())) == 5
