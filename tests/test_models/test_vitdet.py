import math

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmpretrain.models.backbones import VisionTransformer, ViTSAM
from mmpretrain.models.utils import MultiheadAttention
from torch import nn
from torch.nn import functional as F

from cmae_mm.models import ViTDet
from cmae_mm.models.vitdet import (
    WindowAttention,
    relative_vectors,
    resize_kernel,
    resize_table,
)

ARCH = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)
TINY = dict(arch=ARCH, img_size=48, patch_size=8, final_norm=False)


def shake(module):
    """Random weights everywhere, also where they start at zero or one."""
    with torch.no_grad():
        for param in module.parameters():
            param.normal_(std=0.3)
    module.eval()  # backbones of mmpretrain do not return themselves here
    return module


def make(window_size=4, global_blocks=2, **kwargs):
    model = ViTDet(
        window_size=window_size, global_blocks=global_blocks, **{**TINY, **kwargs}
    )
    model.eval()
    return model


def plain_vit(**kwargs):
    """The stock class, without class token."""
    return VisionTransformer(
        with_cls_token=False, out_type='featmap', **{**TINY, **kwargs}
    )


def load(model, weights):
    """Load non-strictly; returns what was missing and what was left over."""
    missing, unexpected = model.load_state_dict(weights, strict=False)
    return {key.split('.')[-1] for key in missing}, set(unexpected)


@pytest.mark.parametrize('window_size', [0, 6, 14])
def test_a_window_over_the_image_is_the_plain_vit(window_size):
    """Relative positions start at zero and change nothing."""
    plain = shake(plain_vit(out_indices=[1, 3]))
    ours = make(window_size, out_indices=[1, 3])
    assert load(ours, plain.state_dict()) == ({'rel_pos_h', 'rel_pos_w'}, set())
    for size in ((48, 48), (32, 48), (30, 45)):
        image = torch.randn(2, 3, *size)
        for mine, other in zip(ours(image), plain(image), strict=True):
            torch.testing.assert_close(mine, other)


