import json

import pytest
import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.models.necks import MAEPretrainDecoder

from cmae_mm.bridge import ConversionError, UsageError, convert
from cmae_mm.bridge.names import part_of

transformers = pytest.importorskip('transformers')

ARCH = dict(embed_dims=64, num_layers=2, num_heads=4, feedforward_channels=128)
CONFIG = dict(
    hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128
)


def ours(file, eps=1e-12, **kwargs):
    """mmpretrain's ViT as its users build it, from a file of the bridge."""
    model = VisionTransformer(
        out_type='raw',
        norm_cfg=dict(type='LN', eps=eps),
        init_cfg=dict(type='Pretrained', checkpoint=str(file), prefix='backbone.'),
        **{'arch': ARCH, **kwargs},
    )
    model.init_weights()
    model.eval()
    return model


@pytest.mark.parametrize('ending', ['model.safetensors', 'pytorch_model.bin'])
def test_features_equal_those_of_vit_at_224_and_512x384(tmp_path, randomise, ending):
    """Both stretch the table of positions by torch's bicubic interpolation."""
    theirs = randomise(transformers.ViTModel(transformers.ViTConfig(**CONFIG)))
    theirs.save_pretrained(
        tmp_path / 'hf', safe_serialization=ending.endswith('safetensors')
    )
    assert (tmp_path / 'hf' / ending).is_file()
    done = convert(tmp_path / 'hf', tmp_path / 'ours.pth', 'hf', 'cmae-mm')
    assert done.difference < 1e-5
    assert done.parts == {'backbone': 30} and done.left_out == {'pooler': 2}
    assert any('eps' in note for note in done.notes)
    assert not any('other sizes' in note for note in done.notes)
    model = ours(tmp_path / 'ours.pth')
    for height, width in [(224, 224), (512, 384)]:
        images = torch.randn(1, 3, height, width)
        expected = theirs(images, interpolate_pos_encoding=True).last_hidden_state
        torch.testing.assert_close(model(images)[-1], expected, rtol=0, atol=1e-5)


def test_encoder_and_decoder_equal_those_of_vitmae(tmp_path, hf_config, randomise):
    config = transformers.ViTMAEConfig(**hf_config)
    theirs = randomise(transformers.ViTMAEForPreTraining(config))
    theirs.save_pretrained(tmp_path / 'hf')
    done = convert(tmp_path / 'hf', tmp_path / 'ours.pth', 'hf', 'cmae-mm')
    assert done.difference < 1e-5 and not done.left_out
    arch = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
    encoder = ours(tmp_path / 'ours.pth', arch=arch, img_size=16, patch_size=4)
    decoder = MAEPretrainDecoder(
        num_patches=16,
        patch_size=4,
        embed_dim=16,
        decoder_embed_dim=8,
        decoder_depth=1,
        decoder_num_heads=2,
        mlp_ratio=2,
        norm_cfg=dict(type='LN', eps=1e-12),
    )
    weights = torch.load(tmp_path / 'ours.pth', weights_only=True)['state_dict']
    decoder.load_state_dict(part_of(weights, 'pixel_decoder'))
    images, noise = torch.randn(2, 3, 16, 16), torch.rand(2, 16)
    expected = theirs(images, noise=noise)

    order = noise.argsort(dim=1)
    tokens, _ = encoder.patch_embed(images)
    tokens = tokens + encoder.pos_embed[:, 1:]
    visible = tokens.gather(1, order[:, :4, None].expand(-1, -1, 16))
    first = (encoder.cls_token + encoder.pos_embed[:, :1]).expand(2, -1, -1)
    latent = torch.cat([first, visible], dim=1)
    for layer in encoder.layers:
        latent = layer(latent)
    pixels = decoder.eval()(encoder.ln1(latent), order.argsort(dim=1))
    torch.testing.assert_close(pixels, expected.logits, rtol=0, atol=1e-5)


