import torch

from cmae_mm.models import FeatureDecoder


def test_pools_to_the_encoders_width_for_any_patch_size():
    """Not 3 * patch_size**2 numbers, which fits ViT-B/16 only by chance."""
    decoder = FeatureDecoder(
        embed_dim=24, decoder_embed_dim=8, decoder_num_heads=2, num_patches=16
    )
    decoder.init_weights()
    ids_restore = torch.stack([torch.randperm(16) for _ in range(2)])
    latent = torch.randn(2, 1 + 4, 24)
    assert decoder(latent, ids_restore).shape == (2, 24)
    assert len(decoder.decoder_blocks) == 2  # the paper's depth by default


def test_is_the_mean_over_all_patches_without_the_class_token():
    decoder = FeatureDecoder(
        embed_dim=24, decoder_embed_dim=8, decoder_num_heads=2, num_patches=16
    )
    decoder.init_weights()
    seen = {}
    decoder.decoder_pred.register_forward_hook(
        lambda module, inputs, output: seen.update(tokens=output)
    )
    pooled = decoder(torch.randn(2, 5, 24), torch.arange(16).expand(2, 16))
    assert seen['tokens'].shape == (2, 17, 24)
    torch.testing.assert_close(pooled, seen['tokens'][:, 1:].mean(1))
