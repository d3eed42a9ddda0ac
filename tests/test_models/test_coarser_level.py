import torch

from cmae_mm.models import CoarserLevel


def test_maximum_of_two_by_two_places():
    fine, coarse = torch.randn(2, 3, 8, 12), torch.randn(2, 5, 4, 6)
    out = CoarserLevel()((fine, coarse))
    assert out[0] is fine and out[1] is coarse
    maximum = coarse.view(2, 5, 2, 2, 3, 2).amax(dim=(3, 5))
    assert torch.equal(out[2], maximum)


def test_convolution_norm_and_gelu_at_exactly_half_the_size():
    level = CoarserLevel(channels=5, norm_cfg=dict(type='BN')).eval()
    coarse = torch.randn(2, 5, 4, 6)
    (_, out) = level((coarse,))
    conv, norm = level.halve.conv, level.halve.bn
    by_hand = torch.nn.functional.conv2d(coarse, conv.weight, stride=2, padding=1)
    by_hand = torch.nn.functional.gelu(by_hand / (1 + norm.eps) ** 0.5)
    assert out.shape == (2, 5, 2, 3)
    torch.testing.assert_close(out, by_hand)
