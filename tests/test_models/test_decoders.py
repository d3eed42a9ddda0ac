import pytest
import torch

from cmae_mm.models import FeatureDecoder, PixelDecoder, SharedFeatureDecoder

SMALL = dict(embed_dim=24, decoder_embed_dim=8, decoder_num_heads=2)


def make(kind, grid=(4, 4), **kwargs):
    decoder = kind(grid=grid, **SMALL, **kwargs)
    decoder.init_weights()
    return decoder


def test_pixel_decoder_is_maes():
    """Same weights, same pixels and gradients as mmpretrain's decoder."""
    from mmpretrain.models.necks import MAEPretrainDecoder

    ours = make(PixelDecoder, patch_size=4, decoder_depth=2)
    theirs = MAEPretrainDecoder(num_patches=16, patch_size=4, decoder_depth=2, **SMALL)
    theirs.init_weights()
    assert torch.equal(theirs.decoder_pos_embed, ours.decoder_pos_embed)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    latent = torch.randn(2, 1 + 4, 24)
    ids_restore = torch.stack([torch.randperm(16) for _ in range(2)])
    mine, other = ours(latent, ids_restore), theirs(latent, ids_restore)
    torch.testing.assert_close(mine, other)
    mine.square().sum().backward()
    other.square().sum().backward()
    named = dict(theirs.named_parameters())
    for name, param in ours.named_parameters():
        if param.requires_grad:
            torch.testing.assert_close(param.grad, named[name].grad, msg=name)


def test_every_latent_lands_at_its_place():
    """With no blocks and no norm, visible places hold the embedded latents."""
    decoder = make(PixelDecoder, decoder_depth=0, patch_size=4)
    decoder.ln1 = torch.nn.Identity()
    latent = torch.randn(1, 1 + 3, 24)
    order = torch.randperm(16)
    completed = decoder.complete(latent, order.argsort()[None])[0]
    without_position = completed - decoder.decoder_pos_embed[0, 1:]
    embedded = decoder.decoder_embed(latent)[0, 1:]
    torch.testing.assert_close(without_position[order[:3]], embedded)
    for place in order[3:]:
        torch.testing.assert_close(without_position[place], decoder.mask_token[0, 0])


def test_encoders_without_a_class_token():
    decoder = make(PixelDecoder, patch_size=4, num_extra_tokens=0, decoder_depth=1)
    ids_restore = torch.randperm(16).expand(2, 16)
    assert decoder(torch.randn(2, 5, 24), ids_restore).shape == (2, 16, 48)
    assert decoder.decoder_pos_embed.shape == (1, 16, 8)


def test_grids_need_not_be_square():
    decoder = make(PixelDecoder, grid=(2, 6), patch_size=4, in_chans=5)
    ids_restore = torch.randperm(12).expand(2, 12)
    assert decoder(torch.randn(2, 1 + 4, 24), ids_restore).shape == (2, 12, 80)


def test_features_have_the_encoders_width_for_any_patch_size():
    """Not 3 * patch_size**2 numbers, which fits ViT-B/16 only by chance."""
    decoder = make(FeatureDecoder)
    ids_restore = torch.stack([torch.randperm(16) for _ in range(2)])
    assert decoder(torch.randn(2, 1 + 4, 24), ids_restore).shape == (2, 24)
    assert len(decoder.decoder_blocks) == 2  # the paper's depth by default


def test_feature_is_the_mean_of_the_decoded_patches():
    """Pooling before the last linear layer equals pooling behind it."""
    decoder = make(FeatureDecoder)
    latent, ids_restore = torch.randn(2, 5, 24), torch.arange(16).expand(2, 16)
    every_patch = PixelDecoder.forward(decoder, latent, ids_restore)
    assert every_patch.shape == (2, 16, 24)
    torch.testing.assert_close(decoder(latent, ids_restore), every_patch.mean(1))


@pytest.mark.parametrize('depth', [0, 1, 4, 8])
def test_feature_decoder_of_any_depth(depth):
    decoder = make(FeatureDecoder, decoder_depth=depth)
    assert len(decoder.decoder_blocks) == depth
    ids_restore = torch.arange(16).expand(2, 16)
    assert decoder(torch.randn(2, 5, 24), ids_restore).shape == (2, 24)


def test_shared_decoder_pools_the_given_tokens():
    decoder = SharedFeatureDecoder(embed_dim=24, decoder_embed_dim=8)
    tokens = torch.randn(2, 16, 8)
    torch.testing.assert_close(decoder(tokens), decoder.decoder_pred(tokens).mean(1))
