import pytest
import torch

from cmae_mm.models import CMAEViT

ARCH = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)


def make(**kwargs):
    vit = CMAEViT(**{'arch': ARCH, 'img_size': 32, 'patch_size': 4, **kwargs})
    vit.init_weights()
    return vit


def test_block_size_one_equals_mae():
    """Outputs and gradients equal MAEViT's for the same noise."""
    from mmpretrain.models.selfsup.mae import MAEViT

    ours = make(block_size=1, mask_ratio=0.75)
    theirs = MAEViT(arch=ARCH, img_size=32, patch_size=4, mask_ratio=0.75)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    image = torch.randn(3, 3, 32, 32)
    torch.manual_seed(1)
    ours_out = ours(image)
    torch.manual_seed(1)
    theirs_out = theirs(image)
    for mine, other in zip(ours_out, theirs_out, strict=True):
        assert torch.equal(mine, other)
    ours_out[0].square().sum().backward()
    theirs_out[0].square().sum().backward()
    named = dict(theirs.named_parameters())
    for name, param in ours.named_parameters():
        if param.requires_grad:
            torch.testing.assert_close(param.grad, named[name].grad)


def test_cells_are_masked_as_a_whole_and_the_count_is_exact():
    vit = make(block_size=2, mask_ratio=0.65)
    latent, mask, _ = vit(torch.randn(5, 3, 32, 32))
    visible = int(16 * 0.35) * 4  # of 16 cells with 4 patches each
    assert latent.shape == (5, 1 + visible, 16)
    assert (mask == 0).sum(1).tolist() == [visible] * 5
    cells = mask.view(5, 4, 2, 4, 2).transpose(2, 3).reshape(5, 16, 4)
    assert ((cells.sum(-1) == 0) | (cells.sum(-1) == 4)).all()
    assert len({tuple(m.tolist()) for m in mask}) > 1


def test_published_token_counts():
    """The released recipe sees 68 of 196 patches, MAE 49."""
    with torch.device('meta'):
        released = CMAEViT(arch='b', block_size=2, mask_ratio=0.65)
        mae = CMAEViT(arch='b', block_size=1, mask_ratio=0.75)
    assert released.num_visible(0.65) == 68
    assert mae.num_visible(0.75) == 49


def test_smallest_draws_stay_visible():
    vit = make(block_size=2, mask_ratio=0.5)
    torch.manual_seed(1)
    _, mask, _ = vit(torch.zeros(2, 3, 32, 32))
    torch.manual_seed(1)
    noise = torch.rand(2, 16)
    for image in range(2):
        smallest = set(noise[image].argsort()[:8].tolist())
        rows = mask[image].view(4, 2, 4, 2)[:, 0, :, 0].flatten()
        assert set((rows == 0).nonzero().flatten().tolist()) == smallest


@pytest.mark.parametrize('block_size', [1, 2, 4])
def test_ids_restore_undoes_the_shuffle(block_size):
    vit = make(block_size=block_size, mask_ratio=0.5)
    tokens = torch.arange(64.0).view(1, 64, 1).expand(2, 64, 3)
    visible, mask, ids_restore = vit.random_masking(tokens, 0.5)
    shuffled = torch.full((2, 64, 3), -1.0)
    shuffled[:, : visible.shape[1]] = visible
    restored = torch.stack(
        [s[ids] for s, ids in zip(shuffled, ids_restore, strict=True)]
    )
    assert torch.equal(restored[mask == 0], tokens[mask == 0])
    assert (restored[mask == 1] == -1).all()


def test_visible_latents_do_not_depend_on_masked_pixels():
    vit = make(block_size=2, mask_ratio=0.5)
    image = torch.randn(1, 3, 32, 32)
    torch.manual_seed(1)
    latent, mask, _ = vit(image)
    pixels = mask.view(1, 1, 8, 1, 8, 1).expand(1, 3, 8, 4, 8, 4)
    changed = image + 10 * pixels.reshape(1, 3, 32, 32)
    torch.manual_seed(1)
    assert torch.equal(vit(changed)[0], latent)


@pytest.mark.parametrize('no_mask', [None, False])
def test_without_a_mask_it_sees_everything(no_mask):
    vit = make(block_size=2)
    (out,) = vit(torch.randn(2, 3, 32, 32), mask=no_mask)
    assert out.shape == (2, 65, 16)


def test_whole_images_may_have_any_size():
    vit = make(block_size=2)
    assert vit(torch.randn(1, 3, 24, 40), mask=None)[0].shape == (1, 61, 16)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(block_size=3), 'does not divide the patch grid of 8x8'),
        (dict(block_size=0), 'block_size=0'),
        (dict(mask_ratio=0.99), 'leaves none of the 64 cells visible'),
        (dict(mask_ratio=1.0), 'mask_ratio=1.0'),
        (dict(mask_ratio=-0.1), 'mask_ratio=-0.1'),
        (dict(img_size=(32, 16)), 'square patch grid, got 8x4'),
    ],
)
def test_impossible_masks_explain_themselves(change, words):
    with pytest.raises(ValueError, match=words):
        make(**change)


def test_wrong_image_size_explains_itself():
    with pytest.raises(ValueError, match='24x24 came into a backbone built'):
        make()(torch.randn(1, 3, 24, 24))
