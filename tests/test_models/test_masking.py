import pytest
import torch

from cmae_mm.models.masking import (
    BlockMasking,
    take_patches,
    take_tokens,
)


@pytest.mark.parametrize('grid', [(8, 8), (4, 10)])
@pytest.mark.parametrize('block_size', [1, 2])
def test_cells_are_masked_as_a_whole_and_the_count_is_exact(grid, block_size):
    masking = BlockMasking(grid, block_size, mask_ratio=0.65)
    drawn = masking(5)
    mask = drawn.mask
    cells = grid[0] * grid[1] // block_size**2
    visible = int(cells * (1 - 0.65)) * block_size**2
    assert masking.num_visible == visible == drawn.ids_visible.shape[1]
    assert (mask == 0).sum(1).tolist() == [visible] * 5
    rows, cols = grid[0] // block_size, grid[1] // block_size
    blocks = mask.view(5, rows, block_size, cols, block_size).transpose(2, 3)
    blocks = blocks.reshape(5, rows * cols, block_size**2)
    assert (blocks == blocks[..., :1]).all()
    assert len({tuple(m.tolist()) for m in mask}) > 1


def test_smallest_draws_stay_visible():
    masking = BlockMasking((8, 8), block_size=2, mask_ratio=0.5)
    torch.manual_seed(1)
    mask = masking(2).mask
    torch.manual_seed(1)
    noise = torch.rand(2, 16)
    for image in range(2):
        smallest = set(noise[image].argsort()[:8].tolist())
        cells = mask[image].view(4, 2, 4, 2)[:, 0, :, 0].flatten()
        assert set((cells == 0).nonzero().flatten().tolist()) == smallest


def test_every_patch_is_either_visible_or_masked():
    drawn = BlockMasking((4, 6), block_size=2, mask_ratio=0.5)(3)
    places = torch.cat(drawn, dim=1).sort(dim=1).values
    assert torch.equal(places, torch.arange(24).expand(3, 24))
    for image in range(3):
        assert (drawn.mask[image][drawn.ids_visible[image]] == 0).all()
        assert (drawn.mask[image][drawn.ids_masked[image]] == 1).all()


def test_tokens_and_patches_are_taken_from_their_places():
    """Against loops over images and places."""
    tokens, ids = torch.randn(2, 6, 3), torch.tensor([[5, 0], [2, 2]])
    images = torch.randn(2, 5, 4, 6)  # a grid of 2x3 patches of 2 px
    for i in range(2):
        for j in range(2):
            place = int(ids[i, j])
            assert torch.equal(take_tokens(tokens, ids)[i, j], tokens[i, place])
            top, left = 2 * (place // 3), 2 * (place % 3)
            patch = images[i, :, top : top + 2, left : left + 2]
            expected = patch.permute(1, 2, 0).flatten()
            assert torch.equal(take_patches(images, ids, 2)[i, j], expected)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(block_size=3), 'does not divide the patch grid of 8x4'),
        (dict(block_size=0), 'block_size=0'),
        (dict(mask_ratio=0.99), 'leaves none of the 32 cells visible'),
        (dict(mask_ratio=1.0), 'mask_ratio=1.0'),
        (dict(mask_ratio=-0.1), 'mask_ratio=-0.1'),
    ],
)
def test_impossible_masks_explain_themselves(change, words):
    with pytest.raises(ValueError, match=words):
        BlockMasking((8, 4), **change)
