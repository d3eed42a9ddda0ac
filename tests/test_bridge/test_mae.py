from argparse import Namespace
from functools import partial

import pytest
import torch
from mmengine.runner import load_checkpoint
from torch import nn

from cmae_mm.bridge import ConversionError, convert
from cmae_mm.models.masking import take_tokens

NORM = partial(nn.LayerNorm, eps=1e-6)


class MAE(nn.Module):
    """The layers of facebookresearch/mae under its names, from timm's pieces."""

    def __init__(self):
        from timm.models.vision_transformer import Block, PatchEmbed

        super().__init__()
        self.patch_embed = PatchEmbed(img_size=16, patch_size=4, embed_dim=16)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 16))
        self.pos_embed = nn.Parameter(torch.zeros(1, 17, 16))
        block = partial(Block, num_heads=2, qkv_bias=True, norm_layer=NORM)
        self.blocks = nn.Sequential(*(block(16, mlp_ratio=2) for _ in range(2)))
        self.norm = NORM(16)
        self.decoder_embed = nn.Linear(16, 8)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, 8))
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, 17, 8))
        self.decoder_blocks = nn.Sequential(block(8))
        self.decoder_norm = NORM(8)
        self.decoder_pred = nn.Linear(8, 48)

    def forward(self, images, order, num_visible):
        """Reconstruct; the first ``num_visible`` patches of ``order`` are seen."""
        index = order[:, :num_visible, None].expand(-1, -1, 16)
        tokens = self.patch_embed(images) + self.pos_embed[:, 1:]
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(images), -1, -1)
        latent = torch.cat([first, tokens.gather(1, index)], dim=1)
        latent = self.decoder_embed(self.norm(self.blocks(latent)))
        all_tokens = self.mask_token.expand(len(images), 16, -1).scatter(
            1, order[:, :num_visible, None].expand(-1, -1, 8), latent[:, 1:]
        )
        x = torch.cat([latent[:, :1], all_tokens], dim=1) + self.decoder_pos_embed
        return self.decoder_pred(self.decoder_norm(self.decoder_blocks(x)))[:, 1:]


def test_pre_training_goes_on_where_mae_stopped(
    tmp_path, tiny_cfg, build, randomise, views
):
    pytest.importorskip('timm')
    theirs = randomise(MAE())
    torch.save(dict(model=theirs.state_dict()), tmp_path / 'mae.pth')
    done = convert(
        tmp_path / 'mae.pth', tmp_path / 'ours.pth', 'mae', 'cmae-mm', heads=2
    )
    assert done.difference < 1e-5
    assert done.parts.keys() == {'backbone', 'pixel_decoder'}

    model = build(tiny_cfg).eval()
    load_checkpoint(model, str(tmp_path / 'ours.pth'), strict=False)
    torch.manual_seed(5)
    latent, masking = model.backbone(views[0])
    pixels = model.pixel_decoder(latent, masking)
    visible = masking.ids_visible.shape[1]
    expected = theirs(views[0], torch.cat(masking, dim=1), visible)
    expected = take_tokens(expected, masking.ids_masked)
    torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-5)


def test_the_stored_positions_are_kept(tmp_path, make_source, mae_weights):
    convert(make_source('mae'), tmp_path / 'ours.pth', 'mae', 'cmae-mm', heads=2)
    weights = torch.load(tmp_path / 'ours.pth', weights_only=True)['state_dict']
    assert torch.equal(weights['backbone.pos_embed'], mae_weights['pos_embed'])
    assert torch.equal(
        weights['pixel_decoder.decoder_pos_embed'], mae_weights['decoder_pos_embed']
    )


@pytest.mark.skipif(
    not hasattr(torch.serialization, 'safe_globals'), reason='torch refuses such files'
)
def test_the_command_line_in_a_file_is_passed_over(tmp_path, mae_weights):
    torch.save(dict(model=mae_weights, args=Namespace(lr=1e-3)), tmp_path / 'mae.pth')
    done = convert(
        tmp_path / 'mae.pth', tmp_path / 'ours.pth', 'mae', 'cmae-mm', heads=2
    )
    assert done.parts == {'backbone': 30, 'pixel_decoder': 20}


def test_half_a_decoder_is_refused(tmp_path, mae_weights):
    del mae_weights['decoder_embed.weight']
    torch.save(mae_weights, tmp_path / 'half.pth')
    with pytest.raises(ConversionError, match=r'decoder_embed\.weight is missing'):
        convert(tmp_path / 'half.pth', tmp_path / 'x.pth', 'mae', 'cmae-mm', heads=2)


def test_a_fine_tuned_mae_leaves_its_classifier(tmp_path, mae_weights):
    tuned = {k: v for k, v in mae_weights.items() if 'decoder' not in k}
    del tuned['mask_token']
    tuned['head.weight'] = torch.ones(5, 16)
    torch.save(dict(model=tuned), tmp_path / 'tuned.pth')
    done = convert(
        tmp_path / 'tuned.pth', tmp_path / 'ours.pth', 'mae', 'cmae-mm', heads=2
    )
    assert done.left_out == {'head': 1}


def test_something_else_is_refused(tmp_path, released_weights):
    torch.save(dict(state_dict=released_weights), tmp_path / 'cmae.pth')
    with pytest.raises(ConversionError, match='--from'):
        convert(tmp_path / 'cmae.pth', tmp_path / 'x.pth', 'mae', 'cmae-mm', heads=2)
