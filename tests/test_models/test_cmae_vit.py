import pytest
import torch

from cmae_mm.models import CMAEViT

ARCH = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)


def make(**kwargs):
    vit = CMAEViT(**{'arch': ARCH, 'img_size': 32, 'patch_size': 4, **kwargs})
    vit.init_weights()
    return vit


def test_block_size_one_equals_mae():
    """Weights at the start, latents, masks and gradients equal MAEViT's."""
    from mmpretrain.models.selfsup.mae import MAEViT

    torch.manual_seed(2)
    ours = make(block_size=1, mask_ratio=0.75)
    torch.manual_seed(2)
    theirs = MAEViT(arch=ARCH, img_size=32, patch_size=4, mask_ratio=0.75)
    theirs.init_weights()
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    for name, value in theirs.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name
    ours, theirs = ours.double(), theirs.double()
    image = torch.randn(3, 3, 32, 32).double()
    torch.manual_seed(1)
    latent, masking = ours(image)
    torch.manual_seed(1)
    mae_latent, mae_mask, mae_ids_restore = theirs(image)
    torch.testing.assert_close(latent, mae_latent)
    assert torch.equal(masking.mask, mae_mask.float())
    assert torch.equal(torch.cat(masking, dim=1).argsort(1), mae_ids_restore)
    latent.square().sum().backward()
    mae_latent.square().sum().backward()
    named = dict(theirs.named_parameters())
    for name, param in ours.named_parameters():
        if param.requires_grad:
            torch.testing.assert_close(param.grad, named[name].grad)


def test_published_token_counts():
    """The released recipe sees 68 of 196 patches, MAE 49."""
    with torch.device('meta'):
        released = CMAEViT(arch='b', block_size=2, mask_ratio=0.65)
        mae = CMAEViT(arch='b', block_size=1, mask_ratio=0.75)
    assert released.masking.num_visible == 68
    assert mae.masking.num_visible == 49


@pytest.mark.parametrize('block_size', [1, 2])
def test_no_information_of_masked_patches_reaches_visible_latents(block_size):
    """Neither by value nor by gradient."""
    vit = make(block_size=block_size, mask_ratio=0.5)
    image = torch.randn(1, 3, 32, 32, requires_grad=True)
    latent, masking = vit(image)
    pixels = masking.mask.view(1, 1, 8, 1, 8, 1).expand(1, 3, 8, 4, 8, 4)
    pixels = pixels.reshape(1, 3, 32, 32)
    changed = image.detach() + 1e6 * pixels * torch.randn_like(image)
    assert torch.equal(vit(changed, masking)[0], latent)
    latent.square().sum().backward()
    assert (image.grad[pixels == 1] == 0).all()
    assert (image.grad[pixels == 0] != 0).any()


def test_a_given_mask_is_used():
    vit = make(block_size=2, mask_ratio=0.5)
    image = torch.randn(2, 3, 32, 32)
    latent, masking = vit(image)
    again, same = vit(image, masking)
    assert same is masking
    assert torch.equal(latent, again)


def test_patch_embedding_of_chosen_patches_is_the_convolution():
    vit = make(img_size=(16, 24))
    image = torch.randn(2, 3, 16, 24)
    everywhere = vit.patch_embed(image)[0]
    ids = torch.tensor([[3, 0, 23], [7, 7, 1]])
    for i in range(2):
        torch.testing.assert_close(
            vit.embed_patches(image, ids)[i], everywhere[i, ids[i]]
        )


@pytest.mark.parametrize('no_mask', [None, False])
def test_without_a_mask_it_sees_everything(no_mask):
    vit = make(block_size=2)
    (out,) = vit(torch.randn(2, 3, 32, 32), masking=no_mask)
    assert out.shape == (2, 65, 16)


def test_whole_images_may_have_any_size():
    vit = make(block_size=2)
    assert vit(torch.randn(1, 3, 24, 40), masking=None)[0].shape == (1, 61, 16)


def test_grids_patches_and_channels_of_other_kinds():
    """12-channel pictures of 24x48 px in patches of 6 px."""
    from mmpretrain.models import VisionTransformer

    size = dict(img_size=(24, 48), patch_size=6)
    vit = make(in_channels=12, block_size=2, mask_ratio=0.5, **size)
    image = torch.randn(2, 12, 24, 48)
    latent, masking = vit(image)
    assert latent.shape == (2, 1 + 16, 16)
    assert masking.mask.shape == (2, 32)
    plain = VisionTransformer(arch=ARCH, in_channels=12, out_type='raw', **size)
    plain.load_state_dict(vit.state_dict(), strict=True)
    torch.testing.assert_close(plain(image)[0], vit(image, masking=None)[0])


def test_a_checkpoint_named_in_init_cfg_is_not_overwritten(tmp_path):
    source = make()
    file = tmp_path / 'vit.pth'
    torch.save({f'backbone.{k}': v for k, v in source.state_dict().items()}, file)
    init_cfg = dict(type='Pretrained', checkpoint=str(file), prefix='backbone.')
    started = make(init_cfg=init_cfg)
    for name, value in source.state_dict().items():
        assert torch.equal(started.state_dict()[name], value), name


def test_wrong_image_size_explains_itself():
    with pytest.raises(ValueError, match='24x24 came into a backbone built'):
        make()(torch.randn(1, 3, 24, 24))