@pytest.mark.parametrize('rel_pos', [True, False])
@pytest.mark.parametrize(
    ('window_size', 'size'),
    [(4, (48, 48)), (4, (40, 72)), (4, (33, 90)), (6, (48, 48)), (6, (40, 72))],
)
def test_it_computes_what_vitsam_computes(rel_pos, window_size, size):
    """mmpretrain's class, with the full matrix of scores, is the second opinion.

    Grids of 6x6, 5x9 and 5x12 patches, none of which windows of 4 fit; windows of 6
    are once the whole map, and once higher than it.
    """
    ours = shake(make(window_size, out_indices=[0, 1, 3], rel_pos=rel_pos))
    theirs = ViTSAM(
        arch={**ARCH, 'global_attn_indexes': [1, 3]},
        img_size=48,
        patch_size=8,
        out_channels=0,
        out_indices=[0, 1, 3],
        use_rel_pos=rel_pos,
        window_size=window_size,
    )
    theirs.eval()
    weights = ours.state_dict()
    weights['pos_embed'] = weights['pos_embed'].view(1, 6, 6, 16)
    theirs.load_state_dict(weights)
    image = torch.randn(2, 3, *size)
    for mine, other in zip(ours(image), theirs(image), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def attention_by_hand(layer, window):
    """Attention of ViTDet in one window (h, w, D), pair by pair.

    Distance 0 is in the middle of the tables, whatever they were made for.
    """
    height, width, dims = window.shape
    zero_row, zero_col = len(layer.rel_pos_h) // 2, len(layer.rel_pos_w) // 2
    places = [(row, col) for row in range(height) for col in range(width)]
    qkv = layer.qkv(window).view(height, width, 3, layer.num_heads, -1)
    out = torch.zeros(height, width, layer.num_heads, layer.head_dims)
    for head in range(layer.num_heads):
        for r, c in places:
            query = qkv[r, c, 0, head]
            scores = [
                query @ qkv[i, j, 1, head] / math.sqrt(layer.head_dims)
                + query @ layer.rel_pos_h[r - i + zero_row]
                + query @ layer.rel_pos_w[c - j + zero_col]
                for i, j in places
            ]
            weights = torch.stack(scores).softmax(dim=0)
            values = torch.stack([qkv[i, j, 2, head] for i, j in places])
            out[r, c, head] = weights @ values
    return layer.proj(out.view(height, width, dims))


def attention(window_size, grid=None, **kwargs):
    stock = MultiheadAttention(embed_dims=8, num_heads=2, **kwargs)
    return shake(WindowAttention(stock, window_size, grid))


@pytest.mark.parametrize('size', [(4, 4), (3, 5), (2, 3)])
def test_windows_equal_attention_in_each_of_them(size):
    """Zeros fill the windows at the border, and take part as keys."""
    layer = attention(window_size=2, grid=(2, 2))
    image = torch.randn(1, *size, 8)
    filled = F.pad(image, (0, 0, 0, size[1] % 2, 0, size[0] % 2))
    expected = torch.zeros_like(filled)
    for row in range(0, filled.shape[1], 2):
        for col in range(0, filled.shape[2], 2):
            here = (0, slice(row, row + 2), slice(col, col + 2))
            expected[here] = attention_by_hand(layer, filled[here])
    torch.testing.assert_close(
        layer(image), expected[:, : size[0], : size[1]], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize('size', [(4, 4), (4, 3), (2, 3)])
def test_in_a_window_over_the_map_distances_keep_their_meaning(size):
    """One row apart is one row apart; nothing is filled in."""
    layer = attention(window_size=4, grid=(4, 4))
    image = torch.randn(1, *size, 8)
    expected = attention_by_hand(layer, image[0])
    torch.testing.assert_close(layer(image)[0], expected, rtol=1e-4, atol=1e-5)
    smaller = attention(window_size=3, grid=(3, 3))
    smaller.load_state_dict(layer.state_dict())
    assert torch.equal(smaller.rel_pos_h, layer.rel_pos_h[1:-1])


def test_a_global_block_attends_to_the_whole_non_square_map():
    layer = attention(window_size=0, grid=(3, 4))
    image = torch.randn(1, 3, 4, 8)
    expected = attention_by_hand(layer, image[0])
    torch.testing.assert_close(layer(image)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ('window_size', 'reach'), [(2, [(0, 0), (0, 1), (1, 0), (1, 1)]), (0, None)]
)
def test_only_global_blocks_see_beyond_their_window(window_size, reach):
    layer = attention(window_size, grid=None)
    image = torch.randn(1, 4, 6, 8)
    changed = image.clone()
    changed[0, 0, 0] += 1
    moved = (layer(changed) - layer(image)).abs().sum(-1)[0] > 1e-6
    seen = [tuple(place) for place in moved.nonzero().tolist()]
    assert seen == (reach or [(r, c) for r in range(4) for c in range(6)])


@pytest.mark.parametrize(
    ('arch', 'expected'),
    [('b', [2, 5, 8, 11]), ('l', [5, 11, 17, 23]), ('h', [7, 15, 23, 31])],
)
def test_global_blocks_are_those_of_vitdet(arch, expected):
    with torch.device('meta'):
        model = ViTDet(arch=arch, img_size=1024, patch_size=16)
    windows = [layer.attn.window_size for layer in model.layers]
    assert [i for i, side in enumerate(windows) if side == 0] == expected
    assert set(windows) == {0, 14}
    tables = {len(layer.attn.rel_pos_h) for layer in model.layers}
    assert tables == {2 * 14 - 1, 2 * 64 - 1}


def test_drop_path_drops_the_attention_of_images_not_of_windows():
    layer = attention(2, dropout_layer=dict(type='DropPath', drop_prob=0.5)).train()
    out = layer(torch.randn(64, 4, 4, 8)).abs().sum(-1).flatten(1)  # (64, 16)
    gone = (out == 0).sum(1)
    assert set(gone.tolist()) == {0, 16}
    rates = [layer.attn.out_drop.drop_prob for layer in make(drop_path_rate=0.3).layers]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize('option', ['attn_drop', 'proj_drop'])
def test_dropout_is_taken_over(option):
    layer = attention(2, **{option: 0.5})
    image = torch.randn(1, 4, 4, 8)
    assert torch.equal(layer(image), layer(image))
    layer.train()
    assert not torch.equal(layer(image), layer(image))


@pytest.mark.parametrize('final_norm', [True, False])
def test_a_plain_checkpoint_starts_it_completely(final_norm):
    """Class token dropped, positions resized as the stock class resizes them."""
    source = shake(
        VisionTransformer(arch=ARCH, img_size=32, patch_size=8, final_norm=True)
    )
    weights = source.state_dict()
    ours = make(final_norm=final_norm)
    missing, left = load(ours, weights)
    assert missing == {'rel_pos_h', 'rel_pos_w'}
    assert left == (set() if final_norm else {'ln1.weight', 'ln1.bias'})
    assert 'cls_token' in weights  # the file in memory is left as it was
    grid = weights['pos_embed'][:, 1:].view(1, 4, 4, 16).permute(0, 3, 1, 2)
    bigger = F.interpolate(grid, size=(6, 6), mode='bicubic')
    torch.testing.assert_close(ours.pos_embed, bigger.flatten(2).transpose(1, 2))
    for name, param in ours.named_parameters():
        if name != 'pos_embed' and 'rel_pos' not in name:
            assert torch.equal(param, weights[name]), name
    assert all(
        not param.any() for name, param in ours.named_parameters() if 'rel_' in name
    )


def test_a_checkpoint_loads_by_init_cfg(build, tiny_cfg, tmp_path):
    """As a config names it: MMEngine's way, with the prefix of a CMAE file."""
    cmae = build(tiny_cfg)
    file = str(tmp_path / 'cmae.pth')
    torch.save(dict(state_dict=cmae.state_dict()), file)
    ours = ViTDet(
        arch=tiny_cfg['backbone']['arch'],
        img_size=32,
        patch_size=4,
        global_blocks=1,
        init_cfg=dict(type='Pretrained', checkpoint=file, prefix='backbone.'),
    )
    ours.init_weights()
    for name, param in cmae.backbone.named_parameters():
        if name not in ('cls_token', 'pos_embed'):
            assert torch.equal(ours.get_parameter(name), param), name
    # Positions of 4x4 patches come onto the grid of 8x8; corners stay corners.
    old = cmae.backbone.pos_embed[0, 1:].view(4, 4, 16)
    new = ours.pos_embed[0].view(8, 8, 16)
    assert (new[0, 0] - old[0, 0]).norm() < (new[0, 0] - old[3, 3]).norm()


def test_it_loads_its_own_checkpoint_and_that_of_another_size():
    source = shake(make())
    same = make()
    same.load_state_dict(source.state_dict())
    image = torch.randn(1, 3, 48, 40)
    assert torch.equal(same(image)[0], source(image)[0])
    other = make(window_size=3, img_size=64)
    other.load_state_dict(source.state_dict())
    # What the smaller model would do in a window of 3 or on a grid of 8x8.
    windowed, whole = other.layers[0].attn, other.layers[1].attn
    assert windowed.rel_pos_h.shape == (5, 8) and whole.rel_pos_w.shape == (15, 8)
    torch.testing.assert_close(
        whole.rel_pos_w, resize_table(source.layers[1].attn.rel_pos_w, 15)
    )


def test_tables_are_interpolated_linearly():
    line = torch.arange(5.0).unsqueeze(1) * torch.tensor([1.0, -2.0])
    assert torch.equal(resize_table(line, 5), line)
    longer = resize_table(line, 10)
    assert longer.shape == (10, 2)
    torch.testing.assert_close(longer[1:-1, 0], torch.arange(0.25, 4, 0.5))
    vectors = relative_vectors(line, 3)
    assert vectors[..., 0].tolist() == [[2, 1, 0], [3, 2, 1], [4, 3, 2]]


@pytest.mark.parametrize(('old', 'new'), [(14, 16), (16, 14), (8, 16)])
def test_a_resized_kernel_sees_resized_patches(old, new):
    """Token by token what the old kernel gives for the patch in its size."""
    kernel = torch.randn(5, 3, old, old)
    patches = torch.randn(7, 3, new, new)
    resized = F.interpolate(patches, size=(old, old), mode='bilinear')
    expected = torch.einsum('nchw,dchw->nd', resized, kernel)
    found = F.conv2d(patches, resize_kernel(kernel, (new, new))).flatten(1)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_patches_of_another_size_load():
    """ViT-H has patches of 14 px, the detector of 16 px."""
    source = shake(plain_vit(img_size=42, patch_size=7))
    ours = make(window_size=0)
    load(ours, source.state_dict())
    plain = torch.ones(1, 3, 48, 48)
    torch.testing.assert_close(
        ours(plain)[0], source(plain[..., :42, :42])[0], rtol=1e-4, atol=1e-4
    )


def test_layer_decay_knows_relative_positions():
    """Rates fall by half from block to block; all of them are in some group."""
    model = nn.Module()
    model.backbone = make()
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor='cmae_mm.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.5),
        ),
    )
    rate_of = {
        id(param): group['lr']
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    }
    assert len(rate_of) == len(list(model.parameters()))
    for name, param in model.backbone.named_parameters():
        depth = int(name.split('.')[1]) + 1 if name.startswith('layers') else 0
        assert rate_of[id(param)] == 0.5 ** (5 - depth), name


def test_recomputing_blocks_changes_no_gradient():
    ours = shake(make())
    cheap = make(with_cp=True)
    cheap.load_state_dict(ours.state_dict())
    image = torch.randn(1, 3, 40, 48)
    for model in (ours, cheap):
        model.train()
        model(image)[0].square().mean().backward()
    for (name, mine), other in zip(
        ours.named_parameters(), cheap.parameters(), strict=True
    ):
        assert mine.grad.abs().max() > 0, name
        torch.testing.assert_close(mine.grad, other.grad)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(global_blocks=3), 'global_blocks=3 does not divide the 4 blocks'),
        (dict(global_blocks=0), 'global_blocks=0'),
        (dict(window_size=-1), 'window_size=-1 is below 0'),
    ],
)
def test_impossible_blocks_explain_themselves(change, words):
    with pytest.raises(ValueError, match=words):
        make(**change)
