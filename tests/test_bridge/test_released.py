import pytest
import torch

from cmae_mm.bridge import ConversionError, convert

# A name of every part, as the authors' modules give them (method.md, 1.4).
THEIRS = {
    'backbone.patch_embed.projection.weight',
    'backbone.layers.1.ffn.layers.0.0.bias',
    'backbone.ln1.weight',
    'target_backbone.layers.0.attn.qkv.weight',
    'pixel_decoder.decoder_blocks.0.ln2.weight',
    'feature_decoder.decoder_pos_embed',
    'projector.fc0.bias',
    'target_projector.fc1.weight',
    'head.predictor.bn0.weight',
}


def convert_released(source, tmp_path, **kwargs):
    target = tmp_path / 'ours.pth'
    done = convert(
        source, target, 'cmae-released', 'cmae-mm', heads=2, force=True, **kwargs
    )
    return done, torch.load(target, weights_only=True)['state_dict']


def test_all_of_cmae_comes_over(
    tmp_path, make_source, released_weights, tiny_cfg, build
):
    assert THEIRS <= released_weights.keys()
    done, weights = convert_released(make_source('cmae-released'), tmp_path)
    tiny_cfg['target_final_norm'] = False
    build(tiny_cfg).load_state_dict(weights, strict=True)
    assert done.difference < 1e-5 and not done.left_out
    assert 'BGR' in done.notes[0] and 'pixel decoder' in done.notes[1]


def test_rgb_leaves_every_tensor_as_it_was(tmp_path, make_source, released_weights):
    done, weights = convert_released(
        make_source('cmae-released'), tmp_path, channels='rgb'
    )
    assert len(weights) == len(released_weights) and not done.notes
    for name, tensor in weights.items():
        theirs = name.replace('contrastive_head.', 'head.')
        assert torch.equal(tensor, released_weights[theirs])


def test_an_extracted_fine_tuned_backbone_comes_over(tmp_path, released_weights):
    tuned = {
        name.removeprefix('backbone.').replace('ln1.', 'fc_norm.')
        if name.startswith('backbone.ln1')
        else name.removeprefix('backbone.'): tensor
        for name, tensor in released_weights.items()
        if name.startswith('backbone.')
    }
    assert 'fc_norm.weight' in tuned and 'ln1.weight' not in tuned
    torch.save(dict(state_dict=tuned, author='CMAE'), tmp_path / 'tuned.pth')
    done, weights = convert_released(tmp_path / 'tuned.pth', tmp_path)
    assert done.size.pooled and done.difference < 1e-5
    assert 'backbone.ln2.weight' in weights


def test_bands_cannot_be_swapped(tmp_path, released_weights):
    name = 'backbone.patch_embed.projection.weight'
    released_weights[name] = released_weights[name][:, :1]
    torch.save(dict(state_dict=released_weights), tmp_path / 'grey.pth')
    with pytest.raises(ConversionError, match='1 channels.*--channels rgb'):
        convert_released(tmp_path / 'grey.pth', tmp_path)