def test_what_is_written_opens_in_transformers(tmp_path, make_source):
    source = make_source('cmae-mm')
    done = convert(source, tmp_path / 'out', 'cmae-mm', 'hf', heads=2)
    assert done.left_out.keys() == {
        'contrastive_head',
        'feature_decoder',
        'pixel_decoder',
        'projector',
        'target_backbone',
        'target_projector',
    }
    names = {file.name for file in (tmp_path / 'out').iterdir()}
    assert names == {'config.json', 'model.safetensors'}
    config = json.loads((tmp_path / 'out' / 'config.json').read_text())
    assert config['layer_norm_eps'] == 1e-6 and config['image_size'] == 16
    convert(tmp_path / 'out', tmp_path / 'back.pth', 'hf', 'cmae-mm')
    back = torch.load(tmp_path / 'back.pth', weights_only=True)['state_dict']
    original = torch.load(source, weights_only=True)['state_dict']
    assert all(torch.equal(back[name], original[name]) for name in back)


def test_nothing_of_an_older_model_stays_beside_the_new_one(tmp_path, make_source):
    source, folder = make_source('cmae-mm'), tmp_path / 'out'
    convert(source, folder, 'cmae-mm', 'hf', heads=2)
    old = (
        'preprocessor_config.json',
        'pytorch_model.bin',
        'pytorch_model-00001-of-00002.bin',
        'pytorch_model.bin.index.json',
        'model-00001-of-00002.safetensors',
        'model.safetensors.index.json',
    )
    mine = ('README.md', 'model.bin', 'my_model.safetensors')
    for name in (*old, *mine):
        (folder / name).write_text('old')
    with pytest.raises(UsageError, match='--force'):
        convert(source, folder, 'cmae-mm', 'hf', heads=2)
    assert all((folder / name).is_file() for name in old)
    convert(source, folder, 'cmae-mm', 'hf', heads=2, force=True)
    assert {file.name for file in folder.iterdir()} == {
        'config.json',
        'model.safetensors',
        *mine,
    }
    transformers.ViTModel.from_pretrained(folder, add_pooling_layer=False)


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (lambda config: [config], 'config.json holds a list'),
        (
            lambda config: {**config, 'image_size': [16, 16], 'patch_size': [4, 4]},
            r'patch_size=\[4, 4\]',
        ),
        (lambda config: {**config, 'image_size': [16]}, r'image_size=\[16\]'),
        (lambda config: {**config, 'num_attention_heads': '2'}, "said to be '2'"),
    ],
)
def test_an_odd_config_explains_itself(tmp_path, make_source, change, match):
    file = make_source('hf') / 'config.json'
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(ConversionError, match=match):
        convert(file.parent, tmp_path / 'x.pth', 'hf', 'cmae-mm')


def test_what_cannot_be_expressed_is_refused(tmp_path, hf_config, mae_weights):
    weights = {name.replace('norm.', 'fc_norm.'): w for name, w in mae_weights.items()}
    tuned = {k: v for k, v in weights.items() if 'decoder' not in k}
    del tuned['mask_token']
    torch.save(tuned, tmp_path / 'tuned.pth')
    with pytest.raises(ConversionError, match='norm after the mean'):
        convert(tmp_path / 'tuned.pth', tmp_path / 'out', 'mae', 'hf', heads=2)
    assert not (tmp_path / 'out').exists()

    config = transformers.ViTConfig(**{**hf_config, 'hidden_act': 'relu'})
    transformers.ViTModel(config).save_pretrained(tmp_path / 'hf')
    with pytest.raises(ConversionError, match="hidden_act='relu'"):
        convert(tmp_path / 'hf', tmp_path / 'x.pth', 'hf', 'cmae-mm')
    (tmp_path / 'hf' / 'model.safetensors').unlink()
    with pytest.raises(ConversionError, match='has no model.safetensors'):
        convert(tmp_path / 'hf', tmp_path / 'x.pth', 'hf', 'cmae-mm')
