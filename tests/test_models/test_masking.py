import pytest
import torch

from cmae_mm.models.masking import BlockMasking, take_tokens


def test_block_size_one_equals_mae_draw_for_draw():
    from mmpretrain.models.selfsup.mae import MAEViT

    tokens = torch.randn(3, 24, 5)
    torch.manual_seed(1)
    visible, mask, ids_restore = MAEViT.random_masking(None, tokens, 0.6)
    torch.manual_seed(1)
    ids_visible, our_mask, our_ids_restore = BlockMasking((4, 6), 1, 0.6)(3)
    assert torch.equal(take_tokens(tokens, ids_visible), visible)
    assert torch.equal(our_mask, mask)
    assert torch.equal(our_ids_restore, ids_restore)


def masked_cells_of(image_noise, rows, cols, block_size, num_visible_cells):
    """The mask of one image, cell by cell, as plain Python would write it."""
    ranking = sorted(range(len(image_noise)), key=lambda cell: image_noise[cell])
    visible = set(ranking[:num_visible_cells])
    cells_per_row = cols // block_size
    return [
        [
            float((r // block_size) * cells_per_row + c // block_size not in visible)
            for c in range(cols)
        ]
        for r in range(rows)
    ]


@pytest.mark.parametrize('grid', [(4, 4), (4, 8), (6, 2)])
@pytest.mark.parametrize('block_size', [1, 2])
def test_smallest_draws_stay_visible_as_whole_cells(grid, block_size):
    rows, cols = grid
    masking = BlockMasking(grid, block_size, mask_ratio=0.5)
    torch.manual_seed(1)
    _, mask, _ = masking(2)
    torch.manual_seed(1)
    cells = rows * cols // block_size**2
    noise = torch.rand(2, cells).tolist()
    for image in range(2):
        assert mask[image].view(rows, cols).tolist() == masked_cells_of(
            noise[image], rows, cols, block_size, cells // 2
        )
    assert masking.num_visible == (cells // 2) * block_size**2


@pytest.mark.parametrize(
    ('block_size', 'mask_ratio', 'visible'), [(2, 0.65, 68), (1, 0.75, 49)]
)
def test_published_token_counts(block_size, mask_ratio, visible):
    """The released recipe sees 68 of 14x14 patches, MAE 49."""
    masking = BlockMasking((14, 14), block_size, mask_ratio)
    assert masking.num_visible == visible
    ids_visible, mask, _ = masking(2)
    assert ids_visible.shape == (2, visible)
    assert (mask == 0).sum(1).tolist() == [visible] * 2


@pytest.mark.parametrize('block_size', [1, 2, 4])
def test_ids_restore_undoes_the_shuffle(block_size):
    tokens = torch.arange(32.0).view(1, 32, 1).expand(3, 32, 2)
    ids_visible, mask, ids_restore = BlockMasking((8, 4), block_size, 0.5)(3)
    shuffled = torch.full((3, 32, 2), -1.0)
    shuffled[:, : ids_visible.shape[1]] = take_tokens(tokens, ids_visible)
    restored = take_tokens(shuffled, ids_restore)
    assert torch.equal(restored[mask == 0], tokens[mask == 0])
    assert (restored[mask == 1] == -1).all()


def test_images_of_a_batch_are_masked_differently():
    _, mask, _ = BlockMasking((8, 8))(4)
    assert len({tuple(m.tolist()) for m in mask}) == 4


def test_nothing_of_it_is_saved():
    assert not BlockMasking((4, 4)).state_dict()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(block_size=3), 'does not divide the patch grid of 8x6'),
        (dict(block_size=4), 'does not divide the patch grid of 8x6'),
        (dict(block_size=0), 'block_size=0'),
        (dict(mask_ratio=0.99), 'leaves none of the 48 cells visible'),
        (dict(mask_ratio=1.0), 'mask_ratio=1.0'),
        (dict(mask_ratio=-0.1), 'mask_ratio=-0.1'),
    ],
)
def test_impossible_masks_explain_themselves(change, words):
    with pytest.raises(ValueError, match=words):
        BlockMasking(**{'grid': (8, 6), **change})
