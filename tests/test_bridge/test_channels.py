import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.models.heads import MAEPretrainHead

from cmae_mm.bridge.channels import as_released_input, bgr_to_rgb, rgb_pixels
from cmae_mm.bridge.names import part_of, with_prefix

# Red, green, blue; from the pipelines' configs.
MEAN = torch.tensor([123.675, 116.28, 103.53], dtype=torch.float64).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375], dtype=torch.float64).view(3, 1, 1)


def network(weights=None):
    model = VisionTransformer(
        dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32),
        img_size=16,
        patch_size=4,
        out_type='raw',
    ).double()
    if weights is not None:
        model.load_state_dict(weights)
    model.eval()
    return model


def test_an_rgb_picture_gives_the_features_of_the_released_weights(randomise):
    picture = 255 * torch.rand(2, 3, 16, 16, dtype=torch.float64)  # RGB
    shown_there = (picture.flip(1) - MEAN) / STD  # BGR, as if it were RGB
    shown_here = (picture - MEAN) / STD
    original = randomise(network())
    converted = bgr_to_rgb(with_prefix(original.state_dict(), 'backbone'))
    features = original(shown_there)[-1]

    again = network(part_of(converted, 'backbone'))(shown_here)[-1]
    assert (again - features).abs().max() < 1e-10
    assert (original(shown_here)[-1] - features).abs().max() > 0.1


def test_the_target_is_converted_and_nothing_else(released_weights):
    weights = {k: v for k, v in released_weights.items() if not k.startswith('head.')}
    changed = bgr_to_rgb(weights)
    assert changed.keys() == weights.keys()
    assert {k for k in weights if not torch.equal(changed[k], weights[k])} == {
        'backbone.patch_embed.projection.weight',
        'backbone.patch_embed.projection.bias',
        'target_backbone.patch_embed.projection.weight',
        'target_backbone.patch_embed.projection.bias',
        'pixel_decoder.decoder_pred.weight',
        'pixel_decoder.decoder_pred.bias',
    }


def test_reconstructions_get_their_red_in_the_first_channel():
    head = MAEPretrainHead(
        dict(type='PixelReconstructionLoss', criterion='L2'), patch_size=4
    )
    last = torch.nn.Linear(6, 48)
    hidden = torch.randn(2, 16, 6)
    bgr = head.unpatchify(last(hidden))
    swapped = torch.nn.functional.linear(
        hidden, rgb_pixels(last.weight), rgb_pixels(last.bias)
    )
    torch.testing.assert_close(head.unpatchify(swapped), bgr[:, [2, 1, 0]])


def test_the_input_of_the_released_network_is_that_of_its_pipeline():
    picture = 255 * torch.rand(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(
        as_released_input((picture - MEAN) / STD), (picture.flip(1) - MEAN) / STD
    )
