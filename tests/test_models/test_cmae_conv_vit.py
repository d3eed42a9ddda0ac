import pytest
import torch
from torch.nn import functional as F

from cmae_mm.models import CMAEConvViT, CMAEViT
from cmae_mm.models.conv_vit import MaskedConvBlock

TINY = dict(widths=(8, 12, 16), depths=(2, 1, 2), strides=(2, 2, 2), num_heads=2)


def make(**kwargs):
    """A 4x4 grid of 8 px patches, with weights that no symmetry makes equal."""
    encoder = CMAEConvViT(**{**TINY, 'img_size': 32, 'mask_ratio': 0.5, **kwargs})
    encoder.init_weights()
    for name, param in encoder.named_parameters():
        if name != 'pos_embed':
            torch.nn.init.normal_(param, mean=0.1, std=0.3)
    return encoder


def masked_pixels(mask, encoder):
    """(B, 1, height, width), bool: the pixels of the masked patches."""
    rows, cols = encoder.patch_resolution
    patch = torch.ones(encoder.patch_size, encoder.patch_size)
    return (
        torch.stack([torch.kron(m.view(rows, cols), patch) for m in mask])[:, None] > 0
    )


def run(encoder, images, seed=1):
    torch.manual_seed(seed)
    return encoder(images)


def conv_stage_by_hand(x, weights, stage, stride, visible):
    """The paper's stage: features times (1 - mask) before the depthwise conv."""

    def norm(x, name):
        x = F.layer_norm(
            x.permute(0, 2, 3, 1), x.shape[1:2], weights[f'{name}.weight'],
            weights[f'{name}.bias'],
        )  # fmt: skip
        return x.permute(0, 3, 1, 2)

    def conv(x, name, **kwargs):
        return F.conv2d(x, weights[f'{name}.weight'], weights[f'{name}.bias'], **kwargs)

    x = conv(x, f'{stage}.patch_embed.projection', stride=stride)
    x = F.gelu(norm(x, f'{stage}.patch_embed.norm'))
    block = 0
    while f'{stage}.blocks.{block}.ln1.weight' in weights:
        name = f'{stage}.blocks.{block}'
        mixed = conv(norm(x, f'{name}.ln1'), f'{name}.pointwise1') * visible
        mixed = conv(mixed, f'{name}.depthwise', padding=2, groups=x.shape[1])
        x = x + conv(mixed, f'{name}.pointwise2')
        hidden = F.gelu(conv(norm(x, f'{name}.ln2'), f'{name}.mlp.0'))
        x = x + conv(hidden, f'{name}.mlp.2')
        block += 1
    return x


def latents_by_hand(encoder, image, mask, ids_visible):
    """Section 7.7 of the notes on the method, for one image."""
    weights = encoder.state_dict()
    visible = ~masked_pixels(mask, encoder)
    first = conv_stage_by_hand(image, weights, 'stages.0', 2, visible[..., ::2, ::2])
    second = conv_stage_by_hand(first, weights, 'stages.1', 2, visible[..., ::4, ::4])

    def rows(x):  # (1, C, rows, cols) -> (L, C)
        return x[0].flatten(1).T

    def conv(x, name, stride):
        return F.conv2d(
            x, weights[f'{name}.weight'], weights[f'{name}.bias'], stride=stride
        )

    third = rows(conv(second, 'patch_embed.projection', 2))
    third = F.gelu(encoder.patch_embed.norm(third))
    tokens = encoder.token_proj(third) + weights['pos_embed'][0]
    tokens = tokens[ids_visible][None]
    for layer in encoder.layers:
        tokens = layer(tokens)
    for level, stride in ((first, 4), (second, 2)):
        name = f'scale_projs.{0 if stride == 4 else 1}.projection'
        tokens = tokens + rows(conv(level, name, stride))[ids_visible]
    return encoder.ln1(tokens)[0] if encoder.final_norm else tokens[0]


