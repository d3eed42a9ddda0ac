import pytest
import torch

from cmae_mm.models import ReconstructionHead
from cmae_mm.models.masking import Masking, take_tokens

LOSS = dict(type='PixelReconstructionLoss', criterion='L2')


@pytest.mark.parametrize(
    ('size', 'channels', 'patch'), [((8, 8), 3, 4), ((8, 12), 3, 2), ((6, 3), 5, 3)]
)
def test_patchify_and_back(size, channels, patch):
    head = ReconstructionHead(patch_size=patch, in_channels=channels, loss=LOSS)
    images = torch.randn(2, channels, *size)
    patches = head.patchify(images)
    rows, cols = size[0] // patch, size[1] // patch
    assert patches.shape == (2, rows * cols, patch * patch * channels)
    # The last patch of the first row, pixel by pixel, channels last.
    corner = images[0, :, :patch, -patch:].permute(1, 2, 0).flatten()
    assert torch.equal(patches[0, cols - 1], corner)
    assert torch.equal(head.unpatchify(patches, (rows, cols)), images)


@pytest.mark.parametrize('norm_pix', [True, False])
def test_equals_mmpretrains_head_on_squares(norm_pix):
    """Which multiplies the loss of visible patches by zero."""
    from mmpretrain.models.heads import MAEPretrainHead

    ours = ReconstructionHead(patch_size=4, norm_pix=norm_pix, loss=LOSS)
    theirs = MAEPretrainHead(patch_size=4, norm_pix=norm_pix, loss=LOSS)
    images = torch.randn(2, 3, 8, 8)
    pixels = torch.randn(2, 4, 48, requires_grad=True)
    mask = torch.tensor([[0.0, 1, 1, 0], [1, 0, 0, 1]])
    masking = Masking(torch.tensor([[0, 3], [1, 2]]), torch.tensor([[1, 2], [0, 3]]))
    assert torch.equal(masking.mask, mask)
    assert torch.equal(ours.patchify(images), theirs.patchify(images))
    assert torch.equal(ours.unpatchify(pixels), theirs.unpatchify(pixels))
    loss = ours.loss(take_tokens(pixels, masking.ids_masked), images, masking)
    expected = theirs.loss(pixels, images, mask)
    torch.testing.assert_close(loss, expected)
    gradients = [torch.autograd.grad(value, pixels)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients)
