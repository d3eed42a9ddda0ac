import pytest
import torch

from cmae_mm.models.masking import (
    BlockMasking,
    masking_from_mask,
    masking_from_order,
    take_tokens,
)


@pytest.mark.parametrize('grid', [(8, 8), (4, 10)])
@pytest.mark.parametrize('block_size', [1, 2])
def test_cells_are_masked_as_a_whole_and_the_count_is_exact(grid, block_size):
    masking = BlockMasking(grid, block_size, mask_ratio=0.65)
    ids_visible, mask, _ = masking(5)
    cells = grid[0] * grid[1] // block_size**2
    visible = int(cells * (1 - 0.65)) * block_size**2
    assert masking.num_visible == visible == ids_visible.shape[1]
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


def test_ids_restore_undoes_the_order():
    """Against a second argsort, and by putting tokens back."""
    order = torch.stack([torch.randperm(12) for _ in range(3)])
    masking = masking_from_order(order, num_visible=5)
    assert torch.equal(masking.ids_restore, order.argsort(dim=1))
    tokens = torch.randn(3, 12, 2)
    visible = take_tokens(tokens, masking.ids_visible)
    shuffled = torch.cat([visible, torch.full((3, 7, 2), -1.0)], dim=1)
    restored = take_tokens(shuffled, masking.ids_restore)
    assert torch.equal(restored[masking.mask == 0], tokens[masking.mask == 0])
    assert (restored[masking.mask == 1] == -1).all()


def test_a_mask_can_be_used_again():
    first = BlockMasking((4, 6), block_size=2, mask_ratio=0.5)(3)
    again = masking_from_mask(first.mask)
    assert torch.equal(again.mask, first.mask)
    assert torch.equal(again.ids_visible, first.ids_visible.sort(dim=1).values)


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