@pytest.mark.parametrize(
    'change',
    [
        dict(block_size=1),
        dict(block_size=2),
        dict(img_size=(16, 48), block_size=2, in_channels=5),
        dict(final_norm=False),
    ],
)
def test_equals_the_network_written_by_hand(change):
    encoder = make(**change)
    channels = encoder.stages[0].patch_embed.projection.in_channels
    images = torch.randn(2, channels, *encoder.img_size)
    latent, masking = run(encoder, images)
    mask = masking.mask
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    for i in range(2):
        ids_visible = masking.ids_visible[i]
        assert (mask[i][ids_visible] == 0).all()
        of_one = slice(i, i + 1)
        expected = latents_by_hand(encoder, images[of_one], mask[of_one], ids_visible)
        torch.testing.assert_close(latent[i], expected)


def leaks(encoder):
    """Whether masked pixels change visible latents, or have a gradient to them."""
    images = torch.randn(2, 3, 32, 32, requires_grad=True)
    latent, masking = run(encoder, images)
    masked = masked_pixels(masking.mask, encoder).expand_as(images)
    (gradient,) = torch.autograd.grad(latent.square().sum(), images)
    assert (gradient[~masked] != 0).any()
    changes = (1e-3, 1.0, 1e6, 1e30)
    changed = [
        run(encoder, torch.where(masked, scale * torch.randn_like(images), images))
        for scale in changes
    ]
    assert all(torch.equal(other[1].mask, masking.mask) for other in changed)
    by_gradient = bool((gradient[masked] != 0).any())
    by_pixels = any(not torch.equal(other[0], latent) for other in changed)
    return by_gradient, by_pixels


@pytest.mark.parametrize('block_size', [1, 2])
def test_nothing_of_a_masked_patch_reaches_a_visible_latent(block_size):
    assert leaks(make(block_size=block_size)) == (False, False)


@pytest.mark.parametrize('block_size', [1, 2])
def test_without_the_mask_in_the_convolutions_it_would(block_size, monkeypatch):
    """So the test above can fail."""
    forward = MaskedConvBlock.forward
    monkeypatch.setattr(
        MaskedConvBlock, 'forward', lambda self, x, masked=None: forward(self, x)
    )
    assert leaks(make(block_size=block_size)) == (True, True)


@pytest.mark.parametrize('no_mask', [None, False])
def test_without_a_mask_it_sees_everything(no_mask):
    """As with a mask that leaves every patch visible."""
    encoder = make(mask_ratio=0.0)
    images = torch.randn(2, 3, 32, 32, requires_grad=True)
    (whole,) = encoder(images, masking=no_mask)
    assert whole.shape == (2, 16, 16)
    latent, masking = encoder(images)
    assert not masking.mask.any()
    in_place = torch.zeros_like(whole)
    for image in range(2):
        in_place[image, masking.ids_visible[image]] = latent[image]
    torch.testing.assert_close(whole, in_place)
    (gradient,) = torch.autograd.grad(whole[:, 0].square().sum(), images)
    assert (gradient != 0).all()


def test_masks_are_those_of_the_plain_vit():
    """The same draw masks the same patches in both encoders."""
    arch = dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16)
    vit = CMAEViT(arch=arch, img_size=32, patch_size=8, block_size=2, mask_ratio=0.5)
    images = torch.randn(3, 3, 32, 32)
    _, plain = run(vit, images)
    latent, masking = run(make(block_size=2), images)
    assert torch.equal(masking.ids_visible, plain.ids_visible)
    assert torch.equal(masking.ids_masked, plain.ids_masked)
    assert latent.shape == (3, 8, 16)  # no class token
    assert make().num_extra_tokens == 0


def test_every_trained_parameter_has_a_gradient():
    """Distributed training waits for each of them."""
    encoder = make()
    run(encoder, torch.randn(1, 3, 32, 32))[0].square().sum().backward()
    for name, param in encoder.named_parameters():
        assert (param.grad is not None) == (name != 'pos_embed'), name


def test_positions_are_mae_s_and_follow_the_rows_of_any_grid():
    from mmpretrain.models.selfsup.mae import MAEViT

    arch = dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16)
    mae = MAEViT(arch=arch, img_size=32, patch_size=8)
    mae.init_weights()
    assert torch.equal(make().pos_embed, mae.pos_embed[:, 1:])
    rows, cols = make(img_size=(16, 48)).pos_embed.view(2, 6, 16).split(8, dim=-1)
    assert torch.equal(rows, rows[:, :1].expand_as(rows))
    assert torch.equal(cols, cols[:1].expand_as(cols))
    assert not torch.equal(rows[0], rows[1]) and not torch.equal(cols[:, 0], cols[:, 1])
    assert not make().pos_embed.requires_grad


