import pytest
import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import build_2d_sincos_position_embedding, resize_pos_embed

from cmae_mm.bridge import ConversionError, convert

vit = pytest.importorskip('timm.models.vision_transformer')
resample_abs_pos_embed = pytest.importorskip('timm.layers').resample_abs_pos_embed

SIZE = dict(img_size=224, patch_size=16, embed_dim=64, depth=2, num_heads=4)


def stock(randomise, **kwargs):
    """A random ViT of timm, with the smooth positions that trained ones have."""
    model = randomise(vit.VisionTransformer(**{**SIZE, 'mlp_ratio': 2, **kwargs}))
    table = build_2d_sincos_position_embedding(14, 64, cls_token=True)
    model.pos_embed.data.copy_(table)
    return model


def ours(file, **kwargs):
    """mmpretrain's ViT as its users build it, from a file of the bridge."""
    model = VisionTransformer(
        dict(embed_dims=64, num_layers=2, num_heads=4, feedforward_channels=128),
        init_cfg=dict(type='Pretrained', checkpoint=str(file), prefix='backbone.'),
        **{'out_type': 'raw', **kwargs},
    )
    model.init_weights()
    model.eval()
    return model


def as_noted(done):
    """The network that a conversion says how to build."""
    (note,) = [note for note in done.notes if note.startswith('build it with ')]
    return eval(note.removeprefix('build it with '), vars(vit)).eval()


def says_other_sizes_differ(done):
    height, width = done.size.image
    words = f'compared at {height}x{width}; for other sizes timm'
    return any(note.startswith(words) for note in done.notes)


def test_features_equal_those_of_timm_at_224(tmp_path, randomise):
    theirs = stock(randomise, num_classes=7)
    torch.save(theirs.state_dict(), tmp_path / 'timm.pth')
    done = convert(
        tmp_path / 'timm.pth', tmp_path / 'ours.pth', 'timm', 'cmae-mm', heads=4
    )
    assert done.difference < 1e-5
    assert says_other_sizes_differ(done)
    assert done.parts == {'backbone': 30} and done.left_out == {'head': 2}
    images = torch.randn(2, 3, 224, 224)
    torch.testing.assert_close(
        ours(tmp_path / 'ours.pth')(images)[-1],
        theirs.forward_features(images),
        rtol=0,
        atol=1e-5,
    )


def test_features_equal_those_of_timm_at_512x384_for_the_same_positions(
    tmp_path, randomise
):
    """At another size the libraries stretch the table of positions differently.

    mmpretrain (as Hugging Face) takes torch's bicubic interpolation, timm the one
    with antialias, whose cubic has another coefficient (-0.5 instead of -0.75) also
    where it enlarges. From 14x14 to 32x24 the sin-cos positions, of values in
    -1..1, come out up to 0.052 apart (0.003 on average), and the features of this
    network up to 0.003. Given the same table the features are equal.
    """
    theirs = stock(randomise, num_classes=0, dynamic_img_size=True)
    torch.save(theirs.state_dict(), tmp_path / 'timm.pth')
    convert(tmp_path / 'timm.pth', tmp_path / 'ours.pth', 'timm', 'cmae-mm', heads=4)
    images = torch.randn(1, 3, 512, 384)
    features = ours(tmp_path / 'ours.pth')(images)[-1]

    apart = (theirs.forward_features(images) - features).abs().max()
    assert 1e-4 < apart < 1e-2
    table = resize_pos_embed(theirs.pos_embed.data, (14, 14), (32, 24))
    stretched = resample_abs_pos_embed(
        theirs.pos_embed.data, new_size=(32, 24), num_prefix_tokens=1
    )
    assert 0.05 < (table - stretched).abs().max() < 0.055
    same = vit.VisionTransformer(
        **{**SIZE, 'img_size': (512, 384)}, mlp_ratio=2, num_classes=0
    )
    same.load_state_dict({**theirs.state_dict(), 'pos_embed': table})
    torch.testing.assert_close(
        same.eval().forward_features(images), features, rtol=0, atol=1e-5
    )


def test_the_way_to_timm_and_back_changes_no_bit(tmp_path, make_source, mae_weights):
    for ending in ('pth', 'safetensors'):
        if ending == 'safetensors':
            pytest.importorskip('safetensors')
        middle, back = tmp_path / 'ours.pth', tmp_path / f'back.{ending}'
        source = make_source('timm')
        convert(source, middle, 'timm', 'cmae-mm', heads=2, force=True)
        done = convert(middle, back, 'cmae-mm', 'timm')  # the heads stand in the file
        assert says_other_sizes_differ(done)
        again = tmp_path / 'again.pth'
        convert(back, again, 'timm', 'cmae-mm', heads=2, force=True)
        weights = torch.load(again, weights_only=True)['state_dict']
        original = torch.load(middle, weights_only=True)['state_dict']
        assert weights.keys() == original.keys()
        assert all(torch.equal(weights[name], original[name]) for name in weights)


def test_a_fine_tuned_norm_after_the_mean_comes_over(tmp_path, randomise):
    theirs = stock(randomise, num_classes=7, global_pool='avg')
    torch.save(theirs.state_dict(), tmp_path / 'timm.pth')
    convert(tmp_path / 'timm.pth', tmp_path / 'ours.pth', 'timm', 'cmae-mm', heads=4)
    images = torch.randn(2, 3, 224, 224)
    pooled = ours(tmp_path / 'ours.pth', out_type='avg_featmap', final_norm=False)
    torch.testing.assert_close(
        pooled(images)[-1],
        theirs.forward_head(theirs.forward_features(images), pre_logits=True),
        rtol=0,
        atol=1e-5,
    )
    done = convert(tmp_path / 'ours.pth', tmp_path / 'back.pth', 'cmae-mm', 'timm')
    back = torch.load(tmp_path / 'back.pth', weights_only=True)
    assert 'fc_norm.weight' in back and 'norm.weight' not in back
    model = as_noted(done)
    model.load_state_dict(back, strict=True)
    torch.testing.assert_close(model(images), pooled(images)[-1], rtol=0, atol=1e-5)


def test_the_noted_line_builds_mlps_of_any_width(tmp_path, randomise):
    theirs = stock(randomise, num_classes=0, mlp_ratio=205.5 / 64)
    torch.save(theirs.state_dict(), tmp_path / 'timm.pth')
    convert(tmp_path / 'timm.pth', tmp_path / 'ours.pth', 'timm', 'cmae-mm', heads=4)
    done = convert(tmp_path / 'ours.pth', tmp_path / 'back.pth', 'cmae-mm', 'timm')
    back = torch.load(tmp_path / 'back.pth', weights_only=True)
    as_noted(done).load_state_dict(back, strict=True)


def test_a_vit_with_more_in_it_is_refused(tmp_path, randomise):
    for extra in (dict(init_values=1e-5), dict(reg_tokens=2), dict(qk_norm=True)):
        model = vit.VisionTransformer(**SIZE, num_classes=0, **extra)
        torch.save(model.state_dict(), tmp_path / 'timm.pth')
        with pytest.raises(ConversionError, match='plain vision transformers'):
            convert(
                tmp_path / 'timm.pth', tmp_path / 'x.pth', 'timm', 'cmae-mm', heads=4
            )
