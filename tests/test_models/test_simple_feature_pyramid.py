import pytest
import torch
from torch.nn import functional as F

from cmae_mm.models import SimpleFeaturePyramid


def make(**kwargs):
    return SimpleFeaturePyramid(**{'in_channels': 16, 'out_channels': 8, **kwargs})


def test_levels_have_the_strides_of_vitdet_also_on_non_square_maps():
    maps = make()((torch.randn(2, 16, 6, 10),))
    sizes = [tuple(m.shape) for m in maps]
    assert sizes == [
        (2, 8, 24, 40),
        (2, 8, 12, 20),
        (2, 8, 6, 10),
        (2, 8, 3, 5),
        (2, 8, 2, 3),
    ]


def test_small_patches_take_other_scales():
    maps = make(scales=(2, 1, 0.5, 0.25), num_outs=4)((torch.randn(1, 16, 8, 12),))
    assert [tuple(m.shape[2:]) for m in maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]


def test_only_the_last_map_is_used():
    pyramid = make()
    last = torch.randn(1, 16, 4, 4)
    alone = pyramid((last,))
    among = pyramid((torch.randn(1, 16, 4, 4), torch.randn(1, 4, 2, 2), last))
    for mine, other in zip(alone, among, strict=True):
        assert torch.equal(mine, other)


def layer_norm(x, weight, bias):
    """Over the channels of (B, C, H, W), with eps 1e-6."""
    mean = x.mean(dim=1, keepdim=True)
    variance = x.var(dim=1, keepdim=True, unbiased=False)
    x = (x - mean) / (variance + 1e-6).sqrt()
    return x * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)


def double(x, weight, bias):
    """Transposed convolution of 2x2 with stride 2: each place becomes four."""
    batch, _, height, width = x.shape
    four = torch.einsum('bchw,cdij->bdhiwj', x, weight)
    return four.reshape(batch, -1, 2 * height, 2 * width) + bias.view(1, -1, 1, 1)


def test_it_equals_the_figure_of_vitdet():
    """Each level written out, from the weights of the pyramid."""
    pyramid = make()
    with torch.no_grad():
        for param in pyramid.parameters():
            param.normal_(std=0.5)
    x = torch.randn(2, 16, 4, 6)
    weights = [list(level.parameters()) for level in pyramid.levels]
    up, up_bias, norm, norm_bias, up_2, up_2_bias = weights[0][:6]
    inner = layer_norm(double(x, up, up_bias), norm, norm_bias)
    bases = [
        double(F.gelu(inner), up_2, up_2_bias),
        double(x, *weights[1][:2]),
        x,
        x.view(2, 16, 2, 2, 3, 2).amax(dim=(3, 5)),
    ]
    expected = []
    for base, params in zip(bases, weights, strict=True):
        one, weight, bias, three, weight_2, bias_2 = params[-6:]
        level = layer_norm(F.conv2d(base, one), weight, bias)
        level = layer_norm(F.conv2d(level, three, padding=1), weight_2, bias_2)
        expected.append(level)
    expected.append(expected[-1][..., ::2, ::2])
    for mine, other in zip(pyramid((x,)), expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(scales=(4, 3)), 'scale 3 is no power of two'),
        (dict(num_outs=3), 'num_outs=3 is less than the scales'),
    ],
)
def test_impossible_levels_explain_themselves(change, words):
    with pytest.raises(ValueError, match=words):
        make(**change)
