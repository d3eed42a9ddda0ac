"""What is recovered of an encoder, against the config it was built from."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from cmae_mm.transfer.encoder import find_checkpoint, read_encoder


@pytest.fixture
def saved(tmp_path):
    """Save weights and the text of a config as a training does."""

    def save(weights, model=None, name='epoch_1.pth'):
        meta = dict(epoch=1, iter=1)
        if model is not None:
            meta['cfg'] = Config(dict(model=model)).pretty_text
        state = dict.fromkeys(('optimizer', 'message_hub'), {})
        file = tmp_path / name
        torch.save(dict(state_dict=weights, meta=meta, **state), file)
        return file

    return save


def test_a_pretraining_of_ours(nano_checkpoint):
    encoder = read_encoder(nano_checkpoint)
    assert (encoder.width, encoder.depth, encoder.patch) == (128, 4, 8)
    assert encoder.image == (64, 64) and encoder.to_rgb and not encoder.hybrid
    assert encoder.backbone['arch']['num_heads'] == 4, 'the tensors do not tell'
    assert encoder.mean == [123.675, 116.28, 103.53]
    assert encoder.image_for(96) == 96
    weights = torch.load(nano_checkpoint, weights_only=True)['state_dict']
    model = MODELS.build(encoder.backbone)
    model.load_state_dict(
        {k[9:]: v for k, v in weights.items() if k.startswith('backbone.')}
    )


def test_named_sizes_other_channels_statistics_and_grids(build, tiny_cfg, saved):
    tiny_cfg['backbone'].update(img_size=(16, 32), norm_cfg=dict(type='LN', eps=1e-5))
    model = build(tiny_cfg)
    tiny_cfg['data_preprocessor'] = dict(mean=[1.0] * 3, std=[2.0] * 3, to_rgb=False)
    encoder = read_encoder(saved(model.state_dict(), tiny_cfg))
    assert encoder.image == (16, 32) == encoder.image_for(64)
    assert encoder.backbone['norm_cfg']['eps'] == 1e-5
    assert (encoder.mean, encoder.std, encoder.to_rgb) == ([1.0] * 3, [2.0] * 3, False)

    tiny_cfg['backbone'].update(in_channels=4)
    four = saved(build(tiny_cfg).state_dict(), tiny_cfg)
    with pytest.raises(ValueError, match='images of 4 channels'):
        read_encoder(four)


def test_the_norms_of_a_linear_probe_do_not_matter(nano_checkpoint, saved):
    """Its backbone has one behind the mean, too; transfer takes neither."""
    checkpoint = torch.load(nano_checkpoint, weights_only=True)
    weights = {f'backbone.ln2.{kind}': torch.ones(128) for kind in ('weight', 'bias')}
    weights.update(checkpoint['state_dict'])
    backbone = read_encoder(nano_checkpoint).backbone
    probe = read_encoder(saved(weights, dict(backbone=backbone)))
    assert probe.backbone == backbone


def test_heads_that_nobody_tells(nano_checkpoint, saved):
    weights = torch.load(nano_checkpoint, weights_only=True)['state_dict']
    with pytest.raises(ValueError, match='number of heads.*cmae convert --from'):
        read_encoder(saved(weights))


def test_the_hybrid_is_known_in_its_packaged_size_only(saved):
    weights = {'backbone.stages.0.patch_embed.projection.weight': torch.zeros(1)}
    base = dict(backbone=dict(type='cmae_mm.CMAEConvViT', img_size=224))
    encoder = read_encoder(saved(weights, base))
    assert encoder.hybrid and (encoder.width, encoder.depth) == (768, 11)
    with torch.device('meta'):
        model = MODELS.build(encoder.backbone)
    assert 'stages.0.patch_embed.projection.weight' in model.state_dict()
    assert (model.embed_dims, model.num_layers, model.patch_size) == (768, 11, 16)
    base['backbone']['depths'] = [1, 1, 4]
    with pytest.raises(ValueError, match='another size than ConvViT-B'):
        read_encoder(saved(weights, base))


def test_the_newest_valid_of_a_folder_is_taken(nano_checkpoint, saved, tmp_path):
    weights = torch.load(nano_checkpoint, weights_only=True)['state_dict']
    good = saved(weights, name='epoch_1.pth')
    (tmp_path / 'epoch_2.pth').write_bytes(b'cut off')
    assert find_checkpoint(tmp_path) == good.resolve()
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='no checkpoint of a training'):
        find_checkpoint(tmp_path / 'empty')


def test_files_of_others_are_named(saved, tmp_path):
    with pytest.raises(
        ValueError, match='no backbone of cmae_mm; it is: .*MAE of face'
    ):
        weights = {'patch_embed.proj.weight': 1, 'decoder_embed.weight': 1}
        read_encoder(saved({k: torch.zeros(v) for k, v in weights.items()}))
    with pytest.raises(ValueError, match='1 tensors of the backbone are not finite'):
        read_encoder(saved({'backbone.cls_token': torch.tensor([float('nan')])}))
    text = tmp_path / 'text.pth'
    text.write_text('hello')
    with pytest.raises(ValueError, match='text.pth'):
        read_encoder(text)
