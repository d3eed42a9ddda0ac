"""Channels normalised one by one."""

import numpy as np
import pytest

from cmae_mm.datasets.normalize_bands import NormalizeBands


def test_each_channel_gets_its_own_mean_and_std():
    image = np.random.default_rng(0).integers(0, 60000, (5, 7, 4), dtype=np.uint16)
    mean = image.reshape(-1, 4).mean(0)
    std = image.reshape(-1, 4).std(0)
    found = NormalizeBands(mean.tolist(), std.tolist())(dict(img=image))['img']
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.reshape(-1, 4).mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(found.reshape(-1, 4).std(0), 1, rtol=1e-5)


@pytest.mark.parametrize('mean, std', [([1, 2], [1]), ([1], [0]), ([], [])])
def test_means_and_stds_must_go_together(mean, std):
    with pytest.raises(ValueError, match='one value for each channel'):
        NormalizeBands(mean, std)


def test_another_number_of_channels_is_refused():
    with pytest.raises(ValueError, match='a.tif has 3 channels, .* has 2 means'):
        NormalizeBands([1, 2], [1, 1])(dict(img=np.zeros((4, 4, 3)), img_path='a.tif'))
