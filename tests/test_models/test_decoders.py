import pytest
import torch

from cmae_mm.models import FeatureDecoder, PixelDecoder, SharedFeatureDecoder
from cmae_mm.models.masking import Masking, take_tokens

SMALL = dict(embed_dim=24, decoder_embed_dim=8, decoder_num_heads=2)


def make(kind, grid=(4, 4), **kwargs):
    decoder = kind(grid=grid, **SMALL, **kwargs)
    decoder.init_weights()
    return decoder


def draw(places, visible):
    """Which of the places are visible in two images."""
    order = torch.stack([torch.randperm(places) for _ in range(2)])
    return Masking(order[:, :visible], order[:, visible:])


def test_pixel_decoder_is_maes():
    """Same weights, same pixels and gradients as mmpretrain's decoder."""
    from mmpretrain.models.necks import MAEPretrainDecoder

    ours = make(PixelDecoder, patch_size=4, decoder_depth=2)
    theirs = MAEPretrainDecoder(num_patches=16, patch_size=4, decoder_depth=2, **SMALL)
    theirs.init_weights()
    assert torch.equal(theirs.decoder_pos_embed, ours.decoder_pos_embed)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    latent = torch.randn(2, 1 + 4, 24)
    masking = draw(16, 4)
    mine = ours(latent, masking)
    other = theirs(latent, torch.cat(masking, dim=1).argsort(dim=1))
    other = take_tokens(other, masking.ids_masked)
    torch.testing.assert_close(mine, other)
    mine.square().sum().backward()
    other.square().sum().backward()
    named = dict(theirs.named_parameters())
    for name, param in ours.named_parameters():
        if param.requires_grad:
            torch.testing.assert_close(param.grad, named[name].grad, msg=name)


def test_every_latent_lands_at_its_place():
    """With no blocks, visible places hold the embedded latents."""
    decoder = make(PixelDecoder, decoder_depth=0, patch_size=4)
    latent = torch.randn(1, 1 + 3, 24)
    order = torch.randperm(16)
    completed = decoder.complete(latent, Masking(order[None, :3], order[None, 3:]))[0]
    without_position = completed - decoder.decoder_pos_embed[0, 1:]
    embedded = decoder.decoder_embed(latent)[0, 1:]
    torch.testing.assert_close(without_position[order[:3]], embedded)
    for place in order[3:]:
        torch.testing.assert_close(without_position[place], decoder.mask_token[0, 0])


def test_encoders_without_a_class_token():
    decoder = make(PixelDecoder, patch_size=4, num_extra_tokens=0, decoder_depth=1)
    assert decoder(torch.randn(2, 5, 24), draw(16, 5)).shape == (2, 11, 48)
    assert decoder.decoder_pos_embed.shape == (1, 16, 8)


def test_grids_need_not_be_square():
    decoder = make(PixelDecoder, grid=(2, 6), patch_size=4, in_chans=5)
    assert decoder(torch.randn(2, 1 + 4, 24), draw(12, 4)).shape == (2, 8, 80)


def test_positions_of_another_grid_are_resized_while_loading():
    """By the same rule as the encoder's, whatever order their axes have."""
    from mmpretrain.models.utils import resize_pos_embed

    source, wide = (
        make(PixelDecoder, patch_size=4),
        make(PixelDecoder, (2, 6), patch_size=4),
    )
    weights = source.state_dict()
    table = torch.randn(1, 17, 8)
    weights['decoder_pos_embed'] = table
    wide.load_state_dict(weights)
    expected = resize_pos_embed(table, (4, 4), (2, 6), num_extra_tokens=1)
    assert torch.equal(wide.decoder_pos_embed, expected)
    assert torch.equal(wide.decoder_pos_embed[:, :1], table[:, :1])


def test_features_have_the_encoders_width_for_any_patch_size():
    """Not 3 * patch_size**2 numbers, which fits ViT-B/16 only by chance."""
    decoder = make(FeatureDecoder)
    assert decoder(torch.randn(2, 1 + 4, 24), draw(16, 4)).shape == (2, 24)
    assert len(decoder.decoder_blocks) == 2  # the paper's depth by default


def test_feature_is_the_mean_of_the_decoded_patches():
    """Pooling before the last linear layer equals pooling behind it."""
    decoder = make(FeatureDecoder)
    latent, masking = torch.randn(2, 5, 24), draw(16, 4)
    every_patch = decoder.decoder_norm(decoder.complete(latent, masking))
    every_patch = decoder.decoder_pred(every_patch)
    assert every_patch.shape == (2, 16, 24)
    torch.testing.assert_close(decoder(latent, masking), every_patch.mean(1))


@pytest.mark.parametrize('depth', [0, 1, 4, 8])
def test_feature_decoder_of_any_depth(depth):
    decoder = make(FeatureDecoder, decoder_depth=depth)
    assert len(decoder.decoder_blocks) == depth
    assert decoder(torch.randn(2, 5, 24), draw(16, 4)).shape == (2, 24)


def test_shared_decoder_pools_the_given_tokens():
    decoder = SharedFeatureDecoder(embed_dim=24, decoder_embed_dim=8)
    tokens = torch.randn(2, 16, 8)
    torch.testing.assert_close(decoder(tokens), decoder.decoder_pred(tokens).mean(1))