def test_whole_images_may_have_any_size():
    encoder = make()
    assert encoder(torch.randn(1, 3, 24, 50), masking=None)[0].shape == (1, 21, 16)


def parameters_by_hand(widths=(256, 384, 768), depths=(2, 2, 11), strides=(4, 2, 2)):
    """Of the layers of section 7.7 of the notes on the method; without positions."""

    def linear(inputs, outputs):
        return (inputs + 1) * outputs

    def norm(width):
        return 2 * width

    count, before = 0, 3
    for width, stride in zip(widths, strides, strict=True):
        count += linear(before * stride**2, width) + norm(width)
        before = width
    for width, depth in zip(widths[:2], depths[:2], strict=True):
        mlp = linear(width, 4 * width) + linear(4 * width, width)
        convs = 2 * linear(width, width) + linear(25, width)
        count += depth * (2 * norm(width) + convs + mlp)
    width = widths[-1]
    mlp = linear(width, 4 * width) + linear(4 * width, width)
    attention = linear(width, 3 * width) + linear(width, width)
    count += depths[-1] * (2 * norm(width) + attention + mlp)
    count += linear(width, width)  # before stage 3
    multi_scale = linear(widths[0] * 4**2, width) + linear(widths[1] * 2**2, width)
    return count, multi_scale + norm(width)


def trained(model):
    return sum(p.numel() for name, p in model.named_parameters() if name != 'pos_embed')


def test_parameter_count_against_vit_base():
    """ConvViT: 84.5 million in transfer, 88.8 in pre-training; ViT-B: 85.6."""
    from mmpretrain.models import VisionTransformer

    from cmae_mm.models import ConvViT

    transfer, pretraining_only = parameters_by_hand()
    with torch.device('meta'):
        encoder = CMAEConvViT()
        backbone = ConvViT(final_norm=False)
        vit = VisionTransformer('base', final_norm=False)
    assert trained(encoder) == transfer + pretraining_only
    assert trained(backbone) == transfer
    millions = [round(trained(m) / 1e6, 1) for m in (backbone, encoder, vit)]
    assert millions == [84.5, 88.8, 85.6]


def test_published_shapes():
    with torch.device('meta'):
        encoder = CMAEConvViT(block_size=2, mask_ratio=0.65)
        images = torch.empty(2, 3, 224, 224)
        maps, tokens, grid = encoder.embed(images)
        latent, masking = encoder(images)
    assert [m.shape[1:] for m in maps] == [(256, 56, 56), (384, 28, 28)]
    assert grid == (14, 14) and tokens.shape == (2, 196, 768)
    assert latent.shape == (2, 68, 768) and masking.mask.shape == (2, 196)
    assert [len(stage.blocks) for stage in encoder.stages] == [2, 2]
    assert len(encoder.layers) == 11
    assert encoder.layers[0].attn.num_heads == 12


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(block_size=3), 'does not divide the patch grid of 4x4'),
        (dict(mask_ratio=0.99), 'leaves none of the 16 cells visible'),
        (dict(img_size=(32, 36)), 'not a multiple of the patch size of 8'),
    ],
)
def test_impossible_masks_explain_themselves(change, words):
    with pytest.raises(ValueError, match=words):
        make(**change)


def test_wrong_image_size_explains_itself():
    with pytest.raises(ValueError, match='24x24 came into a backbone built'):
        make()(torch.randn(1, 3, 24, 24))


def test_loaded_positions_survive_init_weights(tmp_path):
    encoder = make()
    with torch.no_grad():
        encoder.pos_embed.add_(1)
    path = tmp_path / 'encoder.pth'
    torch.save(encoder.state_dict(), path)
    again = CMAEConvViT(
        **TINY, img_size=32, init_cfg=dict(type='Pretrained', checkpoint=str(path))
    )
    again.init_weights()
    for name, value in encoder.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
